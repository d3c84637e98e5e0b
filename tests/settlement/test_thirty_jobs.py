"""Thirty jobs on a real chain, some failing, some cancelled, one refunded, one challenged, one proven wrong and
proposed again, a node that is slashed: the books close to the unit against a recount from the chain's logs alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from sqlalchemy import select

from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient, RewardClaim
from contracts.deploy import KILN
from contracts.embedded import EmbeddedChain
from contracts.typed_data import ruling_data
from contracts.typed_data import sign as sign_data
from coordinator.leasing.staked import lock_for
from coordinator.settlement import (
    award,
    close_epoch,
    dispute,
    look_at,
    open_escrow,
    reconcile,
    refresh_price,
    release,
    settle,
)
from coordinator.settlement.epochs import reward_tree
from coordinator.store.models import Award, Job, Receipt, Reward
from jobs.pricing import reward_units
from jobs.states import JobState
from jobs.typed_data import chain_job_id
from node.keys import NodeKey
from node.stake import join_chain
from tests.settlement.bank import Bank
from tests.settlement.recount import Books, recount
from tests.settlement.test_reconciling import WINDOW, forge, proven, rpc, wait_out
from tests.settlement.test_stakes import fresh, info, outcome, signed_twice, worker

pytestmark = [pytest.mark.chain, pytest.mark.slow]


class Plan(NamedTuple):
    """What happens to how many jobs."""

    count: int
    tiles: int
    """Tiles that pass, at most; 0: none does."""
    outcome: JobState
    funded: bool = True


PLANS = (
    Plan(19, 5, JobState.DONE),
    Plan(2, 3, JobState.FAILED),
    Plan(2, 0, JobState.FAILED),
    Plan(2, 3, JobState.CANCELLED),
    Plan(2, 0, JobState.CANCELLED),
    Plan(1, 2, JobState.DONE, funded=False),
)
"""And two more: one whose proposal is proven wrong, and one that the coordinator never settles."""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder = tmp_path_factory.mktemp("bank")
    with EmbeddedChain(folder / "chain.json") as chain:
        bank = Bank(folder, chain, challenge_window=WINDOW, auditors=(chain.keys.auditor.address,))
        refresh_price(bank.db, bank.settings)
        yield bank
        bank.db.close()


def books_of(bank: Bank) -> Books:
    where = bank.addresses
    others = (where.escrow, where.registry, where.disputes, where.distributor)
    return recount(bank.chain.url, token=where.token, contracts=others)


def close(view: ChainClient, treasury: str, books: Books) -> None:
    """Every equation that has to hold at any time, in whole units; then the contracts' own words for them."""
    where = view.addresses
    genesis = books.minted[0][1]
    rewards = sum(amount for _, amount in books.minted[1:])
    assert books.supply == sum(books.balances.values()) == view.total_supply()
    assert books.supply + books.burned == genesis + rewards
    assert rewards == sum(amount for _, amount, _ in books.claims)
    bonds = view.bond() * books.outcomes.count(3)
    assert books.burned == books.burned_by_jobs + (books.slashed - books.found) + bonds
    assert books.burned_by_jobs == view.total_burned()
    for job in books.jobs.values():
        assert len(job.outcomes) <= 1 and len(job.prices) - job.voided in (0, 1)
        if "Finalized" in job.outcomes:
            price = job.prices[-1]
            assert job.fee == price * 500 // 10_000 and job.burned == price - job.fee
        if job.outcomes:
            assert job.burned + job.fee + job.refund == job.cap
    waiting = sum(job.cap for job in books.jobs.values() if not job.outcomes)
    assert books.balances[where.escrow.lower()] == waiting
    assert books.balances[where.registry.lower()] == books.staked
    assert books.balances[where.disputes.lower()] == 0
    assert books.balances[treasury.lower()] == sum(job.fee for job in books.jobs.values())
    totals = [total for total, _ in books.roots]
    assert totals == sorted(totals) and all(total * 100 <= burned * 95 for total, burned in books.roots)
    assert sum(amount for _, amount, _ in books.claims) <= totals[-1]


def begin(bank: Bank, chance: random.Random, nodes: list[NodeKey], plan: Plan) -> str:
    """A job whose escrow is open, whose nodes' operators are locked, and whose tiles have passed."""
    job = bank.job(funds=100 * KILN if plan.funded else KILN)
    open_escrow(bank.db, bank.settings, job)
    if not plan.funded:
        assert bank.state(job).state == JobState.FAILED
        return job
    for tile in range(chance.randint(1, plan.tiles) if plan.tiles else 0):
        key = chance.choice(nodes)
        with bank.db.begin() as session:
            assert lock_for(bank.db, session, bank.settings, worker(key), job, bank.db.now())
        bank.node = key.address
        bank.passed(job, tile, chance.randint(1, 9 * KILN))
    award(bank.db, bank.settings, job)
    return job


def settle_all(bank: Bank, jobs: list[str]) -> list[str]:
    """Those that are not final yet."""
    reconcile(bank.db, bank.settings)
    return [job for job in jobs if not settle(bank.db, bank.settings, job)]


