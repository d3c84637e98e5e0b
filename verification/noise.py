"""Two renders of one frame whose noise differs: is the picture behind it the same, and is there as much noise in it?

What path guiding learns follows the last bits, so across numerics classes an honest frame has the same expectation and
the same distribution of noise, and other grains: some of them or all, as random numbers are shared. So the two sides of
an honest frame can be exchanged, at every place, and all that is tested is whether signs fall by chance:

- means: the difference of the two, pixel by pixel, summed over regions of 16x16 pixels and over the frame. A paired
  test: what both sides show, grain that they share included, is in no difference. What differs in a few pixels of a
  region only, but there by far, is found by Welch's t instead, with the noise that each side shows itself (the power of
  its diagonal details, as Immerkaer estimates noise, 1996): texture and shared grain make it see less.
- noise level, after Pitman and Morgan (both Biometrika 31, 1939): the sum and the difference of two paired values are
  correlated if and only if their variances differ. The values are the details of each 2x2 block (its three Haar
  coefficients, which are 0 on what is flat). Texture and edges are the same on both sides, so they are in the sum alone
  and cancel from the correlation; so does shared grain. Products are weighted by what their place shows (below), and
  summed over blocks of 4x4 pixels.

Given the sizes of the summands their signs are independent and fair, whatever the distribution of the noise and however
heavy its tails. (A guide can be the better one in a whole region; but in 113 pairs of seeds z scattered by 0.97 over
blocks of 4 pixels and by 0.98 over regions of 16.) The chance that such a sum exceeds z times the root of its sum of
squares is at most 3.178 times the Gaussian one, for any number of summands (Bentkus and Dzindzalieta, Bernoulli 21,
2015): that is the p of all but Welch's test, and nothing in it is asymptotic.

All values are compressed by x / (1 + |x|) first, so that a firefly is one pixel and not the mean. Both test against a
practical tolerance and not against 0: two classes round differently, always to the same side maybe, and with enough
pixels that would be significant and matter to nobody. Another seed is not seen here, nor what is changed in a few
pixels alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from jobs.contract import RenderContract
from jobs.states import Verdict
from jobs.tiles import RenderTile
from verification.compare import Comparison
from verification.frames import planes_of

__all__ = ["TEXTURE", "NoiseLimits", "compare_frames", "pixels_for_mean", "pixels_for_noise_ratio"]

REGION = 16
"""Side of a region in pixels."""
_UNIT = 4
"""Side in pixels of the blocks whose sign is one draw in the test of noise levels."""
_FAINT = 1e-4
"""Details below this share of a region's mean weigh less and less: rounding is no noise."""
_RADEMACHER = float(1 / (4 * stats.norm.sf(math.sqrt(2))))
"""3.178: what Gaussian tails are multiplied by to bound those of any sum of fair signs."""
TEXTURE = 2.0
"""Power of the details that both sides share, in units of the recomputed side's noise, that needed pixels are computed
for. At 64 samples it was 2.3, 1.3 and 10 in three scenes with textures, and less than 1 in five others."""
_SPREAD = 1.9
"""What z is less by than the correlation of Gaussian values makes it: weights cost 1.4 to 1.6, heavy tails up to 2."""
_TESTS_OF_A_FRAME = 20
"""Four tests each of colours, alpha and depth, which needed pixels are computed for."""

Values = NDArray[np.float64]


class NoiseLimits(NamedTuple):
    """Chances of a false alarm are for the whole frame (Bonferroni over tests, regions and channels)."""

    mean_tolerance: float = 0.001
    """Of max(floor, mean) of the compressed values; honest frames differed by 0.0004 at most."""
    floor: float = 0.02
    ratio_tolerance: float = 1.01
    """Details (texture, shared grain and noise together) may differ in power by this factor."""
    refuse: float = 1e-6
    """Chance of an honest frame to be refused."""
    doubt: float = 1e-3
    """Chance of an honest frame to be looked at a second time."""


def _needed_z(limits: NoiseLimits, power: float) -> float:
    tail = limits.refuse / (2 * _RADEMACHER * _TESTS_OF_A_FRAME)
    return float(stats.norm.isf(tail) + stats.norm.ppf(power))


def pixels_for_noise_ratio(
    ratio: float, *, texture: float = TEXTURE, limits: NoiseLimits | None = None, power: float = 0.999
) -> int:
    """Pixels that a frame needs so that noise of `ratio` times the variance is refused with this power, where details
    that both sides share have `texture` times the power of the recomputed side's noise and no grain is shared.

    Raises ValueError where so little lies within the tolerance."""
    limits = limits or NoiseLimits()
    sums, differences = ratio + 1 + 4 * texture, ratio + 1
    allowed = (limits.ratio_tolerance - 1) / 2 * (sums + differences) / 2
    gap = (abs(ratio - 1) - allowed) / math.sqrt(sums * differences)
    if gap <= 0:
        raise ValueError(f"a ratio of {ratio:g} lies within the tolerance of {limits.ratio_tolerance:g}")
    details = (_needed_z(limits, power) * _SPREAD / gap) ** 2
    return math.ceil(details / 3 * 4 / REGION**2) * REGION**2


