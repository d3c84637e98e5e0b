"""Two renders of one frame whose noise differs: is the picture behind it the same, and is there as much noise in it?

What path guiding learns follows the last bits, so across numerics classes an honest frame has the same expectation and
the same amount of noise, and other grains. Two tests per channel, on values compressed by x / (1 + |x|) so that a
firefly is one pixel and not the mean:

- means: Welch's t on regions of 16x16 pixels and on the whole frame. The variance of a mean is the noise's own,
  estimated from h = (a - b - c + d) / 2 of each 2x2 block, whose expectation is 0 on any plane and whose variance is
  that of one pixel (the diagonal Haar coefficient; Immerkaer 1996 estimates noise by a mask of the same kind). Edges
  make h larger: then the test sees less, and accuses nobody.
- noise level: the ratio of the two mean squares of h, region by region. Honest sides can be exchanged, so its logarithm
  has expectation 0 whatever the distribution of the noise; its mean over the regions is tested by Student's t.

Both test against a practical tolerance and not against 0: with enough pixels any two machines differ significantly by
nothing that matters. Renders of one seed share part of their noise: then differences are smaller than the tests
assume, which again accuses nobody. Another seed is not seen here.
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

__all__ = ["NoiseLimits", "compare_frames", "pixels_for_mean", "pixels_for_noise_ratio"]

REGION = 16
"""Side of a region in pixels."""


class NoiseLimits(NamedTuple):
    """Chances of a false alarm are for the whole frame (Bonferroni over regions and channels)."""

    mean_tolerance: float = 0.005
    """Of max(floor, |mean|) of the compressed values; honest classes differ by less."""
    floor: float = 0.02
    ratio_tolerance: float = 1.05
    """Noise variance may differ by this factor."""
    refuse: float = 1e-6
    """Chance of an honest frame to be refused."""
    doubt: float = 1e-3
    """Chance of an honest frame to be looked at a second time."""


_SPREAD = 0.6
"""Standard deviation of the logarithm of a region's noise ratio that the needed pixels are computed for: 64 blocks of
heavy-tailed noise each; Gaussian noise has 0.25."""


def pixels_for_noise_ratio(ratio: float, *, limits: NoiseLimits | None = None, power: float = 0.999) -> int:
    """Pixels that a frame needs so that noise of `ratio` times the variance is refused with this power."""
    limits = limits or NoiseLimits()
    gap = abs(math.log(ratio)) - math.log(limits.ratio_tolerance)
    if gap <= 0:
        raise ValueError(f"a ratio of {ratio:g} lies within the tolerance of {limits.ratio_tolerance:g}")
    z = float(stats.norm.isf(limits.refuse / 2) + stats.norm.ppf(power))
    return max(8, math.ceil((z * _SPREAD / gap) ** 2)) * REGION * REGION


def pixels_for_mean(shift: float, noise: float, *, limits: NoiseLimits | None = None, power: float = 0.999) -> int:
    """Pixels that a frame needs so that a relative shift of its mean is refused with this power.

    `noise` is the standard deviation of a pixel as a share of the mean (a path traced frame at 64 samples has about
    0.3)."""
    limits = limits or NoiseLimits()
    gap = abs(shift) - limits.mean_tolerance
    if gap <= 0:
        raise ValueError(f"a shift of {shift:g} lies within the tolerance of {limits.mean_tolerance:g}")
    z = float(stats.norm.isf(limits.refuse / 2) + stats.norm.ppf(power))
    return math.ceil(2 * (z * noise / gap) ** 2)


def _compressed(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    values = np.nan_to_num(plane.astype(np.float64), nan=0.0, posinf=1e30, neginf=-1e30)
    return np.asarray(values / (1 + np.abs(values)), np.float64)


def _blocks(plane: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """(regions, side, side): the plane in squares; what is left at the right and the bottom belongs to none."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    cut = plane[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(cut.swapaxes(1, 2).reshape(rows * columns, side, side), np.float64)


