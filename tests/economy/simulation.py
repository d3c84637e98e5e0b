"""The economy, tile by tile: jobs are quoted, escrowed, worked on, audited, settled and rewarded by the functions that
the coordinator uses (pricing, quoting, policy, drawing, reward tree), over integer amounts.

What is modelled is what stands around them: who asks for what, who takes a tile, and how long it takes. A tile goes to
whoever comes first among the nodes that ask no more than its job pays and have time left, as claims do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from coordinator.admission.quoting import hourly_price
from coordinator.config import LeaseSettings, Settings
from coordinator.settlement.epochs import reward_tree
from jobs.auction import counted_asks
from jobs.pricing import UNIT, divide_price, price_usd, reward_units, split_price, to_units
from tests.economy.agents import Kind, Node, people
from tests.economy.ledger import Ledger
from verification.challenge import draw_cells
from verification.economics import DEFAULT_STAKE_USD
from verification.policy import FLOOR, Standing, after_accept, after_refusal, probes, repeats, standing

__all__ = ["Economy", "Epoch", "simulate"]

RATE = Decimal(10)
"""KILN per USD, as coordinator.config.Settings has it."""
REFERENCE: float = Settings.model_fields["usd_per_kiln_hour"].default
"""USD per kiln-hour that the deployment offers where nobody asks."""
EPOCH_HOURS = 1.0
TILE_HOURS = 600 / 3600
"""The longest tile that is planned (jobs.planner)."""
CELLS = 1000
FAULTS = 1e-6
"""Cells of an honest tile that come out wrong: memory errors."""
CAP = Decimal("1.25")
STAKE = to_units(Decimal(str(DEFAULT_STAKE_USD)), RATE)
UNBONDING = 10
"""Epochs until a stake that was given back is free."""
MACHINES = 4
MOST_ATTEMPTS = LeaseSettings().max_attempts
CLIENTS = 40
ENDOWMENT = 20_000 * UNIT
SAVINGS = 4 * STAKE
"""What a node begins with: its stake, and some for other names."""
SPAM_FACTOR = 5


@dataclass
class Epoch:
    """What an epoch came to, in units of KILN; price in USD per kiln-hour."""

    price: float
    burned: int
    minted: int
    supply: int
    jobs: int
    failed: int
    refused: int
    profit: dict[Kind, int] = field(default_factory=dict)
    """Cumulative, for a machine of score 1 of the kind."""


class Economy:
    """All state of one run."""

    def __init__(self, seed: int, share: float = 1.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes = people(self.rng, share)
        endowment = {f"client:{i}": ENDOWMENT for i in range(CLIENTS)}
        endowment |= {node.account: SAVINGS for node in self.nodes}
        self.ledger = Ledger(endowment)
        self.cumulative: dict[str, int] = {}
        self.pending: list[tuple[Node, int]] = []
        self.receipts: list[tuple[int, int]] = []
        """(price, reward) of every receipt that was ever paid."""
        self.epochs: list[Epoch] = []
        self.roots: list[bytes] = []
        for node in self.nodes:
            self.ledger.move(node.account, node.stake, STAKE)

    def run(self, epochs: int, jobs: int) -> None:
        for number in range(epochs):
            self._epoch(number, jobs * (number + 1) // epochs - jobs * number // epochs)

    def _epoch(self, number: int, jobs: int) -> None:
        burned, minted, refusals = self.ledger.burned, self.ledger.minted, sum(node.refused for node in self.nodes)
        for node in self.nodes:
            node.free, node.used, node.taken = node.score * EPOCH_HOURS, 0.0, 0.0
            self._unbond(node, number)
        prices, failed = [], 0
        for index in range(jobs):
            paid = self._job(f"{number}:{index}", f"client:{self.rng.integers(CLIENTS)}", None, number)
            prices += [paid] if paid is not None else []
            failed += paid is None
        for node in self.nodes:
            if node.kind is Kind.WASH and not node.stopped:
                self._job(f"{number}:wash:{node.name}", node.account, node, number)
        self._close()
        for node in self.nodes:
            node.bid(node.taken / (node.score * EPOCH_HOURS))
        self.ledger.check()
        self.epochs.append(
            Epoch(
                float(np.mean(prices)) if prices else float("nan"), self.ledger.burned - burned,
                self.ledger.minted - minted, self.ledger.supply, jobs, failed,
                sum(node.refused for node in self.nodes) - refusals, self.profits(),
            )
        )  # fmt: skip

    def profits(self) -> dict[Kind, int]:
        """Mean profit of each kind so far for a machine of score 1, units rounded down."""
        profit: dict[Kind, int] = dict.fromkeys(Kind, 0)
        score: dict[Kind, float] = dict.fromkeys(Kind, 0.0)
        for node in self.nodes:
            profit[node.kind] += node.profit
            score[node.kind] += node.score
        return {kind: int(Decimal(profit[kind]) // Decimal(str(score[kind]))) for kind in Kind}

    def _job(self, job: str, client: str, only: Node | None, epoch: int) -> float | None:
        """Quote, escrow, tiles, settlement; the hourly price, or None where it came to nothing."""
        tiles = int(self.rng.integers(6, 30))
        weights = [float(w) for w in self.rng.uniform(0.5, 1.0, tiles)]
        hours = sum(weights) * TILE_HOURS
        able = [node for node in self.nodes if node.may_work(epoch) and (only is None or node is only)]
        bidding = [node for node in able if node.free > 0 or node.kind is Kind.SPAM]
        asks = counted_asks([(node.ask, node.score, node.reputation) for node in bidding], REFERENCE)
        offered = hourly_price(asks, hours, 3600, MACHINES)
        if offered is None:
            return None
        price = to_units(price_usd(hours, offered), RATE)
        cap = int(Decimal(price) * CAP)
        if self.ledger.balances[client] < cap:
            return None
        escrow = f"escrow:{job}"
        self.ledger.move(client, escrow, cap)
        passed = 0
        for index, (share, weight) in enumerate(zip(divide_price(price, weights), weights, strict=True)):
            done = self._tile(f"{job}:{index}", able, offered, weight * TILE_HOURS, epoch)
            if done is None:
                break  # what had passed is paid, the rest refunded
            self.pending.append((done, share))
            passed += share
        split = split_price(cap, passed)
        self.ledger.burn(escrow, split.burned)
        self.ledger.move(escrow, "treasury", split.fee)
        self.ledger.move(escrow, client, split.refund)
        if only is not None:
            only.spent += cap - split.refund
        return offered

    def _tile(self, tile: str, able: list[Node], offered: float, hours: float, epoch: int) -> Node | None:
        """Lease after lease until one passes; its node, or None after the last attempt."""
        excluded: set[str] = set()
        for _ in range(MOST_ATTEMPTS):
            takers = [
                node
                for node in able
                if node.ask <= offered * (1 + 1e-9)
                and node.may_work(epoch)
                and node.name not in excluded
                and (node.free > 0 or (node.kind is Kind.SPAM and node.taken < SPAM_FACTOR * node.score))
            ]
            if not takers:
                return None
            node = takers[int(self.rng.integers(len(takers)))]
            node.tiles += 1
            if self._works(node, tile, hours, epoch):
                return node
            excluded.add(node.name)
        return None

    def _works(self, node: Node, tile: str, hours: float, epoch: int) -> bool:
        """One lease: whether its tile passes. The machine's time and its running cost are charged in any case."""
        node.taken += hours
        if node.kind is Kind.SPAM and node.free <= 0:
            return self._lapses(node, epoch)
        spent = hours * (1 - node.saved())
        node.free -= spent
        node.used += spent
        node.expenses += to_units(Decimal(str(spent * node.cost)), RATE)
        if node.kind is Kind.VANISHING and self.rng.random() < 0.5:
            return self._lapses(node, epoch)
        node.kept[epoch] = node.kept.get(epoch, 0) + 1
        floor = node.cheat.floor if node.cheat is not None else FLOOR
        wanted = probes(node.suspicion, cells=CELLS, floor=floor)
        faked = max(1, round(node.cheat.touches * CELLS)) if node.cheat is not None and node.cheats_now() else 0
        if not faked:
            caught = bool(self.rng.random() < 1 - (1 - FAULTS) ** wanted)
        else:
            secret = self.rng.bytes(32)
            drawn = draw_cells(self.rng.bytes(32), tile, secret, cells=CELLS, probes=wanted)
            # Which cells are faked is the node's choice, which cells are drawn is not: any fixed set will do.
            caught = any(cell < faked for cell in drawn)
        node.remembered.append(caught)
        if not caught:
            node.suspicion = after_accept(node.suspicion, wanted)
            return True
        node.refused += 1
        node.suspicion = after_refusal(node.suspicion)
        self._consequences(node, epoch)
        return False

    @staticmethod
    def _lapses(node: Node, epoch: int) -> bool:
        node.lapsed[epoch] = node.lapsed.get(epoch, 0) + 1
        return False

    def _consequences(self, node: Node, epoch: int) -> None:
        """A pattern costs the stake, half of it to whoever found it; who has many names takes the next one before."""
        if standing(node.suspicion) is Standing.PATTERN or repeats(sum(node.remembered)):
            stake = self.ledger.balances[node.stake]
            self.ledger.burn(node.stake, stake - stake // 2)
            self.ledger.move(node.stake, "treasury", stake // 2)
            node.slashed += stake
            node.stopped = True
        elif node.kind is Kind.IDENTITIES:
            node.waiting.append((epoch + UNBONDING, node.stake))
            node.identity, node.suspicion = node.identity + 1, 0
            node.remembered.clear()
            if self.ledger.balances[node.account] >= STAKE:
                self.ledger.move(node.account, node.stake, STAKE)
            else:
                node.stopped = True  # until a stake is free again

    def _unbond(self, node: Node, epoch: int) -> None:
        for due, stake in [one for one in node.waiting if one[0] <= epoch]:
            self.ledger.move(stake, node.account, self.ledger.balances[stake])
            node.waiting.remove((due, stake))
        if node.kind is Kind.IDENTITIES and node.stopped and self.ledger.balances[node.account] >= STAKE:
            self.ledger.move(node.account, node.stake, STAKE)
            node.stopped = False

    def _close(self) -> None:
        """The epoch's cumulative rewards under one root; each node is paid what its own grew by."""
        before = dict(self.cumulative)
        for node, price in self.pending:
            reward = reward_units(price)
            self.cumulative[node.address] = self.cumulative.get(node.address, 0) + reward
            self.receipts.append((price, reward))
        self.pending.clear()
        if not self.cumulative:
            return
        self.roots.append(reward_tree(list(self.cumulative.items())).root)
        for node in self.nodes:
            due = self.cumulative.get(node.address, 0) - before.get(node.address, 0)
            assert due >= 0, "a cumulative reward fell"
            self.ledger.mint(node.account, due)
            node.rewards += due


def simulate(*, seed: int = 1, epochs: int = 50, jobs: int = 2000, share: float = 1.0) -> Economy:
    """A run. `share` of the 200 nodes takes part."""
    economy = Economy(seed, share)
    economy.run(epochs, jobs)
    return economy
