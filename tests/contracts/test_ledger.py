"""The books recounted from logs alone are the contracts' own, to the unit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.client import ChainClient, RewardClaim
from contracts.deploy import KILN
from contracts.embedded import EmbeddedChain
from contracts.errors import ChainError
from contracts.ledger import read_ledger
from contracts.typed_data import reward_leaf
from coordinator.cli.ledger import ledger_report

from .conftest import WINDOW, make_stack

pytestmark = pytest.mark.chain


def test_the_books_close(new_chain: Callable[[], EmbeddedChain], tmp_path: Path) -> None:
    """Two epochs with jobs, fees and claims, a refund, and a burning by hand."""
    chain = new_chain()
    chain.start()
    stack = make_stack(chain, tmp_path)
    coordinator = stack.coordinator
    node = stack.client_with(0).address
    genesis = coordinator.total_supply()
    for epoch, prices in enumerate(([10, 20], [30]), start=1):
        for price in prices:
            job, _ = stack.opened()
            coordinator.propose(job, price * KILN, b"r" * 32, 1)
            stack.pass_time(WINDOW)
            coordinator.finalize(job)
        cancelled, _ = stack.opened()
        coordinator.cancel(cancelled)
        earned = 10 * KILN * epoch
        coordinator.post_root(epoch, reward_leaf(node, earned), earned)
        coordinator.claim_many([RewardClaim(node, earned, ())])
    token = stack.faucet._token
    burning = stack.faucet.transactions.prepare("burn", token.address, token.encode_abi("burn", [7]))
    stack.faucet.transactions.run(burning)

    ledger = read_ledger(coordinator)
    assert ledger.supply == coordinator.total_supply() == ledger.minted - ledger.burned
    assert ledger.minted == genesis + 20 * KILN
    first, second, third = ledger.epochs
    assert (first.jobs, first.burned_by_jobs, first.fees) == (2, 285 * KILN // 10, 15 * KILN // 10)
    assert (second.jobs, second.burned_by_jobs, second.rewards_minted) == (1, 285 * KILN // 10, 10 * KILN)
    assert (first.minted_otherwise, second.minted_otherwise) == (genesis, 0)
    assert (third.jobs, third.posted_block, third.burned_otherwise, third.rewards_minted) == (0, None, 7, 10 * KILN)
    assert first.burned_by_jobs + second.burned_by_jobs == coordinator.total_burned()
    report = ledger_report(ledger)
    assert report["supply"] == str(ledger.supply) and report["epochs"][1]["total"] == str(20 * KILN)

    recent = replace(stack.addresses, deploy_block=ledger.block)
    with pytest.raises(ChainError, match="ask one that keeps all"):
        read_ledger(ChainClient(chain.url, recent))
