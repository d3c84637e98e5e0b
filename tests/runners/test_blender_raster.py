"""What does not replay in blocks: EEVEE and Workbench by the frame, path guiding by the rectangle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.runners.blender_support import SAMPLES, Runner, started

pytestmark = pytest.mark.blender
STILL = SAMPLES / "still.blend"
SMALL = {"resolution": [64, 40], "samples": 4}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    yield from started(tmp_path_factory.mktemp("raster"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    yield from started(tmp_path_factory.mktemp("raster-other"))


def test_the_driver_is_told_by_what_it_draws(runner: Runner, other: Runner) -> None:
    """Two processes of one machine find the same names and the same digest."""
    seen = runner("raster")
    assert seen == other("raster")
    assert len(seen["digest"]) == 64 and seen["renderer"] and seen["backend"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_eevee_repeats_whole_frames_in_another_process(runner: Runner, other: Runner) -> None:
    """One process has rendered another frame before, the other has not: the same bits; and the contract says that a
    part of the frame is none."""
    contract = runner.contract(STILL, engine="BLENDER_EEVEE", **SMALL)
    assert contract["lane"] == "whole" and contract["engine"] == "BLENDER_EEVEE"
    first = runner.tile(STILL, contract, 2)
    again = runner.tile(STILL, contract, 1)
    elsewhere = other.tile(STILL, contract, 1)
    assert again.tobytes() == elsewhere.tobytes()
    assert first.shape == again.shape and np.isfinite(again[:3]).all()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_first_eevee_frame_of_a_process_is_as_any_other(tmp_path: Path) -> None:
    """Without a context of the graphics driver beforehand the first one would differ, and honest nodes with it."""
    runners = started(tmp_path)
    fresh = next(runners)
    contract = {
        "runtime": "blender", "version": fresh.ready["version"], "engine": "BLENDER_EEVEE", "scene": "Scene",
        "camera": "Camera", "width": 96, "height": 54, "window": [0, 0, 96, 54], "samples": 4, "seed": 0,
        "adaptive": False, "guard": 0, "channels": [f"ViewLayer.Combined.{c}" for c in "ABGR"], "views": [],
        "overrides": {"engine": "BLENDER_EEVEE", "resolution": [96, 54], "samples": 4, "denoise": False},
    }  # fmt: skip
    first = fresh.tile(STILL, contract, 1)
    assert fresh.tile(STILL, contract, 1).tobytes() == first.tobytes()
    fresh.tile(STILL, contract, 2)
    assert fresh.tile(STILL, contract, 1).tobytes() == first.tobytes()
    runners.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_an_eevee_frame_costs_leaves_out_its_shaders(runner: Runner) -> None:
    """Compiling them happens once: it belongs to loading, not to each frame."""
    contract = runner.contract(STILL, engine="BLENDER_EEVEE", **SMALL)
    found = runner("reference", blend=STILL, contract=contract, frame=1, width=64, height=40, samples=4, out="ref")
    began = found["low_seconds"]
    assert 0 < found["frame_seconds"] < began
    assert found["load_seconds"] > 0


def test_workbench_is_compared_by_look(runner: Runner) -> None:
    """Its contract says so, in words too."""
    answer = runner("describe", blend=STILL, overrides={"engine": "BLENDER_WORKBENCH", "resolution": [64, 40]})
    assert answer["contract"]["lane"] == "perceptual" and "weak proof" in answer["lane_reason"]
    assert any("weak proof" in line for line in answer["warnings"])
    picture = runner.tile(STILL, answer["contract"], 1)
    assert picture.shape[1:] == (40, 64)


def test_path_guiding_repeats_by_the_rectangle(runner: Runner, other: Runner, tmp_path: Path) -> None:
    """The same rectangle in another process, after another frame: the same bits; a block of it alone: others."""
    blend = _guided(tmp_path)
    contract = runner.contract(blend, resolution=[64, 40], samples=16)
    assert contract["lane"] == "whole" and contract["path_guiding"] is True
    runner.tile(blend, contract, 2)
    whole = runner.tile(blend, contract, 1)
    assert whole.tobytes() == other.tile(blend, contract, 1).tobytes()
    block = runner.tile(blend, contract, 1, (24, 16, 32, 24))
    assert block.tobytes() != np.ascontiguousarray(whole[:, 16:24, 24:32]).tobytes()


def _guided(folder: Path) -> Path:
    from tests.e2e.conftest import resaved

    settings = {"cycles.use_guiding": True, "cycles.use_deterministic_guiding": False}
    return resaved(STILL, folder / "guided.blend", settings)
