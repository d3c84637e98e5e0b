"""Who takes part: nodes that work, and nodes that try to be paid for less."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from jobs.auction import reputation
from jobs.pricing import FEE_BPS, REWARD_BPS
from verification.policy import REMEMBERED, Standing, keeps_its_word, standing
from verification.strategies import Cheat, cheats

__all__ = ["PEOPLE", "Kind", "Node", "people"]


class Kind(StrEnum):
    HONEST = "honest"
    LAZY = "lazy"
    """Leaves something out of every tile."""
    CAREFUL = "careful lazy"
    """The same in good standing, and honest work while suspicion lasts."""
    IDENTITIES = "many identities"
    """The same from the first tile on, under a new name after each refusal."""
    WASH = "wash trading"
    """Orders jobs that only its own node may do."""
    SPAM = "bid spamming"
    """Asks next to nothing, takes far more than it can do, and lets the rest lapse."""
    VANISHING = "vanishing"
    """Commits, and never uploads, every second time."""


PEOPLE = {
    Kind.HONEST: 120,
    Kind.LAZY: 20,
    Kind.CAREFUL: 12,
    Kind.IDENTITIES: 12,
    Kind.WASH: 12,
    Kind.SPAM: 12,
    Kind.VANISHING: 12,
}
"""200 nodes."""
WINDOW = 24
KEPT = (10_000 - FEE_BPS) * REWARD_BPS / 100_000_000
"""What of a price reaches its node."""


@dataclass
class Node:
    """One machine and its operator. Amounts in units of KILN, hours in kiln-hours."""

    name: str
    kind: Kind
    score: float
    cost: float
    """Running cost in USD per kiln-hour of work that is really done."""
    cheat: Cheat | None
    ask: float = 0.0
    suspicion: int = 0
    identity: int = 0
    stopped: bool = False
    free: float = 0.0
    used: float = 0.0
    taken: float = 0.0
    rewards: int = 0
    expenses: int = 0
    slashed: int = 0
    spent: int = 0
    """On jobs of its own, less what came back of them."""
    tiles: int = 0
    refused: int = 0
    remembered: deque[bool] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Its last judged tiles under its present name: whether each was refused."""
    kept: dict[int, int] = field(default_factory=dict)
    lapsed: dict[int, int] = field(default_factory=dict)
    """Leases by epoch."""
    waiting: list[tuple[int, str]] = field(default_factory=list)
    """Stakes that unbond: epoch in which each is free, and its account."""

    @property
    def account(self) -> str:
        return f"node:{self.name}"

    @property
    def stake(self) -> str:
        return f"stake:{self.name}:{self.identity}"

    @property
    def address(self) -> str:
        return "0x" + (f"{int(self.name):038x}" + "00")[:40]

    @property
    def profit(self) -> int:
        return self.rewards - self.expenses - self.slashed - self.spent

    @property
    def reputation(self) -> float:
        """As the coordinator's, of what it did under its present name."""
        refused = sum(self.remembered)
        return reputation(len(self.remembered) - refused, refused)

    def may_work(self, epoch: int) -> bool:
        """Not stopped, and not known for leases that lapse; an epoch is an hour, and a day is looked at."""
        recent = range(max(0, epoch - WINDOW + 1), epoch + 1)
        kept, lapsed = (sum(seen.get(one, 0) for one in recent) for seen in (self.kept, self.lapsed))
        return not self.stopped and keeps_its_word(kept, lapsed)

    def cheats_now(self) -> bool:
        """Whether the next tile is faked."""
        if self.cheat is None:
            return False
        return self.kind is not Kind.CAREFUL or standing(self.suspicion) is Standing.GOOD

    def saved(self) -> float:
        """Share of a tile's work that it leaves out."""
        return self.cheat.saves if self.cheat is not None and self.cheats_now() else 0.0

    def lowest_ask(self) -> float:
        """USD per kiln-hour at which its own way of working just pays, were it never refused."""
        honest = self.cost / KEPT
        if self.kind is Kind.CAREFUL:
            return honest  # much of what it does is honest work
        if self.kind is Kind.SPAM:
            return honest * 0.2
        return honest * max(0.2, 1 - (self.cheat.saves if self.cheat is not None else 0.0))

    def bid(self, busy: float) -> None:
        """A new ask: less where it idled, more where it was asked for all the time."""
        change = 0.96 if busy < 0.5 else 1.03 if busy > 0.9 else 1.0
        self.ask = max(self.lowest_ask(), self.ask * change)


def people(rng: np.random.Generator, share: float = 1.0) -> list[Node]:
    """Everybody. Machines and costs are spread alike over each kind, so that kinds differ by what they do alone; those
    that leave something out take turns among the cheats of verification.strategies that save anything."""
    ways = [cheat for cheat in cheats() if cheat.saves > 0.01 and not cheat.frames]
    ways.sort(key=lambda cheat: cheat.at_floor() - cheat.saves)  # the most promising first
    found: list[Node] = []
    for kind, whole in PEOPLE.items():
        count = max(6, round(whole * share))
        dearness = rng.permutation(count)
        for number in range(count):
            cheating = kind in (Kind.LAZY, Kind.CAREFUL, Kind.IDENTITIES)
            node = Node(
                name=str(len(found) + 1), kind=kind, score=0.5 + 1.5 * (number + 0.5) / count,
                cost=0.05 + 0.07 * (float(dearness[number]) + 0.5) / count,
                cheat=ways[number % len(ways)] if cheating else None,
            )  # fmt: skip
            node.ask = node.lowest_ask() * float(rng.uniform(1.2, 2.5))
            found.append(node)
    return found
