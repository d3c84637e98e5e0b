"""Real renders with the cheat in them, against the real proof: one scene here, all of them in `make adversaries`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from jobs.contract import Lane
from jobs.states import Verdict
from node.calibrate.cheats import RENDER_CHEATS, Desk
from node.calibrate.drawing import cells_differing
from node.calibrate.scene_set import gathered
from node.calibrate.shots import Shot
from node.calibrate.sides import Side
from node.calibrate.studio import BLOCKS, Studio, cut
from tests.adversarial import rivals
from tests.adversarial.trials import render_trial, tiles_of
from verification.policy import FLOOR

pytestmark = pytest.mark.blender

QUICK = ("samples-63", "samples-32", "half-resolution", "another-seed", "exposure", "jpeg")
"""What needs no second file; all of them touch every cell that is not empty."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    pytest.importorskip("bpy", reason="bpy is not installed: pip install kilnet[blender] (Python 3.13)")
    folder = tmp_path_factory.mktemp("studio")
    (scene,) = gathered([], folder / "scenes", only=("compositor",))
    with Side.of("a").pool(folder / "runners") as pool:
        studio = Studio(Side.of("a"), pool, folder / "renders")
        shot = Shot(scene, 1, 64)
        contract = studio.contract(shot)
        yield Desk(studio, shot, contract, studio.tile(shot, contract), None)


def test_an_auditor_with_another_past_gets_the_workers_bits(desk: Desk) -> None:
    """Cells alone, after the low-resolution reference and another frame, against the tile: bit for bit."""
    cells = desk.studio.cells(desk.shot, desk.contract, BLOCKS[::5])
    assert len(cells) == 10
    for index, cell in cells.items():
        assert np.array_equal(cell.view(np.uint32), np.ascontiguousarray(cut(desk.honest, index)).view(np.uint32))


@pytest.mark.parametrize("name", QUICK)
def test_a_cheat_on_every_cell_is_refused_on_its_first_tile(desk: Desk, name: str) -> None:
    """100 draws of the fewest cells there are; a perceptual hash sees none of these cheats but for chance."""
    (cheat,) = [cheat for cheat in RENDER_CHEATS if cheat.name == name]
    claimed = cheat.make(desk)
    assert claimed is not None
    assert cells_differing(claimed, desk.honest).mean() > 0.5
    (tile,) = tiles_of(desk.contract, desk.shot.frame, 1, 1)
    found = [render_trial(desk.contract, tile, claimed, desk.honest, Lane.EXACT, FLOOR) for _ in range(100)]
    assert set(found) == {Verdict.REJECT}


def test_a_perceptual_hash_does_not_see_half_of_the_samples_missing(desk: Desk) -> None:
    """Why kilnet does not go by looks."""
    (cheat,) = [cheat for cheat in RENDER_CHEATS if cheat.name == "samples-32"]
    claimed = cheat.make(desk)
    assert claimed is not None
    rgb = desk.colors[0][:3]
    assert not rivals.phash_refuses(rivals.display(claimed[rgb]), rivals.display(desk.honest[rgb]))


@pytest.mark.slow
def test_the_edits_of_a_scene_are_real(desk: Desk) -> None:
    """Another camera and one lamp less give another picture, from files that the runner opens like any other."""
    for name in ("another-camera", "lamp-removed"):
        claimed = desk.edit(name)
        assert claimed is not None and cells_differing(claimed, desk.honest).mean() > 0.5, name
