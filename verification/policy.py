"""How many cells of a tile are redone, and in which lane they are compared.

P(a worker that faked a share s of its cells survives m probes) = (1-s)^m: eight probes leave a worker that faked half
of its cells one chance in 256 a tile, and one that touched every pixel none.
"""

from __future__ import annotations

from jobs.contract import Lane

__all__ = ["WHOLE_TILE_SHARE", "lane_between", "probes", "survival"]

PROVEN_AFTER = 64
"""Accepted tiles without a refusal after which a worker gets the fewest probes."""
WHOLE_TILE_SHARE = 0.1
"""Share of tiles that are done again where only whole tiles replay."""


def survival(share: float, probes: int) -> float:
    """Chance that a worker which faked this share of its cells is not seen by that many probes."""
    return float((1 - share) ** probes)


def probes(*, base: int, floor: int, accepted: int, suspicion: int, cells: int) -> int:
    """Cells to redo in a tile of `cells` cells.

    `base` for a worker that has yet to prove itself, falling to `floor` over its first PROVEN_AFTER accepted tiles,
    and doubled for every step of suspicion (a refusal, a mismatch at the gate); never more than there are.
    """
    proven = min(accepted, PROVEN_AFTER) / PROVEN_AFTER
    wanted = round(base - (base - min(floor, base)) * proven)
    return max(1, min(cells, wanted << min(suspicion, 6)))


def lane_between(contract_lane: Lane, worker_class: str, auditor_class: str) -> Lane:
    """The lane of an audit: bits where both are of one measured class, else the share of differing pixels."""
    return contract_lane if worker_class == auditor_class else Lane.TOLERANT
