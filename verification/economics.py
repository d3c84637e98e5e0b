"""What cheating pays: the expected profit of a node that cheats, from plain probability.

Everything is in units of one tile's pay R (what its receipt earns its node), and per tile; profit is what is earned
beyond honest work in the same machine time. Three quantities decide:

    v   what the cheat saves, as a share of the tile's work (freed time earns elsewhere, so it is worth v R)
    d   the chance that the tile is refused: d = 1 - (1 - s)^m for a cheat that touches a share s of the cells, of which
        m are redone; then R is not paid
    S   the stake, lost once a pattern of refusals is confirmed (verification.policy says after which)

A tile is worth q R - (1 - v) R = (v - d) R beyond honest work, where q = 1 - d is the chance to be paid for it and
(1 - v) R what its time would have earned honestly. So:

    withheld pay alone makes a cheat unprofitable exactly where d >= v: where it is refused more often than it saves.

That matters because a stake is lost after a pattern only, and names are free: who rests after each refusal until it is
forgotten, or comes back under another name, never loses one. Since d grows with m, a cheat that does not pay in good
standing (m at its floor) pays in no standing, and no such strategy helps it. The stake is for what withheld pay cannot
reach: colluding auditors, and whoever cheats at a loss to do damage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jobs.pricing import UNIT, reward_units, split_price
from verification.policy import (
    GOOD,
    RECHECK_SHARE,
    Standing,
    after_accept,
    after_refusal,
    probes,
    standing,
)  # fmt: skip

__all__ = [
    "DEFAULT_STAKE_USD", "DEFAULT_TILE_USD", "HANDLING", "Career", "career", "collusion_gain", "collusion_slashed",
    "gain", "refused", "refused_exactly", "refused_in_frames", "stake_needed", "stake_per_tile_pay", "wash_trading",
]  # fmt: skip

DEFAULT_STAKE_USD = 5.0
"""What a node stakes: some hundred times what a tile pays at the default price."""
DEFAULT_TILE_USD = 0.2 * 600 / 3600
"""Price of the longest tile that is planned (jobs.planner, 600 s at score 1.0) at 0.20 USD per kiln-hour."""
HANDLING = 0.01
"""Share of a tile's time that no cheat saves: claiming, fetching, committing, uploading. An assumption on the cautious
side; the more a tile's handling costs, the worse is cheating."""


def refused(share: float, probed: int) -> float:
    """d = 1 - (1 - s)^m: the chance that one of m redone cells is among the share s that was faked. Never too large:
    cells are drawn without replacement, which refuses a little more often (`refused_exactly`)."""
    return 1 - (1 - share) ** probed


def refused_exactly(cells: int, faked: int, probed: int) -> float:
    """d = 1 - C(n - k, m) / C(n, m) for k of n cells faked and m redone, drawn without replacement."""
    if probed >= cells:
        return 1.0 if faked else 0.0
    return 1 - math.comb(cells - faked, probed) / math.comb(cells, probed)


def refused_in_frames(frames: int, faked: int, redone: int) -> float:
    """The same where whole frames are redone (jobs.planner.WHOLE_RUN): k of a tile's n frames faked, r redone."""
    return refused_exactly(frames, faked, redone)


def gain(saves: float, refused_share: float) -> float:
    """v - d: profit of one tile beyond honest work, in units of its pay."""
    return saves - refused_share


def stake_per_tile_pay(stake_usd: float = DEFAULT_STAKE_USD, tile_usd: float = DEFAULT_TILE_USD) -> float:
    """A stake in units of what one tile pays its node (fee and burn share taken off as settlement does)."""
    return stake_usd / (tile_usd * reward_units(UNIT) / UNIT)


def stake_needed(per_tile: float, slashed_per_tile: float) -> float:
    """The stake, in tiles' pay, at which a profit of `per_tile` is gone where the stake is lost at that rate a tile:
    S = gain / rate; 0 where there is nothing to deter, infinity where nothing is ever lost."""
    if per_tile <= 0:
        return 0.0
    return per_tile / slashed_per_tile if slashed_per_tile > 0 else math.inf


class Career(NamedTuple):
    """A node that cheats in every tile, from some standing until it is a pattern; expectations."""

    tiles: float
    refusals: float
    gain: float
    """Sum of v - d over its tiles, in tiles' pay: before the stake is lost, which is once, at the end."""

    def profit(self, stake: float) -> float:
        """Per tile, with a stake of so many tiles' pay lost at the end: (gain - S) / tiles."""
        return (self.gain - stake) / self.tiles


def career(saves: float, refused_at: Callable[[int], float], *, start: int = GOOD, cells: int = 10_000) -> Career:
    """Expected career of a node that cheats in every tile, exactly.

    `refused_at(m)` is the chance that a tile is refused of which m cells are redone; 0 < it <= 1 for all m. Suspicion
    is a Markov chain: from x the tile is refused with d(m(x)) and suspicion rises to x + REFUSAL, else it falls by m(x)
    and never below GOOD; at PATTERN it ends. With P the chain among the states before the end, the expected visits are
    the row of (I - P)^-1 that belongs to `start`; expectations are sums over visits. Refusals that are remembered
    (verification.policy.repeats) end it sooner still, which is left out. Raises ValueError where a tile can never be
    refused: such a career has no end.
    """
    index, order = {start: 0}, [start]
    moves: list[tuple[float, int | None, int]] = []
    for state in order:
        probed = probes(state, cells=cells)
        chance = refused_at(probed)
        if not 0 < chance <= 1:
            raise ValueError(f"a tile with {probed} redone cells is refused with probability {chance}: no end")
        up, down = after_refusal(state), after_accept(state, probed)
        for new in (up, down):
            if standing(new) is not Standing.PATTERN and new not in index:
                index[new] = len(order)
                order.append(new)
        moves.append((chance, None if standing(up) is Standing.PATTERN else up, down))
    stays = np.zeros((len(order), len(order)))
    for row, (chance, worse, better) in enumerate(moves):
        if worse is not None:
            stays[row, index[worse]] += chance
        stays[row, index[better]] += 1 - chance
    visits = np.linalg.solve((np.eye(len(order)) - stays).T, np.eye(len(order))[0])
    chances = np.array([chance for chance, _, _ in moves])
    return Career(float(visits.sum()), float(visits @ chances), float(visits @ (saves - chances)))


def collusion_gain(saves: float, partners: float, recheck: float = RECHECK_SHARE) -> float:
    """Profit of a tile whose auditor may be a partner: v - d with d = 1 - a (1 - r), where a is the chance that the
    drawn auditor is a partner, who calls everything right, and r the share of strangers' audits that a trusted worker
    repeats. What no partner audits is refused (s = 1)."""
    return saves - (1 - partners * (1 - recheck))


def collusion_slashed(partners: float, recheck: float = RECHECK_SHARE) -> float:
    """Chance a tile that a partner's signed audit is contradicted by a trusted one: a r. Worker and auditor lose their
    stakes; one is counted."""
    return partners * recheck


def wash_trading(price: int = UNIT) -> float:
    """Profit of a tile that is ordered from oneself and done honestly, in units of its pay: what was burned and paid in
    fees beyond the reward that comes back, (reward - price) / reward, by the very functions of settlement. `price` in
    units of KILN."""
    split = split_price(price, price)
    reward = reward_units(price)
    return (reward - split.burned - split.fee) / reward
