"""What the workers of a local stack may work on: what this machine has, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.stack import devices
from coordinator.stack.devices import check_device
from coordinator.stack.layout import DEVICE_VARIABLE, Layout
from coordinator.stack.plan import StackOptions, plan_stack
from jobs.errors import BadInput
from node.hardware import Gpu, device_ids, probe

_KILNET = [sys.executable, "-m", "coordinator.cli.main"]


def test_the_cpu_is_always_there() -> None:
    assert check_device(" cpu ") == "CPU"


@pytest.mark.parametrize("device", ["HIP:99", "OPTIX:99", "quantum", "", "CPU:1"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(device: str) -> None:
    with pytest.raises(BadInput, match=r"this machine has .*CPU"):
        check_device(device)


def test_every_worker_is_told_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trusted one too: who audits a GPU's tiles has to have its numerics class."""
    there = device_ids(replace(probe(), gpus=(Gpu("AMD", 128, "", None, None),)))
    monkeypatch.setattr(devices, "_devices_here", lambda: there)
    for asked, told in (("cpu", []), ("hip", ["--device", "HIP:0"])):
        plan = plan_stack(Layout.at(tmp_path), StackOptions(nodes=2, device=asked))
        workers = [list(part.command) for part in plan.parts if part.name == "trusted" or part.name.startswith("node-")]
        assert [[word for word in words if word in ("--device", "HIP:0")] for words in workers] == [told] * 3


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [(["up", "--device", "HIP:99"], ""), (["up"], "HIP:99"), (["render", "any.blend"], "HIP:99")],
)
def test_the_program_says_so_in_one_line(arguments: list[str], variable: str, tmp_path: Path) -> None:
    """However it was said; nothing is left running, and exit code 2 or 3 tells that nothing happened."""
    scene = Path(__file__).parents[2] / "samples" / "scenes" / "still.blend"
    words = [str(scene) if word == "any.blend" else word for word in arguments]
    environment = {**os.environ, "KILNET_DATA": str(tmp_path / "data"), DEVICE_VARIABLE: variable}
    for name in ("KILNET_GATEWAY", "KILNET_KEY"):
        environment.pop(name, None)
    done = subprocess.run(
        [*_KILNET, *words], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path, timeout=120
    )
    assert done.returncode in (2, 3), done.stderr
    said = [line for line in done.stderr.splitlines() if "HIP:99" in line]
    assert len(said) == 1 and "this machine has" in said[0] and "Traceback" not in done.stderr, done.stderr
