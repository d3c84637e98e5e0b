"""Path guiding within one class: last bits may differ, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.contract import Lane
from jobs.states import Verdict
from jobs.tiles import RenderTile
from tests.unit.strategies import render_contract
from verification.commitment import cell_bytes
from verification.compare import Comparison
from verification.guided import MOST
from verification.judgement import judge_cells

WIDTH, HEIGHT = 60, 44
CLASS = "blender-5.2.3/CPU/0123456789abcdef"
CONTRACT = render_contract(WIDTH, HEIGHT, lane=Lane.WHOLE, path_guiding=True)
TILE = RenderTile(frames=(1, 2), rect=(0, 0, WIDTH, HEIGHT), samples=(0, 64))
Frames = NDArray[np.float32]


def frames() -> Frames:
    """(frames, channels, height, width)."""
    rng = np.random.default_rng(4)
    return rng.random((2, len(CONTRACT.channels), HEIGHT, WIDTH), np.float32) + np.float32(0.1)


def compared(claimed: Frames, recomputed: Frames, *, path_guiding: bool = True) -> Comparison:
    contract = CONTRACT.model_copy(update={"path_guiding": path_guiding})
    each = TILE.cell_count() // 2
    a, b = (
        {i: cell_bytes(contract, TILE, part.tobytes(), i) for i in range(each, 2 * each)}
        for part in (claimed, recomputed)
    )
    lane, found = judge_cells(contract, TILE, (CLASS, CLASS), a, b)
    assert lane is Lane.WHOLE and found is not None
    return found


def spoiled(honest: Frames, pixels: int, factor: float) -> Frames:
    out = honest.copy()
    out[1].reshape(len(CONTRACT.channels), -1)[:, :pixels] *= np.float32(factor)
    return out


def test_last_bits_that_differ_everywhere_are_honest() -> None:
    """What threads do to what is learned; without path guiding the same bits are refused."""
    honest = frames()
    other = np.nextafter(honest, np.float32(2))
    assert compared(other, honest).verdict is Verdict.ACCEPT
    assert compared(other, honest, path_guiding=False).verdict is Verdict.REJECT


@pytest.mark.parametrize(
    ("pixels", "factor", "verdict"),
    [
        (WIDTH * HEIGHT, 1 + 2e-3, Verdict.REJECT),
        (int(MOST * WIDTH * HEIGHT) + 1, 1.5, Verdict.REJECT),
        (int(MOST * WIDTH * HEIGHT) - 1, 1.5, Verdict.ESCALATE),
        (1, 1 + 2e-4, Verdict.ESCALATE),
        (1, np.nan, Verdict.ESCALATE),
        (WIDTH * HEIGHT, np.nan, Verdict.REJECT),
    ],
)
def test_pixels_that_are_off_are_asked_about_or_refused(pixels: int, factor: float, verdict: Verdict) -> None:
    """A few pixels go to a second auditor; more than a hundredth are refused, in either order of the sides."""
    honest = frames()
    other = spoiled(honest, pixels, factor)
    found = compared(other, honest)
    assert (found.verdict, compared(honest, other).verdict) == (verdict, verdict)
    assert 0 <= found.evidence["share_far_off"] <= 1