def pixels_for_mean(shift: float, noise: float, *, limits: NoiseLimits | None = None, power: float = 0.999) -> int:
    """Pixels that a frame needs so that a relative shift of its mean is refused with this power, where no grain is
    shared.

    `noise` is the standard deviation of a pixel as a share of the mean (a path traced frame at 64 samples has about
    0.3). Raises ValueError where so little lies within the tolerance."""
    limits = limits or NoiseLimits()
    gap = abs(shift) - limits.mean_tolerance
    if gap <= 0:
        raise ValueError(f"a shift of {shift:g} lies within the tolerance of {limits.mean_tolerance:g}")
    return math.ceil(2 * (_needed_z(limits, power) * noise / gap) ** 2)


def _compressed(plane: NDArray[np.float32]) -> Values:
    values = np.nan_to_num(plane.astype(np.float64), nan=0.0, posinf=1e30, neginf=-1e30)
    return np.asarray(values / (1 + np.abs(values)), np.float64)


def _regions(plane: Values) -> Values:
    """(regions, 16, 16): the plane in squares, filled up with 0 at the right and the bottom: a place where both sides
    show the same has no part in any sum of differences."""
    height, width = plane.shape
    filled = np.pad(plane, ((0, -height % REGION), (0, -width % REGION)))
    rows, columns = filled.shape[0] // REGION, filled.shape[1] // REGION
    squares = filled.reshape(rows, REGION, columns, REGION).swapaxes(1, 2)
    return np.asarray(squares.reshape(rows * columns, REGION, REGION), np.float64)


def _chance(total: Values, squares: Values, allowed: Values) -> Values:
    """Two-sided p of sums of fair signs, with these sums of squares, that exceed what is allowed; 1 where none does."""
    beyond = np.abs(total) - allowed
    z = np.where((beyond > 0) & (squares > 0), beyond / np.sqrt(np.where(squares > 0, squares, 1.0)), 0.0)
    return np.asarray(np.minimum(1.0, 2 * _RADEMACHER * stats.norm.sf(z)), np.float64)


def _level(a: Values, b: Values, pixels: Values, limits: NoiseLimits) -> Values:
    """(regions,): the mean of both sides over a region's own pixels."""
    return np.maximum(limits.floor, np.abs(a + b).sum((1, 2)) / 2 / pixels)


def _means(a: Values, b: Values, pixels: Values, limits: NoiseLimits) -> tuple[float, float, float]:
    """(p of the frame; smallest p of a region, corrected; the same by Welch's t) of two planes in regions that hold so
    many pixels of the frame."""
    difference, axes = a - b, (1, 2)
    total, squares = difference.sum(axes), (difference**2).sum(axes)
    allowed = limits.mean_tolerance * _level(a, b, pixels, limits) * pixels
    regions = _chance(total, squares, allowed)
    whole = _chance(total.sum(keepdims=True), squares.sum(keepdims=True), allowed.sum(keepdims=True))
    few = _welch(np.abs(total) - allowed, a, b, pixels)
    return float(whole[0]), float(min(1.0, regions.min() * len(regions))), float(min(1.0, few.min() * len(few)))


