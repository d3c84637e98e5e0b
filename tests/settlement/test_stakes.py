"""Stake on a real chain: how a node comes by it, what is offered without it, what locks and what slashes it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient
from contracts.deploy import KILN
from contracts.embedded import EmbeddedChain
from coordinator.errors import Conflict
from coordinator.leasing.staked import Backing, backing, lock_for, must_be_staked
from coordinator.leasing.workers import Worker
from coordinator.settlement import (
    award,
    chain_info,
    dispute,
    kiln_per_usd,
    look_at,
    open_escrow,
    refresh_price,
    release,
    settle,
)
from coordinator.standing import strike
from coordinator.store.models import Award, Node, Setting, Strike
from jobs.errors import BadInput, KilnetError, Unavailable
from jobs.states import StrikeKind, StrikeState
from jobs.typed_data import chain_job_id, commitment_message, sign
from jobs.wire import Info, StakeTermsView
from node.keys import NodeKey
from node.stake import Chain, join_chain
from node.stake.rpc import ContractSaysNo
from tests.settlement.bank import Bank

pytestmark = pytest.mark.chain
NEEDED = 50 * KILN
"""5 USD at 0.10 USD for a KILN."""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder = tmp_path_factory.mktemp("bank")
    with EmbeddedChain(folder / "chain.json") as chain:
        bank = Bank(folder, chain, price_max_age=3600, price_min_interval=1)
        refresh_price(bank.db, bank.settings)
        yield bank
        bank.db.close()


def info(bank: Bank, **changes: Any) -> Info:
    """What a gateway of this bank says."""
    found = chain_info(bank.settings)
    assert found is not None
    terms = StakeTermsView(per_node=NEEDED, per_job=NEEDED // 16, usd_per_node=5)
    where = found.model_copy(update={"rpc_url": bank.chain.url, **changes})
    return Info(
        protocol=1, version="1", origin="http://test", chain=where, kiln_per_usd="10", fee_bps=500, nodes_online=0,
        max_chunk_bytes=1, stake=terms,
    )  # fmt: skip


def fresh(bank: Bank, *, kiln: int = 100, gas: bool = True) -> NodeKey:
    """A key with an account, and its row as a node of its own."""
    key = NodeKey(secrets.token_bytes(32))
    if gas:
        call_rpc(bank.chain.url, "anvil_setBalance", key.address, hex(10**18))
    if kiln:
        bank.view.transfer(key.address, kiln * KILN)
    with bank.db.begin() as session:
        session.add(
            Node(
                address=key.address, owner=key.address, name="", trusted=False, sandboxed=True, registration={},
                ask_usd_per_kiln_hour=1.0, region="", registered_at=bank.db.now(), last_seen=bank.db.now(),
            )
        )  # fmt: skip
    return key


def behind(bank: Bank, key: NodeKey) -> Backing:
    """What the rows say, looked up now."""
    look_at(bank.db, bank.settings, key.address)
    with bank.db.read() as session:
        found = backing(session, bank.settings, key.address, key.address, bank.db.now())
    assert found is not None
    return found


def worker(key: NodeKey) -> Worker:
    return Worker(
        address=key.address, name="", owner=key.address, trusted=False, suspended=False, barred=True, last_seen=0,
        region="", ask=0.1, suspicion=0, classes=(), reputation=1.0, memory_bytes=1 << 33, proven_owner=key.address,
    )  # fmt: skip


def test_a_node_is_told_step_by_step_what_is_missing_and_joins_with_one_call(bank: Bank) -> None:
    """Nothing on chain, then all of it: registered, answered for, staked by permit. Again, nothing is done."""
    key = fresh(bank)
    assert "is no operator on chain" in (behind(bank, key).refusal or "")
    with bank.db.read() as session, pytest.raises(Conflict, match="kilnet node register") as refused:
        must_be_staked(session, bank.settings, worker(key), bank.db.now())
    assert refused.value.code == "stake_needed"
    joined = join_chain(info(bank), key, key)
    assert joined.staked == NEEDED * 5 // 4 and len(joined.done) == 3
    assert bank.view.answers_for(key.address) == key.address
    found = behind(bank, key)
    assert found.refusal is None and found.takes_more and found.staked == joined.staked
    assert join_chain(info(bank), key, key).done == ()


def test_an_operator_answers_for_several_nodes_and_each_needs_its_stake(bank: Bank) -> None:
    operator = fresh(bank, kiln=500)
    join_chain(info(bank), operator, operator)
    second = fresh(bank, kiln=0, gas=False)
    with bank.db.begin() as session:
        session.execute(update(Node).where(Node.address == second.address).values(owner=operator.address))
    with bank.db.read() as session:
        found = backing(session, bank.settings, second.address, operator.address, bank.db.now())
        assert found is not None and found.looked_at is None
    look_at(bank.db, bank.settings, operator.address)
    with bank.db.read() as session:
        found = backing(session, bank.settings, second.address, operator.address, bank.db.now())
        assert found is not None and "nobody answers for this node's key" in (found.refusal or "")
    join_chain(info(bank), second, operator)
    short = behind(bank, operator).refusal or ""
    assert "2 nodes online need 100.000000" in short and "stake 37.500000 more" in short
    join_chain(info(bank), second, operator, stake=40 * KILN)
    assert behind(bank, operator).refusal is None


def test_what_goes_wrong_is_one_line_and_nothing_is_sent(bank: Bank) -> None:
    """Wrong chain, no RPC, something that is no RPC, too few KILN, no gas, a key that answers to another."""
    key, poor, stranded = fresh(bank), fresh(bank, kiln=1), fresh(bank, gas=False)
    other = fresh(bank)
    join_chain(info(bank), key, key)
    broken: list[tuple[type[KilnetError], str, Any]] = [
        (BadInput, "serves chain 31337", lambda: join_chain(info(bank, chain_id=1), key, key)),
        (Unavailable, "no RPC of a chain answers", lambda: join_chain(info(bank), key, key, rpc="http://127.0.0.1:1")),
        (BadInput, "address private", lambda: join_chain(info(bank, rpc_url=None), key, key)),
        (BadInput, "holds 1.000000 KILN and 62.500000", lambda: join_chain(info(bank), poor, poor)),
        (BadInput, "send it some of the chain's own coin", lambda: join_chain(info(bank), stranded, stranded)),
        (BadInput, "answers for node", lambda: join_chain(info(bank), key, other)),
    ]
    for kind, words, call in broken:
        with pytest.raises(kind) as error:
            call()
        assert words in str(error.value) and "\n" not in str(error.value)
    assert bank.view.stake_of(other.address).active == 0


def test_a_permit_that_expired_or_is_for_another_amount_stakes_nothing(bank: Bank) -> None:
    key = fresh(bank)
    chain = Chain(bank.chain.url, 31337)
    chain.send(key, bank.addresses.registry, "register(uint16)", 0)
    with pytest.raises(ContractSaysNo, match="permit was not taken") as error:
        chain.send(
            key, bank.addresses.registry, "stakeWithPermit(address,uint256,uint256,uint8,bytes32,bytes32)",
            key.address, KILN, 1, 27, bytes(32), bytes(32),
        )  # fmt: skip
    assert error.value.name == "InsufficientAllowance" and bank.view.balance_of(key.address) == 100 * KILN


def test_stake_is_locked_with_the_first_lease_of_a_job_and_released_with_its_end(bank: Bank) -> None:
    """Locked once however often it is asked for; free again when the chain has the job final; no more jobs than what is
    free covers."""
    key = fresh(bank)
    join_chain(info(bank), key, key)
    look_at(bank.db, bank.settings, key.address)
    jobs = [bank.job(prices=(KILN,)) for _ in range(2)]
    for job in jobs:
        open_escrow(bank.db, bank.settings, job)
        for _ in range(2):
            with bank.db.begin() as session:
                assert lock_for(bank.db, session, bank.settings, worker(key), job, bank.db.now())
        award(bank.db, bank.settings, job)
        award(bank.db, bank.settings, job)
        assert bank.view.lock_of(chain_job_id(job), key.address) == NEEDED // 16
    assert bank.view.operator(key.address).locked == 2 * (NEEDED // 16) == behind(bank, key).locked
    bank.to_settling(jobs[0])
    release(bank.db, bank.settings, jobs[0])
    assert bank.view.operator(key.address).locked == 2 * (NEEDED // 16), "not before the job is final"
    assert settle(bank.db, bank.settings, jobs[0])
    for _ in range(2):
        release(bank.db, bank.settings, jobs[0])
    assert bank.view.operator(key.address).locked == NEEDED // 16 == behind(bank, key).locked
    with bank.db.begin() as session:
        session.execute(update(Award).where(Award.job_id == jobs[1]).values(stake=NEEDED * 5 // 4 - 1))
        found = backing(session, bank.settings, key.address, key.address, bank.db.now())
        assert found is not None and not found.may_have("another") and found.may_have(jobs[1])
        assert not lock_for(bank.db, session, bank.settings, worker(key), jobs[0], bank.db.now())


def test_an_operator_whose_stake_has_left_gets_no_more_of_the_job(bank: Bank) -> None:
    """It unbonded after it was looked up: the chain would not lock, it is told why, and other operators are locked."""
    leaver, stays = fresh(bank), fresh(bank)
    for key in (leaver, stays):
        join_chain(info(bank), key, key)
        look_at(bank.db, bank.settings, key.address)
    ChainClient(bank.chain.url, bank.addresses, leaver._secret).unbond(60 * KILN)
    job = bank.job()
    open_escrow(bank.db, bank.settings, job)
    with bank.db.begin() as session:
        for key in (leaver, stays):
            assert lock_for(bank.db, session, bank.settings, worker(key), job, bank.db.now())
    award(bank.db, bank.settings, job)
    with bank.db.read() as session:
        rows = {row.operator: (row.state, row.reason) for row in session.query(Award).filter(Award.job_id == job)}
    assert rows[stays.address][0] == "locked"
    state, reason = rows[leaver.address]
    assert state == "refused" and "at stake" in (reason or "")
    found = behind(bank, leaver)
    assert job in found.shut and not found.may_have(job) and "stake" in (found.refusal or "")


def signed_twice(bank: Bank, key: NodeKey, lease: str) -> str:
    """A strike for two commitments that this key has signed; its number."""
    domain = {"chain_id": 31337, "escrow": bank.addresses.escrow}
    sides = []
    for root in (b"\1" * 32, b"\2" * 32):
        message = commitment_message(domain, lease=lease, token=3, root=root, cells=9)  # type: ignore[arg-type]
        signature = sign(message, key._secret)
        sides.append({"root": "0x" + root.hex(), "signature": signature, "token": 3, "cells": 9})
    with bank.db.begin() as session:
        made = strike(
            session, node=key.address, kind=StrikeKind.TWO_COMMITMENTS, key=secrets.token_hex(8), job="j", lease=lease,
            tile=0, reason="it signed two commitments", evidence={"first": sides[0], "second": sides[1]},
            now=bank.db.now(), state=StrikeState.CONFIRMED, slashable=True,
        )  # fmt: skip
        assert made is not None
        return str(made.id)


def outcome(bank: Bank, number: str) -> Strike:
    with bank.db.read() as session:
        return session.get_one(Strike, int(number))


def test_what_a_node_signed_twice_costs_its_operator_half_and_the_finder_has_a_share(bank: Bank) -> None:
    """Once for each lease and token; nobody to slash, or nothing that contradicts, is a reason and no slash."""
    key, nobody = fresh(bank), fresh(bank)
    staked = join_chain(info(bank), key, key).staked
    coordinator = bank.chain.keys.coordinator.address
    before = bank.view.balance_of(coordinator)
    first = signed_twice(bank, key, "lease-1")
    for _ in range(2):
        dispute(bank.db, bank.settings, first)
    one = outcome(bank, first)
    assert (one.dispute, one.slashed) == ("proven", staked // 2) and one.dispute_tx
    assert bank.view.stake_of(key.address).active == staked - staked // 2
    assert bank.view.balance_of(coordinator) - before == staked // 2 // 5, "the finder's share, a fifth"
    for other in (signed_twice(bank, key, "lease-1"), signed_twice(bank, nobody, "lease-2")):
        dispute(bank.db, bank.settings, other)
        assert outcome(bank, other).dispute == "refused"
        assert "\n" not in (outcome(bank, other).dispute_reason or "\n")
    assert bank.view.stake_of(key.address).active == staked - staked // 2


@pytest.mark.parametrize(
    "kind", [kind for kind in StrikeKind if kind is not StrikeKind.TWO_COMMITMENTS], ids=lambda kind: str(kind)
)
def test_nothing_else_is_ever_sent_to_the_chain(bank: Bank, kind: StrikeKind) -> None:
    key = fresh(bank, kiln=0, gas=False)
    with bank.db.begin() as session:
        made = strike(
            session, node=key.address, kind=kind, key=secrets.token_hex(8), job="j", lease="l", tile=0, reason="r",
            evidence={}, now=bank.db.now(), state=StrikeState.CONFIRMED, slashable=True,
        )  # fmt: skip
        assert made is not None and made.dispute is None


def test_the_price_is_the_oracles_and_a_stale_one_makes_no_quote(bank: Bank) -> None:
    """Fresh: 10 KILN for a USD. An hour and a bit later: one line. Where it is the coordinator who reports, it does so
    before that."""
    clock = bank.db.now()
    with bank.db.read() as session:
        assert kiln_per_usd(session, bank.settings, clock) == 10
        with pytest.raises(BadInput, match="too old to be used; nothing was charged") as stale:
            kiln_per_usd(session, bank.settings, clock + 4000)
    assert stale.value.code == "price_stale" and "\n" not in str(stale.value)
    call_rpc(bank.chain.url, "evm_increaseTime", 2000)
    call_rpc(bank.chain.url, "evm_mine")
    reporting = bank.settings.model_copy(
        update={"chain": bank.settings.chain.model_copy(update={"report_usd_per_kiln": "0.11"})}
    )
    before = bank.view.oracle().reported_at
    with bank.db.begin() as session:
        session.delete(session.get_one(Setting, "price"))
    with bank.db.read() as session, pytest.raises(Unavailable, match="not known yet"):
        kiln_per_usd(session, reporting, clock)
    refresh_price(bank.db, reporting)
    assert bank.view.oracle().reported_at > before
    with bank.db.read() as session:
        assert abs(float(kiln_per_usd(session, reporting, clock + 3000)) - 1 / 0.11) < 1e-9
        with pytest.raises(BadInput, match="too old"):
            kiln_per_usd(session, reporting, clock + 4000)  # by the chain's clock, which is 2000 s ahead


def test_an_operator_that_was_refused_and_staked_since_is_locked_later(bank: Bank) -> None:
    """One is locked, one refused, a third locked; then the second again, in a transaction of its own; and who is wanted
    although the chain has it locked is found so."""
    early, late, last = fresh(bank), fresh(bank), fresh(bank)
    for key in (early, last):
        join_chain(info(bank), key, key)
    job = bank.job()
    open_escrow(bank.db, bank.settings, job)

    def want(*keys: NodeKey) -> dict[str, str]:
        with bank.db.begin() as session:
            for key in keys:
                session.merge(
                    Award(
                        job_id=job, operator=key.address, stake=NEEDED // 16, state="wanted", created_at=bank.db.now()
                    )
                )
        award(bank.db, bank.settings, job)
        with bank.db.read() as session:
            found = session.query(Award).filter(Award.job_id == job)
            return {row.operator: row.state for row in found}

    assert want(early)[early.address] == "locked"
    assert want(late)[late.address] == "refused"
    assert want(last)[last.address] == "locked"
    join_chain(info(bank), late, late)
    assert set(want(late).values()) == {"locked"}
    assert set(want(early, late, last).values()) == {"locked"}
    assert bank.view.lock_of(chain_job_id(job), late.address) == NEEDED // 16
