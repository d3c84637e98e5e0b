"""Whole frames with path guiding within one numerics class: bits, and where those differ, by how much.

Cycles learns where light comes from with all of its threads, and how they take turns decides last bits, whatever its
setting for deterministic guiding says. A rectangle that one process rendered 100 times with two threads came out
another way four times, with one thread never; of 3,336 rectangles of two processes seven differed, no pixel by 1e-4 of
its value. In whole frames with 64 samples paths take other turns too: of 46 renders of one frame five differed from the
rest, in up to 38% of the pixels, 8.9% of them by 1e-3; of another scene none of 25. The closest cheat (a third of the
light bounces, where there is little indirect light) puts 20% of the pixels off by 1e-3, the next one 27%. So:

- accepted: no pixel is off by NEARLY of its value. Nobody saves work worth having within that.
- refused: more than MOST of the pixels are off by FAR. Such a refusal is one of bits, as before.
- between the two a second auditor is asked, who mostly sees what is usual. Where that does not come out either the tile
  is not paid, and nobody is struck: no cheat passes, and an honest node that was the odd one loses the tile alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jobs.contract import Lane, RenderContract
from jobs.states import Verdict
from jobs.tiles import RenderTile
from verification.compare import Comparison, compare_cells, pixels_off
from verification.frames import planes_of

__all__ = ["FAR", "MOST", "NEARLY", "compare_guided", "is_near"]

NEARLY = 1e-4
"""Of a pixel's value."""
FAR = 1e-3
"""Of a pixel's value."""
MOST = 0.13
"""Share of the pixels that may be off by FAR before it is a refusal and not a question: honest frames had 8.9% at most,
cheats 19.6% at least. That is too narrow a gap (2.2) to accept anybody by."""
_FLOOR = 0.01
"""Values below it are taken for it, as between classes."""


def compare_guided(
    contract: RenderContract, tile: RenderTile, claimed: Mapping[int, bytes], recomputed: Mapping[int, bytes]
) -> Comparison:
    """Whole frames of one tile, given as all of their cells.

    Raises ValueError where the two are not the same whole frames."""
    found = compare_cells(contract, tile, Lane.WHOLE, dict(claimed), dict(recomputed))
    if found.verdict is Verdict.ACCEPT:
        return found
    a, b = planes_of(contract, tile, claimed), planes_of(contract, tile, recomputed)
    channels = len(contract.channels)
    pairs = [(a[frame].reshape(channels, -1), b[frame].reshape(channels, -1)) for frame in a]
    nearly = float(np.mean([pixels_off(one, other, NEARLY, _FLOOR).mean() for one, other in pairs]))
    far = max(float(pixels_off(one, other, FAR, _FLOOR).mean()) for one, other in pairs)
    evidence = {**found.evidence, "share_off": nearly, "share_far_off": far}
    if nearly == 0:
        reason = f"path guiding learned with other last bits: no pixel is off by {NEARLY:g} of its value"
        return Comparison(Verdict.ACCEPT, reason, evidence)
    if far <= MOST:
        reason = f"{far:.2%} of a frame's pixels are off by more than {FAR:g}, which path guiding may do: a second look"
        return Comparison(Verdict.ESCALATE, reason, evidence)
    return Comparison(Verdict.REJECT, found.reason, evidence)


def is_near(contract: RenderContract, claimed: bytes, recomputed: bytes) -> bool:
    """Whether no pixel of one cell is off by NEARLY of its value."""
    a, b = (np.frombuffer(data, "<f4").reshape(len(contract.channels), -1) for data in (claimed, recomputed))
    return not pixels_off(a, b, NEARLY, _FLOOR).any()
