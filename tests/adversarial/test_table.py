"""What docs/proof.md claims of the table, on renders of the sample scenes and, where they are, of real ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.adversarial.material import REPO, gather
from tests.adversarial.table import build

pytestmark = [pytest.mark.slow, pytest.mark.blender, pytest.mark.timeout(7200)]

SCENES = Path(os.environ.get("KILNET_SCENES", REPO.parent / "shared" / "scenes"))
ONLY = ("compositor", "still", "image-sequence", "geometry-nodes", "adaptive-subdivision", "hair", "golem_cubes")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    pytest.importorskip("bpy", reason="bpy is not installed: pip install kilnet[blender] (Python 3.13)")
    material = gather([SCENES] if SCENES.is_dir() else [], only=ONLY, honest=2, render=False)
    return build(material, draws=1000, items=False)


def test_cheats_on_every_cell_fall_on_their_first_tile(found: dict[str, Any]) -> None:
    """999 of 1,000 at least, as a new node."""
    for row in found["render"] + found["infer"]:
        if row["everywhere"]:
            assert row.get("first", row["floor"])["refused"] >= 999, row


def test_cheats_on_a_part_fall_at_the_rate_that_is_claimed(found: dict[str, Any]) -> None:
    """The chance for the measured share of cells lies in the exact interval; within 20 tiles all are caught that touch
    a twentieth of the cells."""
    for row in found["render"] + found["infer"]:
        for label in {"first", "floor"} & row.keys():
            low, high = row[label]["interval"]
            assert low <= row[label]["expected"] <= high, (row["name"], label, row[label])
    for row in found["render"]:
        if row["least_share_of_cells"] >= 0.05:
            assert row["within_20"]["caught"] >= 999, row


def test_nobody_honest_is_refused(found: dict[str, Any]) -> None:
    assert found["honest"]["render_exact"]["refused"] == 0 < found["honest"]["render_exact"]["tiles"]
    for lane in ("render_tolerant", "infer_tolerant"):
        for other, counted in found["honest"][lane].items():
            assert counted["refused"] == 0, (lane, other)


def test_others_checks_miss_what_is_refused_here(found: dict[str, Any]) -> None:
    """Half of the samples missing, another seed and 2% of exposure pass perceptual hashes."""
    by_name = {row["name"]: row for row in found["rivals"]}
    for name in ("samples-32", "another-seed", "exposure"):
        assert by_name[name]["phash"] < 0.1, by_name[name]
