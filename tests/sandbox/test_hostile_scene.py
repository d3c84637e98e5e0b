"""A scene without scripts can show any file that Blender can read: the sandbox decides which those are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from node.sandbox import GIB, Bind, Bubblewrap, Launcher, Limits, SandboxSpec, Unsandboxed, find_runtime

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]

_SCRIPT = Path(__file__).parent / "scene_that_reads_files.py"


def _picture(launcher: Launcher, scene: Path, scratch: Path) -> np.ndarray:
    """float32, 32 x 160 x 4, linear."""
    scratch.mkdir()
    runtime = find_runtime()
    spec = SandboxSpec(
        argv=(*runtime.command, "/runner/scene.py", "--render", f"/job/{scene.name}", "/scratch"),
        binds=(*runtime.binds, Bind(_SCRIPT, "/runner/scene.py")),
        assets=scene.parent,
        scratch=scratch,
        limits=Limits(memory_bytes=4 * GIB),
    )
    process = launcher.start(spec, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, _ = process.communicate(timeout=100)
    assert (scratch / "pixels").exists(), output.decode(errors="replace")[-2000:]
    return np.fromfile(scratch / "pixels", np.float32).reshape(32, 160, 4)


def test_a_scene_cannot_show_a_file_of_its_host(tmp_path: Path) -> None:
    key = tmp_path / "node_key"
    key.write_text("0xSECRETKEY")
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    for name, shown in (("reads", key), ("nothing", tmp_path / "no_such_file")):
        command = [sys.executable, str(_SCRIPT), str(shown), str(scenes / f"{name}.blend")]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
    with pytest.warns(RuntimeWarning):
        outside = Unsandboxed(operator_insists=True)

    shown = _picture(outside, scenes / "reads.blend", tmp_path / "outside")
    inside = _picture(Bubblewrap(), scenes / "reads.blend", tmp_path / "inside")
    nothing = _picture(Bubblewrap(), scenes / "nothing.blend", tmp_path / "nothing_scratch")

    assert np.array_equal(inside, nothing)
    assert np.mean(shown != nothing) > 0.01  # without the sandbox the key is in the picture
