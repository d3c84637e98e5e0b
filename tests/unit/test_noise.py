"""Means and noise levels: honest renders with other grains agree, fewer samples and another exposure do not."""

from __future__ import annotations

import math

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
from verification.noise import TEXTURE, NoiseLimits, compare_frames, pixels_for_mean, pixels_for_noise_ratio

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
    """200 pairs of independent noise, half of them of an odd size: none refused, and hardly one looked at twice (a
    chance of 1 in 1,000 each)."""
    sizes = ({"height": 96, "width": 96}, {"height": 53, "width": 67})
    found = [verdict(frame(2 * i, **sizes[i % 2]), frame(2 * i + 1, **sizes[i % 2])) for i in range(200)]
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


def pair(
    seed: int, *, shared: float, texture: float = TEXTURE, fewer: bool = False, height: int = 96, width: int = 160
) -> tuple[np.ndarray, np.ndarray]:
    """Two renders of a picture whose texture has `texture` times the power of its noise. `shared`: this share of the
    paths of each pixel is the same on both sides. `fewer`: the claim has half of its paths only."""
    rng = np.random.default_rng(seed)
    size = (len(CHANNELS), height, width)
    light = np.linspace(0.2, 0.9, width) * (1 + 0.35 * math.sqrt(texture) * rng.standard_normal((height, width)))
    light = np.maximum(light, 0.01)

    def paths(count: float) -> np.ndarray:
        """The sum of so many eighths of a path; 64 of them vary by 0.35 of their mean."""
        return np.asarray(rng.gamma(count / 8, 8, size) if count else np.zeros(size))

    own = 64 * (1 - shared)
    both = paths(64 * shared)
    if fewer:
        first = paths(32)
        claimed, redone = first * 2, first * shared + paths(64 - 32 * shared)
    else:
        claimed, redone = both + paths(own), both + paths(own)
    return (light * claimed / 64).astype("<f4"), (light * redone / 64).astype("<f4")


@given(
    st.integers(0, 1 << 32), st.sampled_from((0.0, 0.3, 0.9, 1.0)), st.sampled_from((0.0, 1.0, 10.0)),
    st.floats(-2e-6, 2e-6), st.integers(4, 50), st.integers(4, 70),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_grain_may_be_shared_or_not_and_rounding_is_nothing(
    seed: int, shared: float, texture: float, rounding: float, height: int, width: int
) -> None:
    """Whatever honest sides have in common, they agree, in either order and at any size; a class may always round to
    one side."""
    claimed, redone = pair(seed, shared=shared, texture=texture, height=height, width=width)
    claimed = (claimed * (1 + rounding)).astype("<f4")
    assert verdict(claimed, redone) is Verdict.ACCEPT
    assert verdict(redone, claimed) is Verdict.ACCEPT


def test_chances_are_what_they_are_called() -> None:
    """Without tolerances p below 0.1 is found in at most one honest pair of ten, each test by itself, with heavy tails,
    textures, and half of the grain shared; and it does not depend on the order of the sides."""
    limits, found = NoiseLimits(mean_tolerance=0.0, ratio_tolerance=1.0), []
    contract, tile = guided(64, 64)
    for seed in range(150):
        claimed, redone = (
            cells(contract, tile, side[:1].repeat(len(CHANNELS), 0))
            for side in pair(seed, shared=seed % 2 / 2, height=64, width=64)
        )
        names = ("mean_p", "region_p", "few_p", "ratio_p")
        one, other = (
            compare_frames(contract, tile, *sides, limits).evidence["worst"]
            for sides in ((claimed, redone), (redone, claimed))
        )
        found.append([one[name] for name in names])
        assert found[-1] == pytest.approx([other[name] for name in names])
    low = (np.array(found) < 0.1).mean(axis=0)
    assert (low <= 0.1).all()
    assert low[0] > 0 and low[3] > 0  # or the tests would see nothing at all


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_the_pixels_that_are_needed_are_enough(shared: float) -> None:
    """A frame of pixels_for_noise_ratio(2) pixels refuses half of the samples, each of 50 times, where texture has
    twice the power of the noise; with other grains, and with the first half of the same ones."""
    height = 64
    width = -(-pixels_for_noise_ratio(2.0) // height // 16) * 16
    refused = [verdict(*pair(seed, shared=shared, fewer=True, height=height, width=width)) for seed in range(50)].count(
        Verdict.REJECT
    )
    assert refused == 50


def test_a_dimmer_light_is_seen_where_grain_is_shared() -> None:
    """One percent less light, in a frame whose noise would hide it if the sides were not compared pixel by pixel."""
    dim = np.float32(0.99)
    claimed, redone = pair(1, shared=0.95)
    assert verdict(claimed * dim, redone) is Verdict.REJECT
    claimed, redone = pair(1, shared=0.0)
    assert verdict(claimed * dim, redone) is not Verdict.REJECT


def test_a_few_pixels_that_differ_by_far_are_seen() -> None:
    """Four of 15,360 pixels, too few for fair signs, in a picture of little noise: what moved is found."""
    claimed, _ = pair(1, shared=1.0, texture=0.0)
    claimed = (0.5 + 0.01 * (claimed - 0.5)).astype("<f4")
    moved = claimed.copy()
    moved[:, 20:22, 40:42] += 1
    assert verdict(claimed, claimed.copy()) is Verdict.ACCEPT
    assert verdict(moved, claimed) is Verdict.REJECT


@pytest.mark.parametrize("odd", [(121, 135), (114, 160), (96, 157)])
def test_every_pixel_is_judged(odd: tuple[int, int]) -> None:
    """Also those beyond the last whole region, at the right and at the bottom, whatever the size: what is pasted over
    there alone is refused."""
    height, width = odd
    claimed, redone = pair(1, shared=0.0, texture=0.0, height=height, width=width)
    assert verdict(claimed, redone) is Verdict.ACCEPT
    for strip in (np.s_[:, :, width - width % 16 :], np.s_[:, height - height % 16 :, :]):
        if not claimed[strip].size:
            continue
        pasted = claimed.copy()
        pasted[strip] = 0
        assert verdict(pasted, redone) is Verdict.REJECT


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
