"""Path guiding within one numerics class: nearly always the same bits, and now and then the same picture to rounding.

Cycles learns where light comes from with all of its threads at once, and its setting for deterministic guiding does not
hold that wholly (docs/proof.md, "Path guiding within a class"): a few honest frames in a thousand come out a second
way, other in most pixels, by hundred-thousandths. A guide that differs in its last bits draws nearly the same paths. So
bits that are equal are taken, and so are pixels that all agree to a thousandth of what the picture holds. A path that
turned the other way shows in a pixel or two: with a few of those a second auditor is asked, and nobody is accused. More
is another picture: one sample of 64 left out differs in nearly every pixel, by a hundredth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.contract import Lane, RenderContract
from jobs.states import Verdict
from jobs.tiles import RenderTile
from verification.compare import Comparison, compare_cells, pixels_off

__all__ = ["GUIDED", "GuidedLimits", "compare_guided"]


class GuidedLimits(NamedTuple):
    """Of shares of pixels that are off in any channel."""

    difference: float = 1e-3
    """A pixel is off where a channel differs by more than this share of its value or of the channel's mean magnitude,
    whichever is larger. Honest second ways differed by 2.4e-5 at most."""
    doubt: float = 0.01
    """Up to this share a second auditor is asked; beyond it the tile is refused."""


GUIDED = GuidedLimits()


def compare_guided(
    contract: RenderContract,
    tile: RenderTile,
    claimed: Mapping[int, bytes],
    recomputed: Mapping[int, bytes],
    limits: GuidedLimits = GUIDED,
) -> Comparison:
    """Whole frames of one tile, given as all of their cells, from two machines of one class.

    Raises ValueError where the two do not hold the same cells."""
    found = compare_cells(contract, tile, Lane.WHOLE, dict(claimed), dict(recomputed))
    if found.verdict is Verdict.ACCEPT:
        return found
    a, b = (_planes(contract, side) for side in (claimed, recomputed))
    levels = np.abs(np.where(np.isfinite(b), b, 0.0)).mean(axis=1, keepdims=True, dtype=np.float64)
    share = float(pixels_off(a, b, limits.difference, levels).mean())
    evidence = {**found.evidence, "limits": limits._asdict(), "share": share}
    said = f"{share:.2%} of {a.shape[1]} pixels are off by more than {limits.difference:g}"
    if share == 0:
        reason = f"{found.evidence['cells_differing']} cells came out in other bits, but no pixel is off by more than "
        return Comparison(Verdict.ACCEPT, f"{reason}{limits.difference:g}, as guiding may repeat", evidence)
    if share <= limits.doubt:
        return Comparison(Verdict.ESCALATE, f"{said}, as guiding hardly ever repeats: a second look", evidence)
    return Comparison(Verdict.REJECT, f"{found.reason}; {said}", evidence)


def _planes(contract: RenderContract, cells: Mapping[int, bytes]) -> NDArray[np.float32]:
    """float32, (channels, pixels) of all cells together, in the order of their numbers."""
    blocks = (np.frombuffer(cells[index], "<f4").reshape(len(contract.channels), -1) for index in sorted(cells))
    return np.concatenate(list(blocks), axis=1)
