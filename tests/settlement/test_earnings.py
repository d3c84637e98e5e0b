"""What a node earned, and how it gets into its owner's wallet: rows, chain and program say the same to the unit."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from eth_account import Account as Key
from sqlalchemy import select, update

from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient
from contracts.deploy import KILN
from contracts.embedded import EmbeddedChain
from contracts.typed_data import Commitment, commitment_data, ruling_data, sign
from coordinator.settlement import close_epoch, dispute, open_escrow, settle
from coordinator.store.models import Work
from coordinator.views import earnings_view
from jobs.errors import BadInput
from jobs.pricing import reward_units
from jobs.wire import EarningsView, Info
from node.earnings import ALL, claim_rewards, earnings_lines, unbond_stake, withdraw_stake
from node.keys import NodeKey
from node.stake import join_chain
from node.stake.rpc import ContractSaysNo
from tests.settlement.bank import Bank
from tests.settlement.test_stakes import info, signed_twice

pytestmark = pytest.mark.chain
FIRST, SECOND = (7 * KILN + 1, 11 * KILN + 3), (5 * KILN,)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder = tmp_path_factory.mktemp("earnings")
    with EmbeddedChain(folder / "chain.json") as chain:
        bank = Bank(folder, chain)
        yield bank
        bank.db.close()


def account(bank: Bank, kiln: int = 0) -> NodeKey:
    key = NodeKey(secrets.token_bytes(32))
    call_rpc(bank.chain.url, "anvil_setBalance", key.address, hex(10**18))
    if kiln:
        bank.view.transfer(key.address, kiln * KILN)
    return key


def passed(bank: Bank, prices: tuple[int, ...]) -> str:
    job_id = bank.job(prices=prices)
    open_escrow(bank.db, bank.settings, job_id)
    bank.to_settling(job_id)
    assert settle(bank.db, bank.settings, job_id)
    return job_id


def view(bank: Bank, key: NodeKey, job: str | None = None) -> EarningsView:
    with bank.db.read() as session:
        return earnings_view(session, bank.settings, key.address, job=job)


def where(bank: Bank) -> Info:
    return info(bank)


def test_earned_paid_and_claimed_to_the_unit(bank: Bank) -> None:
    """Frame by frame, job by job, epoch by epoch; a claim mints what was claimable, and once."""
    key = account(bank)
    bank.node = key.address
    first = passed(bank, FIRST)
    with bank.db.begin() as session:
        # One tile of three frames, one of a single frame of them.
        for work, frames in zip(session.scalars(select(Work).where(Work.job_id == first).order_by(Work.index)),
                                ([1, 2, 3], [3]), strict=True):  # fmt: skip
            session.execute(update(Work).where(Work.id == work.id).values(payload={"frames": frames}))
    rewards = [reward_units(price) for price in FIRST]
    before = view(bank, key)
    assert (before.tiles, before.earned, before.unpaid) == (2, sum(rewards), sum(rewards))
    assert before.rewards is not None and (before.rewards.claimable, before.rewards.claimed) == (0, 0)
    assert claim_rewards(where(bank), before.rewards, key, rpc=None) is None
    number = close_epoch(bank.db, bank.settings)
    second = passed(bank, SECOND)
    found = view(bank, key)
    assert (found.earned, found.unpaid) == (sum(rewards) + reward_units(SECOND[0]), reward_units(SECOND[0]))
    assert [(one.job, one.tiles, one.amount, one.epoch) for one in found.jobs] == [
        (second, 1, reward_units(SECOND[0]), None), (first, 2, sum(rewards), number),
    ]  # fmt: skip
    assert [(one.epoch, one.tiles, one.amount) for one in found.epochs] == [(number, 2, sum(rewards))]
    frames = view(bank, key, first).frames
    assert [(one.frame, one.tiles) for one in frames] == [(1, 1), (2, 1), (3, 2)]
    assert sum(one.amount for one in frames) == sum(rewards)
    assert frames[0].amount == rewards[0] // 3 + rewards[0] % 3 and frames[2].amount == rewards[0] // 3 + rewards[1]
    assert found.rewards is not None and found.rewards.claimable == sum(rewards)
    assert claim_rewards(where(bank), found.rewards, account(bank), rpc=None) is not None, "anybody may pay the gas"
    assert bank.view.balance_of(key.address) == sum(rewards)
    with pytest.raises(ContractSaysNo, match="nothing is left to claim"):
        claim_rewards(where(bank), found.rewards, key, rpc=None)
    after = view(bank, key)
    assert after.rewards is not None and (after.rewards.claimable, after.rewards.claimed) == (0, sum(rewards))
    lines = earnings_lines(after)
    assert all(len(line) <= 80 for line in lines), [line for line in lines if len(line) > 80]
    assert any(line.startswith("claimed") and "16.245000" in line for line in lines)


def test_a_wrong_proof_claims_nothing(bank: Bank) -> None:
    """More than the root says, and somebody else's proof: one line each."""
    key, other = account(bank), account(bank)
    for one in (key, other):
        bank.node = one.address
        passed(bank, (KILN,))
    close_epoch(bank.db, bank.settings)
    mine, theirs = view(bank, key).rewards, view(bank, other).rewards
    assert mine is not None and theirs is not None
    for wrong in (
        mine.model_copy(update={"cumulative": mine.cumulative + 1}), mine.model_copy(update={"proof": theirs.proof}),
    ):  # fmt: skip
        with pytest.raises(ContractSaysNo, match="does not fit the root") as refused:
            claim_rewards(where(bank), wrong, key, rpc=None)
        assert "\n" not in str(refused.value)
    assert bank.view.balance_of(key.address) == 0


