"""Means and noise levels: honest renders with other grains agree, fewer samples and another exposure do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.contract import Lane, RenderContract
from jobs.states import Verdict
from jobs.tiles import RenderTile
from tests.unit.strategies import CHANNELS, render_contract
from verification.challenge import draw_frames
from verification.commitment import cell_bytes
from verification.frames import planes_of
from verification.noise import NoiseLimits, compare_frames, pixels_for_mean, pixels_for_noise_ratio

WIDTH, HEIGHT = 192, 128


def guided(width: int = WIDTH, height: int = HEIGHT) -> tuple[RenderContract, RenderTile]:
    contract = render_contract(width, height, lane=Lane.WHOLE, path_guiding=True)
    return contract, RenderTile(frames=(1,), rect=(0, 0, width, height), samples=(0, 64))


def frame(seed: int, samples: int = 64, gain: float = 1.0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A picture with gradients, edges and a dark part, and heavy-tailed noise as `samples` paths a pixel leave it."""
    y, x = np.mgrid[0:height, 0:width]
    truth = 0.2 + 0.5 * x / width + 0.3 * ((x // 24 + y // 24) % 2) * (y > height / 3) + 0.01 * (y < 10)
    rng = np.random.default_rng(seed)
    noise = rng.gamma(samples / 8, 8 / samples, (len(CHANNELS), height, width))
    return np.asarray(gain * truth * noise, "<f4")


def cells(contract: RenderContract, tile: RenderTile, planes: np.ndarray) -> dict[int, bytes]:
    data = np.ascontiguousarray(planes).tobytes()
    return {index: cell_bytes(contract, tile, data, index) for index in range(tile.cell_count())}


def verdict(claimed: np.ndarray, redone: np.ndarray) -> Verdict:
    contract, tile = guided(claimed.shape[2], claimed.shape[1])
    return compare_frames(contract, tile, cells(contract, tile, claimed), cells(contract, tile, redone)).verdict


def test_other_grains_of_one_picture_agree() -> None:
    """200 pairs of independent noise: none refused, and hardly one looked at twice (a chance of 1 in 1,000 each)."""
    found = [verdict(frame(2 * i), frame(2 * i + 1)) for i in range(200)]
    assert found.count(Verdict.REJECT) == 0
    assert found.count(Verdict.ESCALATE) <= 2


@pytest.mark.parametrize(
    ("name", "claimed"),
    [
        ("half of the samples", frame(1, samples=32)),
        ("3 of 4 samples", frame(1, samples=48)),
        ("twice the samples", frame(1, samples=128)),
        ("6% brighter", frame(1, gain=1.06)),
        ("black", np.zeros_like(frame(1))),
        ("blurred", np.mean([np.roll(frame(1), shift, (1, 2)) for shift in ((0, 0), (0, 1), (1, 0), (1, 1))], axis=0)),
        ("one part pasted over", np.where(np.mgrid[0:HEIGHT, 0:WIDTH][1] < 40, np.float32(0.6), frame(1))),
        ("not finite", np.full_like(frame(1), np.nan)),
    ],
)  # fmt: skip
def test_what_is_not_the_same_render_is_refused(name: str, claimed: np.ndarray) -> None:
    """Fewer samples, denoised, another exposure, tampering: each on its first frame."""
    assert verdict(claimed.astype("<f4"), frame(2)) is Verdict.REJECT, name


def test_the_pixels_that_are_needed_are_enough() -> None:
    """A frame of pixels_for_noise_ratio(2) pixels refuses half of the samples in 99 of 100 cases or more."""
    needed = pixels_for_noise_ratio(2.0)
    height = 64
    width = -(-needed // height // 16) * 16
    refused = [
        verdict(frame(i, samples=32, height=height, width=width), frame(1000 + i, height=height, width=width))
        for i in range(100)
    ]
    assert refused.count(Verdict.REJECT) >= 99


def test_two_percent_of_exposure_need_more_pixels() -> None:
    """At noise of 0.35 of the mean 70,000 pixels see a frame that is 2% brighter, and not one in ten of 200,000 honest
    ones is even looked at twice."""
    needed = pixels_for_mean(0.02, 0.35)
    height = 256
    width = -(-2 * needed // height // 16) * 16  # compressed values shift by less than the values do
    size = {"height": height, "width": width}
    assert [verdict(frame(i, gain=1.02, **size), frame(100 + i, **size)) for i in range(6)] == [Verdict.REJECT] * 6
    assert [verdict(frame(i, **size), frame(100 + i, **size)) for i in range(10)].count(Verdict.ACCEPT) >= 9


def test_needed_pixels_grow_as_the_effect_shrinks() -> None:
    """And within the tolerance no number of pixels will do."""
    assert pixels_for_noise_ratio(2.0) < pixels_for_noise_ratio(1.3) < pixels_for_noise_ratio(1.1)
    assert pixels_for_mean(0.05, 0.3) < pixels_for_mean(0.02, 0.3) < pixels_for_mean(0.02, 0.6)
    with pytest.raises(ValueError, match="within the tolerance"):
        pixels_for_noise_ratio(1.02)
    with pytest.raises(ValueError, match="within the tolerance"):
        pixels_for_mean(0.001, 0.3)


@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40), st.data())
@settings(max_examples=40, deadline=None)
def test_drawn_frames_come_out_of_their_cells(count: int, width: int, height: int, data: st.DataObject) -> None:
    """The cells of drawn frames are whole frames, in ascending order, and give their pictures back."""
    contract = render_contract(width, height, lane=Lane.WHOLE)
    tile = RenderTile(frames=tuple(range(10, 10 + count)), rect=(0, 0, width, height), samples=(0, 64))
    again = data.draw(st.integers(1, count))
    chosen = draw_frames(bytes(32), "l1", bytes(32), tile, frames=again)
    each = tile.cell_count() // count
    drawn = sorted({cell // each for cell in chosen})
    assert len(drawn) == again and len(chosen) == again * each and chosen == sorted(set(chosen))
    rng = np.random.default_rng(count)
    whole = rng.random((count, len(CHANNELS), height, width), np.float32)
    raw = whole.astype("<f4").tobytes()
    planes = planes_of(contract, tile, {index: cell_bytes(contract, tile, raw, index) for index in chosen})
    assert set(planes) == {tile.frames[position] for position in drawn}
    for position in drawn:
        assert np.array_equal(planes[tile.frames[position]], whole[position])


def test_a_frame_with_a_hole_is_no_frame() -> None:
    """Cells that are missing are an error and not a black block."""
    contract, tile = guided(32, 32)
    found = cells(contract, tile, frame(1, height=32, width=32))
    del found[3]
    with pytest.raises(ValueError, match="cell 3 of frame 1 is missing"):
        planes_of(contract, tile, found)
    with pytest.raises(ValueError, match="missing"):
        compare_frames(contract, tile, found, found, NoiseLimits())