def _welch(beyond: Values, a: Values, b: Values, pixels: Values) -> Values:
    """Two-sided p of sums over regions that lie so far beyond what is allowed."""
    one, other = (4 * (_details(side)[:, 0] ** 2).sum(axis=(1, 2)) for side in (a, b))
    both, freedom = one + other, np.maximum(1, pixels // 4 - 1)
    noisy = (beyond > 0) & (both > 0)
    degrees = np.where(noisy, both**2 * freedom / np.where(noisy, one**2 + other**2, 1.0), 1.0)
    t = np.where(noisy, beyond / np.sqrt(np.where(noisy, both, 1.0)), 0.0)
    return np.where(noisy, np.minimum(1.0, 2 * stats.t.sf(t, degrees)), 1.0)


def _details(blocks: Values) -> Values:
    """(regions, 3, side / 2, side / 2): the Haar coefficients of each 2x2 block, whose noise has a pixel's variance."""
    a, b = blocks[:, 0::2, 0::2], blocks[:, 0::2, 1::2]
    c, d = blocks[:, 1::2, 0::2], blocks[:, 1::2, 1::2]
    return np.stack(((a - b - c + d) / 2, (a - b + c - d) / 2, (a + b - c - d) / 2), axis=1)


def _noise(a: Values, b: Values, own: NDArray[np.bool_], limits: NoiseLimits) -> tuple[float, float]:
    """(ratio of the weighted powers of the details, claimed / recomputed; p of noise levels that differ) of two planes
    in regions; `own` tells which of their pixels are the frame's.

    A weight is 1 / (q + typical q of the region), q being the power of both sides' detail: an edge counts little, dark
    and bright regions alike. It is the same for both orders of the sides, so signs stay fair."""
    one, other = _details(a), _details(b)
    sums, differences = one + other, one - other
    power = (sums**2 + differences**2) / 2  # of both sides: one**2 + other**2
    level = _level(a, b, own.sum((1, 2)).astype(np.float64), limits)
    faint = ((_FAINT * level) ** 2)[:, None, None, None]
    typical = np.median(power, axis=(2, 3), keepdims=True)
    cut = ~own.all(axis=(1, 2))
    inside = own[cut][:, None, 0::2, 0::2]
    typical[cut] = np.nanmedian(np.where(inside, power[cut], np.nan), axis=(2, 3), keepdims=True)
    weight = 1 / (power + np.maximum(typical, faint))
    products = (weight * sums * differences).sum(axis=1)
    across = _UNIT // 2
    units = products.reshape(len(a), products.shape[1] // across, across, -1, across).sum((2, 4))
    allowed = (weight * ((limits.ratio_tolerance - 1) / 2 * power + np.minimum(faint, power))).sum()
    p = _chance(units.sum(keepdims=True), (units**2).sum(keepdims=True), np.full(1, allowed))
    claimed, recomputed = float((weight * one**2).sum()), float((weight * other**2).sum())
    return (claimed / recomputed if recomputed > 0 else math.inf if claimed > 0 else 1.0), float(p.flat[0])


def _channel(claimed: NDArray[np.float32], redone: NDArray[np.float32], limits: NoiseLimits) -> dict[str, float]:
    """`mean_p`, `region_p` and `few_p` (smallest over the regions, corrected), `ratio` and `ratio_p` of one channel
    (H, W). Raises ValueError where it is smaller than a block."""
    a, b = _compressed(claimed), _compressed(redone)
    if min(a.shape) < _UNIT:
        raise ValueError(f"a frame of {a.shape[1]}x{a.shape[0]} pixels is too small to tell noise by")
    means = {"mean_claimed": float(a.mean()), "mean_recomputed": float(b.mean())}
    own = _regions(np.ones(a.shape)) > 0
    a, b = _regions(a), _regions(b)
    mean_p, region_p, few_p = _means(a, b, own.sum((1, 2)).astype(np.float64), limits)
    ratio, ratio_p = _noise(a, b, own, limits)
    return means | {"mean_p": mean_p, "region_p": region_p, "few_p": few_p, "ratio": ratio, "ratio_p": ratio_p}


_TESTS = (
    ("mean_p", "the mean of {channel} is {mean_claimed:.4g}, recomputed {mean_recomputed:.4g}"),
    ("region_p", "a region of {channel} has another mean than the noise explains"),
    ("few_p", "a few pixels of {channel} differ by more than the noise around them explains"),
    ("ratio_p", "the noise of {channel} is another: details have {ratio:.2f} times the power of the recomputed ones"),
)


def compare_frames(
    contract: RenderContract,
    tile: RenderTile,
    claimed: Mapping[int, bytes],
    recomputed: Mapping[int, bytes],
    limits: NoiseLimits | None = None,
) -> Comparison:
    """Whole frames of one tile, given as all of their cells, by means and noise levels of every channel.

    Raises ValueError where the two are not the same whole frames."""
    limits = limits or NoiseLimits()
    a, b = planes_of(contract, tile, claimed), planes_of(contract, tile, recomputed)
    if a.keys() != b.keys() or not a:
        raise ValueError("an audit holds exactly the challenged frames")
    rows: list[dict[str, Any]] = []
    for frame, planes in a.items():
        for at, channel in enumerate(contract.channels):
            rows.append({"frame": frame, "channel": channel, **_channel(planes[at], b[frame][at], limits)})
    tests = len(rows) * len(_TESTS)
    worst, said, p = rows[0], "", 1.0
    for row in rows:
        for name, words in _TESTS:
            if row[name] < p:
                worst, said, p = row, words.format(**row), row[name]
    corrected = min(1.0, p * tests)
    evidence: dict[str, Any] = {
        "lane": str(contract.lane), "compared": "mean and noise", "frames": sorted(a), "cells": len(claimed),
        "tests": tests, "p": corrected, "limits": limits._asdict(), "pixels": tile.area.area, "worst": worst,
        "pixels_for_half_the_samples": pixels_for_noise_ratio(2.0, limits=limits),
    }  # fmt: skip
    if corrected < limits.refuse:
        return Comparison(Verdict.REJECT, f"{said} (p {corrected:.1e} over {tests} tests)", evidence)
    if corrected < limits.doubt:
        return Comparison(Verdict.ESCALATE, f"{said} (p {corrected:.1e} over {tests} tests): a second look", evidence)
    reason = (
        f"mean and noise of {len(contract.channels)} channels agree over {tile.area.area} pixels (p {corrected:.2g})"
    )
    return Comparison(Verdict.ACCEPT, reason, evidence)
