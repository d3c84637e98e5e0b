"""Real scenes by other people, through the whole pipeline; skipped, aloud, where their folder is not."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import REPO, Kilnet, delivered
from tests.support.pictures import channels, differing_bits, largest_step

FOLDER = Path(os.environ.get("KILNET_SCENES", REPO.parent / "shared" / "scenes"))
pytestmark = [
    pytest.mark.stack,
    pytest.mark.blender,
    pytest.mark.scenes,
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / "MANIFEST.tsv").is_file(), reason=f"no folder of real scenes at {FOLDER}"),
]


def manifest() -> dict[str, dict[str, str]]:
    if not (FOLDER / "MANIFEST.tsv").is_file():
        return {}
    with (FOLDER / "MANIFEST.tsv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}


ROWS = manifest()
FRAME = {"morse_human_walk": 12, "rubiks_cube": 2}


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row["split"] == "OPEN"] or ["none"])
def test_a_real_scene_comes_out_as_plain_blender_renders_it(
    kilnet: Kilnet, plain: Callable[..., dict[str, Any]], tmp_path: Path, name: str
) -> None:
    """Tiles in space on three nodes: every pass bit-identical; the finished picture within 1/255."""
    blend = FOLDER / ROWS[name]["file"]
    frame = FRAME.get(name, 1)
    answer = kilnet.json(
        "render", blend, "--engine", "CYCLES", "--frames", frame, "--resolution", "96x54", "--samples", "4",
        "--sample-ranges", "1", "--tiles", "2", "--format", "PNG", "--out", tmp_path / "ours",
    )  # fmt: skip
    assert answer["state"] == "done" and answer["rejections"] == []
    plain(blend, tmp_path / "plain", engine="CYCLES", frames=[frame], resolution=(96, 54), samples=4, format="PNG")
    (ours,) = delivered(answer, "exr")
    assert differing_bits(channels(ours), channels(tmp_path / "plain" / f"{frame}.exr")) == {}
    pictures = delivered(answer, "image")
    assert largest_step(pictures[0], next((tmp_path / "plain").glob("*-final.*"))) <= 1


@pytest.mark.skipif(not ROWS, reason="no folder of real scenes")
def test_a_scene_that_cannot_be_rendered_fails_with_the_reason(kilnet: Kilnet, tmp_path: Path) -> None:
    """A fluid scene without its cache takes Blender down: the job ends with a reason, nothing is delivered."""
    blend = FOLDER / ROWS["fixture_sigabrt_waterfall"]["file"]
    done = kilnet.run("render", blend, "--resolution", "64x36", "--samples", "2", "--out", tmp_path / "ours", "--json")
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    "name", [n for n in ("fixture_exit_deadlock_geonodes", "fixture_udim") if n in ROWS] or ["none"]
)
def test_a_scene_that_can_be_rendered_gives_a_picture(kilnet: Kilnet, tmp_path: Path, name: str) -> None:
    """A file that never lets Blender exit, and one with a <UDIM> token in a path: both are delivered."""
    answer = kilnet.json(
        "render", FOLDER / ROWS[name]["file"], "--engine", "CYCLES", "--frames", "1", "--resolution", "64x36",
        "--samples", "2", "--out", tmp_path / "ours",
    )  # fmt: skip
    assert answer["state"] == "done" and delivered(answer, "image")
