"""Escrow, settlement and rewards on a real chain: every unit once, and each step again after any crash."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.client import ChainClient, PreparedTx
from contracts.client import JobState as OnChain
from contracts.deploy import KILN
from contracts.embedded import EmbeddedChain
from contracts.errors import ChainUnavailable
from coordinator.settlement import chain as settlement_chain
from coordinator.settlement import close_epoch, open_escrow, reconcile, settle, transactions
from coordinator.settlement.epochs import reward_tree
from coordinator.settlement.receipts import job_receipts, receipt_tree
from coordinator.store.models import ChainTransaction, Reward
from jobs.pricing import reward_units, split_price
from jobs.states import JobState
from jobs.typed_data import chain_job_id
from tests.settlement.bank import Bank

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder = tmp_path_factory.mktemp("bank")
    with EmbeddedChain(folder / "chain.json") as chain:
        bank = Bank(folder, chain)
        yield bank
        bank.db.close()


def test_a_job_is_paid_to_the_unit_and_its_nodes_are_rewarded(bank: Bank) -> None:
    """cap = burned + fee + refund; supply falls by what burned; a receipt is provable on chain; a claim mints what
    close_epoch computed, at most 0.95 x burned."""
    prices = (7 * KILN + 1, 11 * KILN + 3, 5)
    job_id = bank.job(prices=prices)
    owner = bank.state(job_id).owner
    open_escrow(bank.db, bank.settings, job_id)
    assert bank.state(job_id).state == JobState.RUNNING
    assert bank.view.balance_of(owner) == 0
    bank.to_settling(job_id)
    supply = bank.view.total_supply()
    assert settle(bank.db, bank.settings, job_id)
    job = bank.state(job_id)
    split = split_price(100 * KILN, sum(prices))
    assert job.state == JobState.DONE and job.settlement is not None
    assert int(job.settlement["burned"]) == split.burned == supply - bank.view.total_supply()
    assert bank.view.balance_of(owner) == split.refund
    with bank.db.read() as session:
        receipts = job_receipts(session, job_id)
        tree = receipt_tree(receipts)
    assert bank.view.escrow(chain_job_id(job_id)).receipt_root == tree.root
    number = close_epoch(bank.db, bank.settings)
    assert number is not None and bank.view.last_epoch() == number
    with bank.db.read() as session:
        rewards = [(r.account, r.cumulative) for r in session.query(Reward).filter(Reward.epoch == number)]
    earned = dict(rewards)[bank.node]
    assert earned >= sum(map(reward_units, prices)) and sum(map(reward_units, prices)) * 100 <= split.burned * 95
    index = sorted(rewards).index((bank.node, earned))
    bank.view.claim(bank.node, earned, reward_tree(rewards).proof(index))
    assert bank.view.balance_of(bank.node) == earned
    assert close_epoch(bank.db, bank.settings) is None


def test_nothing_passed_gives_all_of_it_back(bank: Bank) -> None:
    job_id = bank.job()
    open_escrow(bank.db, bank.settings, job_id)
    bank.to_settling(job_id, JobState.FAILED)
    assert settle(bank.db, bank.settings, job_id)
    job = bank.state(job_id)
    assert job.state == JobState.FAILED and job.settlement is not None and int(job.settlement["refund"]) == 100 * KILN
    assert bank.view.balance_of(job.owner) == 100 * KILN


def test_too_few_tokens_fail_the_job_with_a_line_that_says_so(bank: Bank) -> None:
    job_id = bank.job(funds=1 * KILN)
    open_escrow(bank.db, bank.settings, job_id)
    job = bank.state(job_id)
    assert job.state == JobState.FAILED
    assert job.error is not None and "\n" not in job.error and "escrow could not be opened" in job.error


@pytest.mark.parametrize("step", ["after_write", "after_send"])
@pytest.mark.parametrize("fatal", range(1, 3))
@pytest.mark.parametrize("price", [3 * KILN, 0])
def test_a_crash_between_any_two_steps_pays_once(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, step: str, fatal: int, price: int
) -> None:
    """The process dies after writing a transaction down, or after sending it, at its first or second transaction of
    the settlement; what comes after it finds everything and pays exactly once. So it is where nothing passed of what
    was acknowledged, and a price of nothing is proposed."""
    job_id, outcome = bank.job(prices=(price,) if price else ()), JobState.DONE if price else JobState.FAILED
    open_escrow(bank.db, bank.settings, job_id)
    if not price:
        bank.delivered(job_id)
    bank.to_settling(job_id, outcome)
    seen = 0

    class Died(BaseException):
        """Not an Exception: nothing may catch it, as nothing catches kill -9."""

    real = ChainClient.send

    def send(self: ChainClient, raw: bytes) -> str:
        nonlocal seen
        seen += 1
        if seen == fatal:
            if step == "after_send":
                real(self, raw)
            raise Died
        return real(self, raw)

    monkeypatch.setattr(ChainClient, "send", send)
    with pytest.raises(Died):
        settle(bank.db, bank.settings, job_id)
    monkeypatch.undo()
    supply = bank.view.total_supply()
    reconcile(bank.db, bank.settings)
    assert settle(bank.db, bank.settings, job_id)
    assert settle(bank.db, bank.settings, job_id)
    job = bank.state(job_id)
    assert job.state == outcome
    assert bank.view.escrow(chain_job_id(job_id)).state is OnChain.FINALIZED
    assert bank.view.balance_of(job.owner) == 100 * KILN - price
    assert supply - bank.view.total_supply() in (0, split_price(100 * KILN, price).burned)
    with bank.db.read() as session:
        keys = [row.key for row in session.query(ChainTransaction) if job_id in row.key]
    assert sorted(keys) == sorted(f"{kind}:{job_id}" for kind in ("open", "propose", "finalize"))


def test_a_chain_that_is_away_leaves_the_job_where_it_was(bank: Bank) -> None:
    job_id = bank.job()
    away = bank.settings.model_copy(
        update={"chain": bank.settings.chain.model_copy(update={"rpc_url": "http://127.0.0.1:1"})}
    )
    with pytest.raises(ChainUnavailable):
        open_escrow(bank.db, away, job_id)
    assert bank.state(job_id).state == JobState.OPENING
    open_escrow(bank.db, bank.settings, job_id)
    assert bank.state(job_id).state == JobState.RUNNING


def test_two_processes_never_share_a_nonce(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both saw the same free nonce; the database lets one have it, the other takes the next."""
    jobs = [bank.job(), bank.job()]
    real = ChainClient.next_nonce
    stale = real(settlement_chain.client(bank.settings))
    monkeypatch.setattr(ChainClient, "next_nonce", lambda self: min(stale, real(self)))
    for job_id in jobs:
        open_escrow(bank.db, bank.settings, job_id)
    assert {bank.state(job_id).state for job_id in jobs} == {JobState.RUNNING}


