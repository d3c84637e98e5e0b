"""Scenes by other people: cells against the frame, and the delivered picture against plain Blender."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runners.blender_support import REPO, Runner, differing, part, plain, started
from tests.support.pictures import largest_step

FOLDER = Path(os.environ.get("KILNET_SCENES", REPO.parent / "shared" / "scenes"))
MANIFEST = FOLDER / "MANIFEST.tsv"
ROWS = list(csv.DictReader(MANIFEST.read_text("utf-8").splitlines(), delimiter="\t")) if MANIFEST.exists() else []
GOOD = [row for row in ROWS if not row["name"].startswith("fixture_")]

pytestmark = [
    pytest.mark.blender,
    pytest.mark.scenes,
    pytest.mark.slow,
    pytest.mark.skipif(not ROWS, reason=f"no scenes at {FOLDER}: set KILNET_SCENES"),
]

CELLS = [(8, 8, 16, 16), (48, 24, 56, 32), (88, 46, 96, 54)]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    yield from started(tmp_path_factory.mktemp("scratch"))


def _blend(name: str) -> Path:
    (row,) = [row for row in ROWS if row["name"] == name]
    return FOLDER / row["file"]


@pytest.mark.parametrize("name", [row["name"] for row in GOOD])
def test_a_real_scene_replays_and_is_delivered_as_blender_would(runner: Runner, name: str, tmp_path: Path) -> None:
    blend = _blend(name)
    description = runner("describe", blend=blend, overrides={"engine": "CYCLES", "samples": 4, "resolution": [96, 54]})
    contract, frame = description["contract"], description["frame_start"]
    whole = runner.tile(blend, contract, frame)
    for rect, cell in zip(CELLS, runner.cells(blend, contract, frame, CELLS), strict=True):
        assert differing(cell, part(whole, (0, 0, 96, 54), rect)) == 0, rect
    merged = runner.scratch / "tile"
    result = runner("assemble", blend=blend, contract=contract, frame=frame, merged=merged, out_dir=name)
    (picture,) = [f["path"] for f in result["files"] if f["kind"] == "frame"]
    options = {"engine": "CYCLES", "samples": 4, "resolution": [96, 54], "linear": False}
    plain(blend, tmp_path, frames=[frame], **options)
    (theirs,) = tmp_path.glob(f"{frame}-final.*")
    assert largest_step(Path(result["out_dir"]) / picture, theirs) <= 1


def test_a_fluid_without_its_cache_is_named(runner: Runner) -> None:
    error = runner.refuses("describe", blend=_blend("fixture_sigabrt_waterfall"))
    assert error["code"] == "unbakable_simulation" and error["scene_fault"]


def test_a_driver_that_hangs_older_blenders_only_is_told(runner: Runner) -> None:
    description = runner("describe", blend=_blend("fixture_exit_deadlock_geonodes"))
    assert description["scripts"]
    runner.tile(_blend("fixture_exit_deadlock_geonodes"), description["contract"], 1, (0, 0, 8, 8))


def test_udim_tiles_are_not_missing(runner: Runner) -> None:
    description = runner("describe", blend=_blend("fixture_udim"), overrides={"engine": "CYCLES"})
    assert description["missing_files"] == []
