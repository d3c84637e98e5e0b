"""Who gets a tile when more machines want one than there are: by price, expected time and reputation.

Everybody who is given a tile is paid the same clearing price (jobs.pricing.clearing_price): an ask decides whether a
machine is in and how early it is served, never what it earns. docs/decisions/0016 gives the reasons.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["BAD", "REFUSAL_WEIGHT", "Bid", "Rank", "better", "counted_asks", "rank", "reputation", "score"]

REFUSAL_WEIGHT = 10
"""How many tiles that passed one refused tile weighs."""
BAD = 0.5
"""Below this a machine comes after all others, whatever it asks: it is what nobody knows begins with."""
TIME_WEIGHT = 1.0
"""Half the time is worth half the ask."""


class Bid(NamedTuple):
    """What one machine offers for a job."""

    address: str
    ask: float
    """USD per kiln-hour, above 0."""
    seconds: float
    """That a tile is expected to take on it, above 0."""
    reputation: float
    """0..1."""


class Rank(NamedTuple):
    """The place of a bid: what sorts first is served first."""

    bad: bool
    cost: float
    lot: bytes


def reputation(passed: int, refused: int) -> float:
    """0..1: the share of judged tiles that passed, a refusal counting REFUSAL_WEIGHT times, by the rule of succession
    (one more of each), so that who has done nothing yet stands at 0.5 and nobody ever at 1."""
    return (passed + 1) / (passed + REFUSAL_WEIGHT * refused + 2)


def counted_asks(offers: Iterable[tuple[float, float, float]], reference: float) -> list[tuple[float, float]]:
    """Asks as they count for a price: (USD per kiln-hour, score) of each of the `offers` (ask, score, reputation).

    Who has proven nothing yet is served at a low ask, but does not lower the price: otherwise a few new addresses that
    ask nearly nothing, and are refused, would leave a job at a price at which no honest machine works. So such an ask
    counts as the cheapest one of a machine whose reputation is above BAD, at most `reference` (what the deployment
    offers where nobody asks), so that one proven machine cannot raise it at will. Where nobody has proven anything,
    asks count as they are."""
    given = list(offers)
    proven = [ask for ask, _, known in given if known > BAD]
    least = min(*proven, reference) if proven else 0.0
    return [(ask if known > BAD else max(ask, least), speed) for ask, speed, known in given]


def score(bid: Bid) -> float:
    """What a good tile of this machine costs in ask and time, as a logarithm: less is better.

    A tile that fails is done again, so that a machine whose tiles pass at the rate r needs 1/r times its own time."""
    return math.log(bid.ask) + TIME_WEIGHT * math.log(bid.seconds / max(bid.reputation, 1e-9))


def rank(bid: Bid, lot: str) -> Rank:
    """A bid's place in the auction of `lot` (a job's id). A bad reputation comes after every other, so that no ask buys
    it off; equal bids are ordered by a draw that is another for each lot."""
    drawn = hashlib.sha256(f"kilnet/lot/1:{lot}:{bid.address.lower()}".encode()).digest()
    return Rank(bid.reputation < BAD, score(bid), drawn)


def better(bid: Bid, others: Iterable[Bid], lot: str) -> int:
    """How many of the others are served before this one."""
    mine = rank(bid, lot)
    return sum(rank(other, lot) < mine for other in others if other.address != bid.address)
