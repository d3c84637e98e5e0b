"""What must hold of every run."""

from __future__ import annotations

from jobs.pricing import FEE_BPS, REWARD_BPS
from tests.economy.agents import Kind
from tests.economy.simulation import Economy

__all__ = ["check"]


def check(economy: Economy) -> None:
    """Raises AssertionError, with what does not hold."""
    economy.ledger.check()
    profits = economy.profits()
    honest = profits.pop(Kind.HONEST)
    assert honest > 0, f"honest work does not pay: {honest}"
    for kind, profit in profits.items():
        assert profit < honest, f"{kind} earns {profit}, honest work {honest}"
    nodes = [node for node in economy.nodes if node.kind is Kind.HONEST]
    assert not any(node.stopped or node.slashed for node in nodes), "an honest node was taken for a cheat"
    for price, reward in economy.receipts:
        burned = price - price * FEE_BPS // 10_000
        assert reward * 10_000 <= burned * REWARD_BPS, f"a receipt of {price} earned {reward}"
    rewards = sum(reward for _, reward in economy.receipts)
    assert rewards == sum(economy.cumulative.values()) == economy.ledger.minted, "rewards and receipts do not agree"
    assert len(set(economy.roots)) > 1, "no rewards were posted"
    held = {account: units for account, units in economy.ledger.balances.items() if account.startswith("escrow:")}
    assert not any(held.values()), "an escrow was left open"