def test_stake_leaves_by_unbonding(bank: Bank) -> None:
    """At stake, unbonding, withdrawn; too early, too much and nothing at all are one line each."""
    key = account(bank, kiln=100)
    join_chain(where(bank), key, key, stake=60 * KILN)
    found = view(bank, key).stake
    assert found is not None and (found.registered, found.staked, found.unbonding) == (True, 60 * KILN, 0)
    with pytest.raises(ContractSaysNo, match="nothing is unbonding"):
        withdraw_stake(where(bank), key, rpc=None)
    with pytest.raises(ContractSaysNo, match=r"60\.000000 KILN are at stake and 61\.000000 were to leave"):
        unbond_stake(where(bank), key, 61 * KILN, rpc=None)
    unbond_stake(where(bank), key, 20 * KILN, rpc=None)
    with pytest.raises(ContractSaysNo, match="can be withdrawn in"):
        withdraw_stake(where(bank), key, rpc=None)
    found = view(bank, key).stake
    assert found is not None and (found.staked, found.unbonding) == (40 * KILN, 20 * KILN)
    unbond_stake(where(bank), key, ALL, rpc=None)
    call_rpc(bank.chain.url, "evm_increaseTime", bank.view.unbonding_period() + 1)
    call_rpc(bank.chain.url, "evm_mine")
    withdraw_stake(where(bank), key, rpc=None)
    assert bank.view.balance_of(key.address) == 100 * KILN
    with pytest.raises(BadInput, match="--rpc"):
        unbond_stake(info(bank, rpc_url=None), key, 1, rpc=None)


def test_what_was_slashed_is_shown_with_the_reason_whoever_proved_it(bank: Bank) -> None:
    """Once by this gateway, once by a stranger, once by auditors: to the unit what the chain took, and why."""
    key, stranger = account(bank, kiln=200), account(bank, kiln=200)
    bank.node = key.address
    passed(bank, (KILN,))
    join_chain(where(bank), key, key, stake=160 * KILN)
    strike = signed_twice(bank, key, "lease-1")
    dispute(bank.db, bank.settings, strike)
    finder = ChainClient(bank.chain.url, bank.addresses, stranger._secret)
    lease = secrets.token_bytes(32)
    made = [Commitment(lease, 1, bytes([number]) * 32, 64) for number in (1, 2)]
    signer = Key.from_key(key._secret)
    one, two = (sign(commitment_data(each, bank.addresses), signer) for each in made)
    finder.prove_equivocation(made[0], one, made[1], two)
    finder.approve(100 * KILN, bank.addresses.disputes)
    number = finder.challenge(None, key.address, bytes(32))
    auditor = bank.chain.keys.deployer
    ruling = sign(ruling_data(number, True, 1000, bank.addresses), auditor)
    finder.rule(number, True, 1000, [ruling])
    found = view(bank, key)
    assert [one.amount for one in found.slashes] == [80 * KILN, 4 * KILN, 40 * KILN]
    assert found.slashed == 124 * KILN == 160 * KILN - bank.view.stake_of(key.address).active
    mine, ruled, theirs = found.slashes
    assert (mine.why, mine.job) == ("it signed two commitments", "j") and ruled.job is None is theirs.job
    assert ruled.why == f"auditors upheld challenge {number} (10%): kilnet dispute show {number}"
    assert theirs.why == f"node {key.address} signed two results for one lease"
    assert all(bank.view.receipt(str(one.tx)) is not None for one in found.slashes)
    lines = earnings_lines(found)
    assert all(len(line) <= 80 for line in lines), [line for line in lines if len(line) > 80]
    assert "    it signed two commitments (job j)" in lines and f"    {theirs.tx}" in lines
