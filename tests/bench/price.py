"""How well a frame's cost is known before it is rendered: predicted against measured, scene by scene."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from coordinator.admission.admitting import reference_params
from jobs.contract import RenderContract
from node.runner_process import RunnerProcess
from node.runner_programs import BLENDER, RunnerSettings, runner_spec

__all__ = ["estimate_ratios"]


def estimate_ratios(
    scenes: list[Path], *, resolution: tuple[int, int] = (640, 360), samples: int | None = None
) -> dict[str, float]:
    """Predicted over measured seconds of each scene's first frame, at this size (`samples` None: the scene's own); 1 is
    right, 2 is twice too dear."""
    return {f"{scene.parent.name}/{scene.name}": _ratio(scene, resolution, samples) for scene in scenes}


def _ratio(scene: Path, resolution: tuple[int, int], samples: int | None) -> float:
    with tempfile.TemporaryDirectory(prefix="kilnet-price-") as temporary:
        folder, scratch = Path(temporary) / "job", Path(temporary) / "scratch"
        shutil.copytree(scene.parent, folder)
        scratch.mkdir()
        runner = RunnerProcess(runner_spec(RunnerSettings(threads=2), BLENDER, scratch=scratch, folder=folder))
        runner.start()
        try:
            return _ask(runner, f"/job/{scene.name}", resolution, samples)
        finally:
            runner.stop(grace=0)


def _ask(runner: RunnerProcess, blend: str, resolution: tuple[int, int], samples: int | None) -> float:
    overrides: dict[str, Any] = {"engine": "CYCLES", "resolution": resolution, "denoise": False}
    overrides |= {} if samples is None else {"samples": samples}
    described = runner.request("describe", {"blend": blend, "overrides": overrides})
    contract: dict[str, Any] = described["contract"]
    fields = {name: value for name, value in contract.items() if name in RenderContract.model_fields}
    frame = int(described["frame_start"])
    params = reference_params(RenderContract.model_validate(fields), [frame])
    found = runner.request(
        "reference", {"blend": blend, "contract": contract, **params, "out": "low.raw", "png": "low.png"}
    )
    began = time.perf_counter()
    runner.request(
        "render_tile",
        {"blend": blend, "contract": contract, "frame": frame, "samples": [0, contract["samples"]],
         "rect": contract["window"], "out": "frame.raw"},
    )  # fmt: skip
    return float(found["frame_seconds"]) / (time.perf_counter() - began)