def claim_all(bank: Bank) -> None:
    """Everybody claims what the last root says, in one transaction."""
    number = bank.view.last_epoch()
    with bank.db.read() as session:
        rewards = sorted(
            (r.account, r.cumulative) for r in session.scalars(select(Reward).where(Reward.epoch == number))
        )
    tree = reward_tree(rewards)
    claims = [RewardClaim(who, units, tuple(tree.proof(i))) for i, (who, units) in enumerate(rewards)]
    bank.view.claim_many(claims)


def test_the_books_of_thirty_jobs_close_to_the_last_unit(bank: Bank) -> None:
    chance = random.Random(30)
    nodes = [fresh(bank, kiln=500) for _ in range(4)]
    for key in nodes:
        join_chain(info(bank), key, key, stake=400 * KILN)
        look_at(bank.db, bank.settings, key.address)
    # given
    jobs = {job: plan for plan in PLANS for job in [begin(bank, chance, nodes, plan) for _ in range(plan.count)]}
    wrong = begin(bank, chance, nodes, Plan(1, 3, JobState.DONE))
    bank.node = nodes[0].address
    forge(bank, wrong, 9)
    abandoned = begin(bank, chance, nodes, Plan(1, 2, JobState.DONE))
    assert len(jobs) + 2 == 30
    close_now = books_of(bank)
    assert len(close_now.jobs) == 29, "the one without tokens has no escrow"
    # when
    running = [job for job, plan in jobs.items() if plan.funded]
    for job in running:
        bank.to_settling(job, jobs[job].outcome)
    bank.to_settling(wrong)
    waiting = settle_all(bank, [*running, wrong])
    assert len(waiting) == 19 + 2 + 2 + 1, "the others gave everything back at once"
    bank.view.prove_invalid_receipt(chain_job_id(wrong), proven(bank, wrong, 9))
    challenged = waiting[0]
    bank.view.approve(bank.view.bond(), bank.addresses.disputes)
    number = bank.view.challenge(chain_job_id(challenged), nodes[1].address, b"\5" * 32)
    assert settle_all(bank, [wrong, challenged]) == [wrong, challenged]
    wait_out(bank)
    assert settle_all(bank, waiting) == [challenged]
    first = close_epoch(bank.db, bank.settings)
    ruling = sign_data(ruling_data(number, False, 0, bank.addresses), bank.chain.keys.auditor)
    bank.view.rule(number, False, 0, [ruling])
    claim_all(bank)
    strike = signed_twice(bank, nodes[3], "lease-of-thirty")
    dispute(bank.db, bank.settings, strike)
    assert outcome(bank, strike).dispute == "proven"
    assert settle_all(bank, [challenged]) == []
    second = close_epoch(bank.db, bank.settings)
    assert first is not None and second == first + 1
    for job in [*running, wrong]:
        release(bank.db, bank.settings, job)
    # then
    books = books_of(bank)
    close(bank.view, bank.chain.keys.treasury.address, books)
    assert books.balances[bank.addresses.escrow.lower()] == 100 * KILN, "the one that nobody settles"
    claim_all(bank)
    call_rpc(bank.chain.url, "evm_increaseTime", 2 * 3600)
    rpc(bank, "evm_mine")
    bank.view.refund(chain_job_id(abandoned))
    bank.to_settling(abandoned, JobState.FAILED)
    assert settle(bank.db, bank.settings, abandoned)
    release(bank.db, bank.settings, abandoned)
    assert close_epoch(bank.db, bank.settings) is None
    books = books_of(bank)
    close(bank.view, bank.chain.keys.treasury.address, books)
    assert books.balances[bank.addresses.escrow.lower()] == 0
    assert not any(lock for job in books.jobs.values() for lock in job.locks.values())
    assert books.outcomes == [3] and books.jobs[chain_job_id(wrong).hex()].voided == 1
    agrees(bank, books)


def agrees(bank: Bank, books: Books) -> None:
    """The coordinator's rows say the same as the logs, job by job and receipt by receipt."""
    with bank.db.read() as session:
        rows = session.scalars(select(Job)).all()
        receipts = session.scalars(select(Receipt)).all()
        awards = session.scalars(select(Award)).all()
    ended = {JobState.DONE: 0, JobState.FAILED: 0, JobState.CANCELLED: 0}
    for row in rows:
        ended[JobState(row.state)] += 1
        told = books.jobs.get(chain_job_id(row.id).hex())
        if told is None:
            assert row.settlement is None and row.error
            continue
        view = row.settlement or {}
        assert [int(view[name]) for name in ("burned", "fee", "refund")] == [told.burned, told.fee, told.refund]
        assert told.client == row.owner.lower()
        assert view["settlement_tx"] or told.outcomes == ["Refunded"], "somebody else's transaction"
        paid = [one for one in receipts if one.job_id == row.id and one.withdrawn is None]
        if told.burned:
            assert sum(one.price for one in paid) == told.prices[-1] == told.burned + told.fee
    assert sum(ended.values()) == 30 and ended[JobState.DONE] == 20
    assert {one.state for one in awards} == {"released"}
    earned = sum(reward_units(one.price) for one in receipts if one.epoch)
    claimed = sum(amount for _, amount, _ in books.claims)
    assert earned == books.roots[-1][0] == claimed, "all that was earned was claimed, and not a unit more"
    for one in receipts:
        burned = one.price - one.price * 500 // 10_000
        assert reward_units(one.price) * 100 <= 95 * burned + 99