def _variance(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise variance of one pixel in each region."""
    a, b = blocks[:, 0::2, 0::2], blocks[:, 0::2, 1::2]
    c, d = blocks[:, 1::2, 0::2], blocks[:, 1::2, 1::2]
    return np.asarray((((a - b - c + d) / 2) ** 2).mean(axis=(1, 2)), np.float64)


def _welch(
    means: tuple[NDArray[np.float64], NDArray[np.float64]],
    variances: tuple[NDArray[np.float64], NDArray[np.float64]],
    count: int,
    freedom: int,
    limits: NoiseLimits,
) -> NDArray[np.float64]:
    """Two-sided p of means that differ by more than the tolerance; 1 where they do not."""
    a, b = variances[0] / count, variances[1] / count
    allowed = limits.mean_tolerance * np.maximum(limits.floor, np.maximum(np.abs(means[0]), np.abs(means[1])))
    beyond = np.abs(means[0] - means[1]) - allowed
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(beyond > 0, beyond / np.sqrt(a + b), 0.0)
        degrees = (a + b) ** 2 / ((a**2 + b**2) / freedom)
    degrees = np.where(np.isfinite(degrees), degrees, 2 * freedom)
    return np.asarray(np.minimum(1.0, 2 * stats.t.sf(t, degrees)), np.float64)


def _channel(claimed: NDArray[np.float32], redone: NDArray[np.float32], limits: NoiseLimits) -> dict[str, float]:
    """`mean_p`, `region_p` (smallest over the regions, corrected), `ratio` and `ratio_p` of one channel (H, W)."""
    a, b = _compressed(claimed), _compressed(redone)
    side = min(REGION, *(2 * (edge // 2) for edge in a.shape))
    if side < 2:
        raise ValueError(f"a frame of {a.shape[1]}x{a.shape[0]} pixels is too small to tell noise by")
    blocks = _blocks(a, side), _blocks(b, side)
    variance = _variance(blocks[0]), _variance(blocks[1])
    means = blocks[0].mean(axis=(1, 2)), blocks[1].mean(axis=(1, 2))
    pixels, regions = side * side, len(means[0])
    region_p = _welch(means, variance, pixels, max(1, pixels // 4 - 1), limits)
    whole = (
        _welch(
            (means[0].mean(keepdims=True), means[1].mean(keepdims=True)),
            (variance[0].mean(keepdims=True), variance[1].mean(keepdims=True)),
            pixels * regions, max(1, pixels * regions // 4 - 1), limits,
        )
    )  # fmt: skip
    ratio, ratio_p = _ratio(variance, limits)
    return {
        "mean_claimed": float(means[0].mean()), "mean_recomputed": float(means[1].mean()), "mean_p": float(whole[0]),
        "region_p": float(min(1.0, region_p.min() * regions)), "ratio": ratio, "ratio_p": ratio_p,
    }  # fmt: skip


def _ratio(variance: tuple[NDArray[np.float64], NDArray[np.float64]], limits: NoiseLimits) -> tuple[float, float]:
    """Geometric mean of the noise ratio (claimed / recomputed), and p of it lying outside the tolerance."""
    least = 1e-12
    noisy = np.maximum(variance[0], variance[1]) > least
    if noisy.sum() < 8:
        return 1.0, 1.0
    logs = np.log(np.maximum(variance[0][noisy], least) / np.maximum(variance[1][noisy], least))
    mean, error = float(logs.mean()), float(logs.std(ddof=1) / math.sqrt(len(logs)))
    beyond = abs(mean) - math.log(limits.ratio_tolerance)
    if beyond <= 0:
        return math.exp(mean), 1.0
    p = 0.0 if error == 0 else float(2 * stats.t.sf(beyond / error, len(logs) - 1))
    return math.exp(mean), min(1.0, p)


_TESTS = (
    ("mean_p", "the mean of {channel} is {mean_claimed:.4g}, recomputed {mean_recomputed:.4g}"),
    ("region_p", "a region of {channel} has another mean than the noise explains"),
    ("ratio_p", "the noise of {channel} has {ratio:.2f} times the variance of the recomputed one"),
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
