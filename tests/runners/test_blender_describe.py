"""What a file is found to be, and how the runner refuses those it cannot render."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.runners.blender_support import SAMPLES, Runner, differing, plain, started
from tests.support.pictures import largest_step

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    yield from started(tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    script = Path(__file__).with_name("blender_fixtures.py")
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("no_camera", "no_camera", "camera"),
        ("truncated", "broken_blend", "truncated.blend"),
        ("text", "not_a_blend", "not a Blender file"),
        ("newer", "newer_blender", "saved by Blender 9.7"),
        ("limited", "time_limit", "Time Limit"),
        ("missing", "missing_file", "//paint.png"),
        ("absent", "missing_blend", "absent.blend"),
    ],
)
def test_a_file_that_cannot_be_rendered_is_refused(
    runner: Runner, files: Path, name: str, code: str, says: str
) -> None:
    """By a code for programs and one line for people; the runner lives on."""
    error = runner.refuses("describe", blend=files / f"{name}.blend")
    assert error["code"] == code
    assert says in error["message"] and "\n" not in error["message"]
    assert error["scene_fault"] is (code != "missing_blend")


def test_rendering_without_a_file_must_be_agreed_to(runner: Runner, files: Path) -> None:
    """What the artist accepts as missing is part of the contract; a node that lacks more refuses."""
    blend = files / "missing.blend"
    description = runner("describe", blend=blend, allow_missing=True)
    contract = description["contract"]
    assert contract["overrides"]["allow_missing"] == ["//paint.png"]
    assert any("//paint.png" in warning for warning in description["warnings"])
    runner.tile(blend, contract, 1, (0, 0, 8, 8))
    strict = contract | {"overrides": {}}
    fields = {"blend": blend, "contract": strict, "frame": 1, "rect": [0, 0, 8, 8], "out": "x"}
    assert runner.refuses("render_tile", **fields)["code"] == "missing_file"


def test_no_script_of_a_file_runs(runner: Runner, files: Path) -> None:
    """Neither a registered text nor a scripted driver; both are told."""
    blend = files / "scripted.blend"
    description = runner("describe", blend=blend)
    runner.tile(blend, description["contract"], 5)
    assert not (files / "text-ran").exists() and not (files / "driver-ran").exists()
    assert any("startup.py" in s for s in description["scripts"])
    assert any(s.startswith("driver of Camera") for s in description["scripts"])


def test_a_border_is_the_window(runner: Runner, files: Path) -> None:
    """Found as Blender cuts it, and delivered inside a whole frame as Blender delivers it."""
    blend = files / "border.blend"
    contract = runner.contract(blend)
    assert contract["window"] == [12, 4, 44, 26] and contract["width"] == 64
    whole = runner.tile(blend, contract, 1)
    (cell,) = runner.cells(blend, contract, 1, [(20, 10, 28, 18)])
    assert differing(cell, whole[:, 6:14, 8:16]) == 0
    out = runner("assemble", blend=blend, contract=contract, frame=1, merged=runner.scratch / "tile", out_dir="border")
    (picture,) = [f["path"] for f in out["files"] if f["kind"] == "frame"]
    plain(blend, runner.scratch, frames=[1], linear=False)
    assert largest_step(Path(out["out_dir"]) / picture, runner.scratch / "1-final.png") <= 1


def test_path_guiding_repeats_as_the_same_rectangle(runner: Runner, files: Path) -> None:
    """What one render has learned must not help the next."""
    blend = files / "guided.blend"
    contract = runner.contract(blend)
    assert contract["lane"] == "whole" and not contract["sample_split"]
    first, other, again = (runner.tile(blend, contract, 1, r) for r in ((8, 8, 24, 24), (0, 0, 16, 8), (8, 8, 24, 24)))
    assert differing(first, again) == 0 and other.size


def test_stereo_keeps_both_views(runner: Runner, files: Path) -> None:
    blend = files / "stereo.blend"
    contract = runner.contract(blend)
    assert contract["views"] == ["left", "right"] and "ViewLayer.Combined.right.R" in contract["channels"]
    planes = dict(zip(contract["channels"], runner.tile(blend, contract, 1), strict=True))
    assert differing(planes["ViewLayer.Combined.left.G"], planes["ViewLayer.Combined.right.G"]) > 0.1
    fields = {"blend": blend, "contract": contract, "frame": 1, "merged": runner.scratch / "tile"}
    out = runner("assemble", **fields, out_dir="stereo")
    pictures = [f["path"] for f in out["files"] if f["kind"] == "frame"]
    plain(blend, runner.scratch, frames=[1], linear=False)
    for picture, side in zip(pictures, ("L", "R"), strict=True):
        assert largest_step(Path(out["out_dir"]) / picture, runner.scratch / f"1-final_{side}.png") <= 1


def test_baking_makes_frames_independent_of_their_past(runner: Runner, files: Path) -> None:
    """Rigid body, cloth, simulation zone: frame 9 by jumping equals frame 9 by stepping, bit for bit."""
    description = runner("describe", blend=files / "simulated.blend")
    kinds = {s["kind"] for s in description["simulations"] if not s["baked"]}
    assert kinds == {"rigid body", "cloth", "simulation nodes"} and description["needs_bake"]
    runner("bake", blend=files / "simulated.blend", out="baked.blend")
    blend = runner.scratch / "baked.blend"
    baked = runner("describe", blend=blend)
    assert not baked["needs_bake"]
    jumped = runner.tile(blend, baked["contract"], 9)
    runner("describe", blend=blend)
    for frame in range(1, 10):
        stepped = runner.tile(blend, baked["contract"], frame)
        if frame == 1:
            assert differing(stepped, jumped) > 0.02
    assert differing(stepped, jumped) == 0


def test_a_description_says_what_the_plan_needs(runner: Runner) -> None:
    description = runner("describe", blend=SAMPLES / "passes.blend", overrides={"samples": 8, "resolution": [64, 36]})
    contract = description["contract"]
    assert contract["channels"] == sorted(contract["channels"])
    assert set(description["pass_kinds"]) == set(contract["channels"])
    assert not any("Render Time" in c or "Sample Count" in c for c in contract["channels"])
    assert [layer["name"] for layer in description["view_layers"]] == ["Front", "All"]
    compositor = runner("describe", blend=SAMPLES / "compositor.blend")["compositor"]
    assert compositor == {"used": True, "file_outputs": ["Mist"], "other_scenes": []}


def test_the_reference_prices_the_frame(runner: Runner) -> None:
    """A wide margin, since a busy machine runs the two renders at different speeds; and the preview is a picture."""
    blend = SAMPLES / "compositor.blend"
    contract = runner.contract(blend, resolution=[128, 72], samples=64)
    fields = {"blend": blend, "contract": contract, "frame": 1}
    cost = runner("reference", **fields, width=32, height=18, samples=8, out="low")
    assert np.fromfile(runner.scratch / "low", "<f4").size == 4 * 32 * 18
    assert (runner.scratch / cost["preview"]).read_bytes().startswith(b"\x89PNG")
    tile = runner("render_tile", **fields, rect=contract["window"], out="tile")
    assert 0.3 < cost["frame_seconds"] / tile["seconds"] < 3
    assert cost["call_seconds"] > 0 and cost["cell_seconds"] < tile["seconds"]


@pytest.mark.parametrize(("scene", "least", "most"), [("still", 0.95, 1.0), ("passes", 0.3, 0.9)])
def test_the_reference_tells_how_much_of_a_picture_is_empty(
    runner: Runner, scene: str, least: float, most: float
) -> None:
    """A full frame, and one whose objects stand before a film that is transparent: more cells are redone there."""
    blend = SAMPLES / f"{scene}.blend"
    contract = runner.contract(blend, resolution=[128, 72], samples=8)
    cost = runner("reference", blend=blend, contract=contract, frame=1, width=64, height=36, samples=4, out="low")
    assert least <= cost["content"] <= most


def test_long_work_shows_progress(runner: Runner) -> None:
    blend = SAMPLES / "still.blend"
    contract = runner.contract(blend, resolution=[160, 90], samples=32)
    runner.tile(blend, contract, 1)
    progress = [e for e in runner.events if e.get("event") == "progress"]
    assert progress and all(0 <= e["done"] <= 1 and e["id"] == runner.number for e in progress)