def test_what_a_chain_forgot_is_sent_again(bank: Bank, tmp_path: Path) -> None:
    """kill -9 of the chain right after a transaction: it comes back without its last moments, and reconcile sends
    the very same bytes again."""
    with EmbeddedChain(tmp_path / "chain.json") as chain:
        other = Bank(tmp_path, chain)
        chain.save()
        frozen = (tmp_path / "chain.json").read_bytes()
        job_id = other.job()
        funded = other.view.balance_of(other.state(job_id).owner)
        assert funded == 100 * KILN
        chain.save()
        frozen = (tmp_path / "chain.json").read_bytes()
        open_escrow(other.db, other.settings, job_id)
        chain.stop()
        (tmp_path / "chain.json").write_bytes(frozen)
        chain.start()
        time.sleep(0.1)
        settlement_chain._local.__dict__.clear()
        assert other.view.escrow(chain_job_id(job_id)).state.name == "NONE"
        assert reconcile(other.db, other.settings) >= 1
        assert other.view.escrow(chain_job_id(job_id)).state.name == "OPEN"
        other.db.close()


def test_a_refused_transaction_frees_its_key(bank: Bank) -> None:
    """A transaction that is mined and refused is kept under another name: the step can be tried again."""
    job_id = bank.job()
    open_escrow(bank.db, bank.settings, job_id)

    def bad(chain: ChainClient, nonce: int) -> PreparedTx:
        return chain.prepare_finalize(chain_job_id(job_id), nonce=nonce, gas_limit=200_000)

    with pytest.raises(Exception, match="WrongState"):
        transactions.transact(bank.db, bank.settings, f"finalize:{job_id}", bad)
    bank.passed(job_id, 0, KILN)
    bank.to_settling(job_id)
    assert settle(bank.db, bank.settings, job_id)
