"""Path guiding within one class: bits, or the same picture to rounding; a path that turned otherwise accuses nobody."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.contract import Lane
from jobs.states import Verdict
from jobs.tiles import RenderTile
from tests.unit.strategies import CHANNELS, render_contract
from verification.commitment import cell_bytes
from verification.guided import compare_guided
from verification.judgement import judge_cells

CLASS = "blender-5.2/CPU/abc"
CONTRACT = render_contract(96, 64, lane=Lane.WHOLE, path_guiding=True)
TILE = RenderTile(frames=(1,), rect=(0, 0, 96, 64), samples=(0, 64))
Change = Callable[[np.ndarray], np.ndarray]


def picture(seed: int = 0, level: float = 1.0) -> np.ndarray:
    """Noisy, with a dark half, at 64 samples."""
    rng = np.random.default_rng(seed)
    light = np.where(np.arange(96) < 48, 0.02, 0.6)
    return (level * light * rng.gamma(8, 1 / 8, (len(CHANNELS), 64, 96))).astype("<f4")


def cells(planes: np.ndarray) -> dict[int, bytes]:
    data = np.ascontiguousarray(planes).tobytes()
    return {index: cell_bytes(CONTRACT, TILE, data, index) for index in range(TILE.cell_count())}


def verdict(claimed: np.ndarray, redone: np.ndarray) -> Verdict:
    lane, found = judge_cells(CONTRACT, TILE, (CLASS, CLASS), cells(claimed), cells(redone))
    assert lane is Lane.WHOLE and found is not None
    return found.verdict


@given(st.integers(0, 1 << 20), st.floats(1e-5, 1e4), st.floats(0.2, 1.0))
def test_a_second_way_of_an_honest_frame_is_taken(seed: int, level: float, share: float) -> None:
    """Most pixels other by hundred-thousandths, at whatever brightness."""
    rng, frame = np.random.default_rng(seed), picture(level=level)
    shift = rng.uniform(-2.4e-5, 2.4e-5, frame.shape) * level * (rng.random(frame.shape[1:]) < share)
    other = (frame + shift).astype("<f4")
    assert verdict(frame, other) is verdict(other, frame) is verdict(frame, frame) is Verdict.ACCEPT


def _with(rows: slice, columns: slice, value: float) -> Change:
    def change(frame: np.ndarray) -> np.ndarray:
        changed = frame.copy()
        changed[:, rows, columns] = value
        return changed

    return change


@pytest.mark.parametrize("level", [1e-4, 1.0, 1e3])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("another seed", lambda frame: frame * (picture(1) / picture(0))),
        ("63 of 64 samples", lambda frame: frame * (63 / 64 + picture(2) / picture(2).mean() / 64)),
        ("0.2% brighter", lambda frame: frame * np.float32(1.002)),
        ("black", lambda frame: frame * 0),
        ("5% of the area changed", _with(slice(0, 16), slice(0, 20), 0.0)),
        ("not finite", lambda frame: frame * np.nan),
    ],
)
def test_another_picture_is_refused(name: str, change: Change, level: float) -> None:
    frame = picture(level=level)
    assert verdict(change(frame).astype("<f4"), frame) is Verdict.REJECT, name


def test_a_few_pixels_are_looked_at_twice() -> None:
    """A path that turned otherwise, or 0.1% of tampering: not told apart, so nobody is accused, and nobody is paid."""
    frame = picture()
    assert verdict(_with(slice(3, 5), slice(4, 7), 1.0)(frame), frame) is Verdict.ESCALATE


def test_infinities_that_both_show_are_no_difference() -> None:
    """The floor comes from what is finite."""
    frame = picture()
    frame[0, 0, 0] = np.inf
    nearly = (frame * np.float32(1 + 1e-6)).astype("<f4")
    assert verdict(nearly, frame) is Verdict.ACCEPT
    frame[0, 0, 0] = np.nan
    assert compare_guided(CONTRACT, TILE, cells(nearly), cells(frame)).verdict is Verdict.ESCALATE
