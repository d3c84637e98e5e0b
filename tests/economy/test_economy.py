"""The simulated economy in small: whatever is drawn, the books close and honest work pays best."""

from __future__ import annotations

import pytest

from jobs.pricing import UNIT
from tests.economy.agents import Kind
from tests.economy.claims import check
from tests.economy.ledger import Ledger, Short
from tests.economy.simulation import simulate


@pytest.mark.parametrize("seed", [1, 2])
def test_no_dishonest_strategy_earns_more_than_honest_work(seed: int) -> None:
    """A fifth of everybody, 200 jobs in 20 epochs: books, receipts, roots and profits."""
    economy = simulate(seed=seed, epochs=20, jobs=200, share=0.2)
    check(economy)
    kinds = {node.kind for node in economy.nodes if node.tiles}
    assert kinds == set(Kind), "somebody did not take part"


def test_the_same_seed_gives_the_same_books() -> None:
    first, second = (simulate(seed=3, epochs=3, jobs=20, share=0.1) for _ in range(2))
    assert first.ledger.balances == second.ledger.balances and first.roots == second.roots


def test_a_check_that_must_fail_fails() -> None:
    """One unit too few or too many, a reward beyond its receipt, a cheat that earns most: each is seen."""
    economy = simulate(seed=3, epochs=20, jobs=200, share=0.2)
    check(economy)
    economy.ledger.balances["treasury"] += 1
    with pytest.raises(AssertionError, match="units were lost or made"):
        check(economy)
    economy.ledger.balances["treasury"] -= 1
    economy.receipts.append((UNIT, UNIT))
    with pytest.raises(AssertionError, match="earned"):
        check(economy)
    economy.receipts.pop()
    lazy = next(node for node in economy.nodes if node.kind is Kind.LAZY)
    lazy.rewards += 10**6 * UNIT
    with pytest.raises(AssertionError, match="lazy earns"):
        check(economy)


def test_nobody_pays_what_he_has_not() -> None:
    ledger = Ledger({"a": 5})
    with pytest.raises(Short):
        ledger.move("a", "b", 6)
    ledger.burn("a", 5)
    assert ledger.supply == 0
    ledger.check()
