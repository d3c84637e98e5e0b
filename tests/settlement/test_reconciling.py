"""The settlement worker against a real chain that misbehaves: nothing is sent twice, nothing is left undone."""

from __future__ import annotations

import os
import random
import secrets
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient
from contracts.client import JobState as OnChain
from contracts.deploy import KILN
from contracts.disputes import ProvenReceipt, Sibling
from contracts.embedded import EmbeddedChain
from contracts.errors import ChainError, Reverted, TransactionPending
from contracts.typed_data import Receipt as ChainReceipt
from contracts.typed_data import ruling_data
from contracts.typed_data import sign as sign_data
from coordinator.config import Settings
from coordinator.settlement import chain as settlement_chain
from coordinator.settlement import close_epoch, open_escrow, reconcile, settle, transactions
from coordinator.settlement.receipts import job_receipts, receipt_tree
from coordinator.store.database import Database
from coordinator.store.models import ChainTransaction, Receipt
from jobs.pricing import split_price
from jobs.states import JobState
from jobs.typed_data import chain_job_id
from tests.settlement.bank import Bank
from tests.settlement.faulty import FaultyRpc

pytestmark = pytest.mark.chain
WINDOW = 600


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """Without a challenge window."""
    folder = tmp_path_factory.mktemp("bank")
    with EmbeddedChain(folder / "chain.json") as chain:
        bank = Bank(folder, chain)
        yield bank
        bank.db.close()


@pytest.fixture(scope="module")
def slow_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """With a challenge window of ten minutes, and an auditor."""
    folder = tmp_path_factory.mktemp("slow-bank")
    with EmbeddedChain(folder / "chain.json") as chain:
        bank = Bank(folder, chain, challenge_window=WINDOW, auditors=(chain.keys.auditor.address,))
        yield bank
        bank.db.close()


def rpc(bank: Bank, method: str, *params: Any) -> Any:
    return call_rpc(bank.chain.url, method, *params)


def ready(bank: Bank, *prices: int) -> str:
    """A job that is SETTLING."""
    job = bank.job(prices=prices or (3 * KILN,))
    open_escrow(bank.db, bank.settings, job)
    bank.to_settling(job)
    return job


def rows(bank: Bank, job: str) -> dict[str, ChainTransaction]:
    with bank.db.read() as session:
        return {row.key: row for row in session.scalars(select(ChainTransaction)) if job in row.key}


def paid_once(bank: Bank, job: str, price: int = 3 * KILN) -> None:
    """The escrow is finalized at this price, the client has the rest, and each step was mined exactly once."""
    state = bank.view.escrow(chain_job_id(job))
    assert (state.state, state.price) == (OnChain.FINALIZED, price)
    assert bank.view.balance_of(bank.state(job).owner) == 100 * KILN - price
    assert bank.state(job).state == JobState.DONE
    found = rows(bank, job)
    assert sorted(found) == sorted(f"{kind}:{job}" for kind in ("open", "propose", "finalize"))
    assert len({row.nonce for row in found.values()}) == 3


def wait_out(bank: Bank) -> None:
    rpc(bank, "evm_increaseTime", WINDOW + 1)
    rpc(bank, "evm_mine")


def proven(bank: Bank, job: str, tile: int) -> ProvenReceipt:
    """A receipt of the proposed tree with its path, as anybody has it from the gateway."""
    with bank.db.read() as session:
        receipts = job_receipts(session, job)
    tree = receipt_tree(receipts)
    place = next(i for i, one in enumerate(receipts) if one.tile == tile)
    one = receipts[place]
    flat = tree.proof(place)
    path = tuple(Sibling(flat[i], int.from_bytes(flat[i + 1], "big")) for i in range(0, len(flat), 2))
    return ProvenReceipt(
        ChainReceipt(chain_job_id(job), one.tile, one.attempt, one.node, bytes.fromhex(one.commitment[2:]), one.price),
        bytes.fromhex(one.signature[2:]), path,
    )  # fmt: skip


def forge(bank: Bank, job: str, tile: int) -> None:
    """A receipt that our signer did not sign gets into the rows: a bug, or somebody at the database."""
    from coordinator.settlement import domain
    from jobs.typed_data import receipt_message, sign
    from verification.receipts import receipt_leaf

    bank.passed(job, tile, 5 * KILN)
    with bank.db.begin() as session:
        row = session.scalars(select(Receipt).where(Receipt.job_id == job, Receipt.tile == tile)).one()
        message = receipt_message(
            domain(bank.settings), job=job, tile=tile, attempt=1, node=row.node,
            commitment=bytes.fromhex(row.commitment[2:]), price=row.price,
        )  # fmt: skip
        row.signature = sign(message, secrets.token_bytes(32))
        row.leaf = "0x" + receipt_leaf(message, bytes.fromhex(row.signature[2:])).hex()


def test_a_voided_proposal_is_followed_by_a_right_one(slow_bank: Bank) -> None:
    """Somebody proves a receipt that nobody signed: it is withdrawn, the rest is proposed and paid, and the node of the
    forged one has no reward."""
    bank = slow_bank
    job = bank.job(prices=(2 * KILN, 3 * KILN))
    open_escrow(bank.db, bank.settings, job)
    forge(bank, job, 7)
    bank.to_settling(job)
    assert not settle(bank.db, bank.settings, job)
    assert bank.view.escrow(chain_job_id(job)).price == 10 * KILN
    bank.view.prove_invalid_receipt(chain_job_id(job), proven(bank, job, 7))
    assert bank.view.escrow(chain_job_id(job)).voided == 1
    assert not settle(bank.db, bank.settings, job)
    state = bank.view.escrow(chain_job_id(job))
    assert (state.state, state.price) == (OnChain.PROPOSED, 5 * KILN)
    with pytest.raises(Reverted, match="as it should be"):
        bank.view.prove_invalid_receipt(chain_job_id(job), proven(bank, job, 0))
    wait_out(bank)
    assert settle(bank.db, bank.settings, job)
    settled = bank.state(job).settlement or {}
    assert (settled["price"], settled["burned"]) == (str(5 * KILN), str(split_price(100 * KILN, 5 * KILN).burned))
    assert {f"propose:{job}", f"propose:{job}:1"} <= set(rows(bank, job))
    assert close_epoch(bank.db, bank.settings) is not None
    with bank.db.read() as session:
        epochs = {one.tile: one.epoch for one in session.scalars(select(Receipt).where(Receipt.job_id == job))}
    assert epochs[0] == epochs[1] is not None and epochs[7] is None


def test_what_is_voided_again_and_again_is_refunded(slow_bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody mends the rows, the third voiding ends it: the client has everything back."""
    bank = slow_bank
    job = bank.job(prices=(2 * KILN,))
    open_escrow(bank.db, bank.settings, job)
    forge(bank, job, 7)
    bank.to_settling(job)
    monkeypatch.setattr("coordinator.settlement.escrow.withdraw_unsound", lambda *_: None)
    for voided in range(1, 4):
        assert not settle(bank.db, bank.settings, job)
        bank.view.prove_invalid_receipt(chain_job_id(job), proven(bank, job, 7))
        assert bank.view.escrow(chain_job_id(job)).voided == voided
    assert settle(bank.db, bank.settings, job)
    assert bank.view.escrow(chain_job_id(job)).state is OnChain.REFUNDED
    assert bank.view.balance_of(bank.state(job).owner) == 100 * KILN


def challenged(bank: Bank, job: str) -> None:
    """Its proposal is challenged, and the auditors uphold that."""
    bank.view.approve(bank.view.bond(), bank.addresses.disputes)
    number = bank.view.challenge(chain_job_id(job), None, b"\7" * 32)
    bank.view.rule(number, True, 0, [sign_data(ruling_data(number, True, 0, bank.addresses), bank.chain.keys.auditor)])


@pytest.mark.parametrize("late", [False, True])
def test_a_price_of_nothing_that_is_voided(slow_bank: Bank, late: bool) -> None:
    """Nothing passed of what was acknowledged, and auditors say that something did: once more a price of nothing where
    there is time for it, the refund where there is not. Nothing waits for ever, and the client has everything back."""
    bank, job = slow_bank, slow_bank.job()
    open_escrow(bank.db, bank.settings, job)
    bank.delivered(job)
    bank.to_settling(job, JobState.FAILED)
    assert not settle(bank.db, bank.settings, job)
    found = bank.view.escrow(chain_job_id(job))
    assert (found.state, found.price, found.receipt_count) == (OnChain.PROPOSED, 0, 0)
    challenged(bank, job)
    if late:
        rpc(bank, "evm_increaseTime", 2 * 3600 + 60)
        rpc(bank, "evm_mine")
    assert settle(bank.db, bank.settings, job) is late
    wait_out(bank)
    assert settle(bank.db, bank.settings, job)
    assert bank.view.escrow(chain_job_id(job)).state is (OnChain.REFUNDED if late else OnChain.FINALIZED)
    assert bank.state(job).state == JobState.FAILED and (bank.state(job).settlement or {})["refund"] == str(100 * KILN)
    assert bank.view.balance_of(bank.state(job).owner) == 100 * KILN


@pytest.mark.parametrize("upheld", [False, True])
def test_a_challenged_proposal_waits_for_the_auditors(slow_bank: Bank, upheld: bool) -> None:
    """Neither final nor forgotten while they rule, even after the window; then paid as proposed, or proposed anew."""
    bank = slow_bank
    job = ready(bank)
    assert not settle(bank.db, bank.settings, job)
    bank.view.approve(bank.view.bond(), bank.addresses.disputes)
    number = bank.view.challenge(chain_job_id(job), None, b"\7" * 32)
    wait_out(bank)
    assert not settle(bank.db, bank.settings, job)
    assert bank.state(job).state == JobState.SETTLING
    ruling = sign_data(ruling_data(number, upheld, 0, bank.addresses), bank.chain.keys.auditor)
    bank.view.rule(number, upheld, 0, [ruling])
    assert settle(bank.db, bank.settings, job) is not upheld
    wait_out(bank)
    assert settle(bank.db, bank.settings, job)
    assert bank.view.escrow(chain_job_id(job)).state is OnChain.FINALIZED


def test_what_is_stuck_is_sent_again_at_a_higher_fee(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """No block comes: the same nonce and call, at a quarter more; whichever is mined is found, also the older one."""
    job = ready(bank)
    hurried = bank.settings.model_copy(
        update={"chain": bank.settings.chain.model_copy(update={"stuck_seconds": 0.001})}
    )
    monkeypatch.setattr(transactions, "_WAIT_SECONDS", 0.2)
    rpc(bank, "evm_setAutomine", False)
    try:
        with pytest.raises(TransactionPending):
            settle(bank.db, hurried, job)
        first = rows(bank, job)[f"propose:{job}"]
        assert reconcile(bank.db, hurried) >= 1
        second = rows(bank, job)[f"propose:{job}"]
        assert second.replaced == [first.hash] != [second.hash] and second.nonce == first.nonce
        assert price_of(bank, second.hash) * 100 >= price_of(bank, second.hash, first) * 110
        reconcile(bank.db, bank.settings)
        assert rows(bank, job)[f"propose:{job}"].hash == second.hash, "not stuck for long enough yet"
        # A miner takes the older one all the same.
        rpc(bank, "anvil_dropTransaction", second.hash)
        rpc(bank, "eth_sendRawTransaction", "0x" + first.raw.hex())
        rpc(bank, "evm_mine")
        reconcile(bank.db, bank.settings)
        found = rows(bank, job)[f"propose:{job}"]
        assert (found.hash, found.state, found.replaced) == (first.hash, "mined", [second.hash])
        with pytest.raises(TransactionPending):
            settle(bank.db, hurried, job)
        rpc(bank, "evm_mine")
    finally:
        rpc(bank, "evm_setAutomine", True)
    assert settle(bank.db, bank.settings, job)
    assert (bank.state(job).settlement or {})["propose_tx"] == first.hash
    paid_once(bank, job)


def price_of(bank: Bank, tx: str, signed: ChainTransaction | None = None) -> int:
    """What a waiting transaction offers for gas; of one that was replaced, by its bytes."""
    if signed is None:
        return int(rpc(bank, "eth_getTransactionByHash", tx)["maxFeePerGas"], 16)
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from hexbytes import HexBytes

    return int(TypedTransaction.from_bytes(HexBytes(signed.raw)).as_dict()["maxFeePerGas"])


def test_a_reorganisation_of_some_blocks_changes_nothing_in_the_end(bank: Bank) -> None:
    """Proposal, payment and reward root are reorganised away; they are sent again, the very same, and are there."""
    job = ready(bank)
    assert settle(bank.db, bank.settings, job)
    number = close_epoch(bank.db, bank.settings)
    before = {key: row.hash for key, row in rows(bank, job).items()}
    rpc(bank, "anvil_reorg", 3, [])
    assert bank.view.escrow(chain_job_id(job)).state is OnChain.OPEN
    assert reconcile(bank.db, bank.settings) == 3
    assert {key: row.hash for key, row in rows(bank, job).items()} == before
    assert bank.view.last_epoch() == number
    assert reconcile(bank.db, bank.settings) == 0
    paid_once(bank, job)


def test_what_a_reorganisation_turns_into_a_refusal_is_done_anew(bank: Bank) -> None:
    """The proposal comes back too late for the payment, which is mined before it and refused: it is paid all the same,
    though the row of the job was final."""
    job = ready(bank)
    assert settle(bank.db, bank.settings, job)
    kept = rows(bank, job)
    rpc(bank, "anvil_reorg", 2, [])
    with bank.db.read() as session:
        propose = session.get_one(ChainTransaction, f"propose:{job}")
    # Another transaction of ours takes the proposal's place: the payment behind it finds nothing to pay.
    other = ChainClient(bank.chain.url, bank.addresses, bank.chain.keys.coordinator.key)
    other.send(other.prepare_approve(1, nonce=propose.nonce).raw)
    rpc(bank, "eth_sendRawTransaction", "0x" + kept[f"finalize:{job}"].raw.hex())
    for _ in range(3):
        reconcile(bank.db, bank.settings)
    assert bank.view.escrow(chain_job_id(job)).state is OnChain.FINALIZED
    assert bank.view.balance_of(bank.state(job).owner) == 97 * KILN
    assert bank.state(job).state == JobState.DONE


def test_an_escrow_that_a_reorganisation_undid_for_good_is_no_payment(bank: Bank) -> None:
    """The opening is undone and the client moves its tokens first: the job fails with a line, and nothing is burned."""
    job = bank.job(prices=(3 * KILN,))
    owner = bank.state(job).owner
    open_escrow(bank.db, bank.settings, job)
    rpc(bank, "anvil_reorg", 1, [])
    rpc(bank, "anvil_setBalance", owner, hex(10**18))
    rpc(bank, "anvil_impersonateAccount", owner)
    take_away = bank.view._token.encode_abi("transfer", ["0x" + "11" * 20, 100 * KILN])
    rpc(bank, "eth_sendTransaction", {"from": owner, "to": bank.addresses.token, "data": take_away})
    bank.to_settling(job)
    supply = bank.view.total_supply()
    for _ in range(4):
        reconcile(bank.db, bank.settings)
        if settle(bank.db, bank.settings, job):
            break
    found = bank.state(job)
    assert found.state == JobState.FAILED and found.error_code == "escrow_gone"
    assert "\n" not in (found.error or "\n") and bank.view.total_supply() == supply


def test_a_chain_that_came_back_with_an_older_state(bank: Bank) -> None:
    """As after a restore from a snapshot: what it does not know any more it is told again."""
    job = ready(bank)
    snapshot = rpc(bank, "evm_snapshot")
    assert settle(bank.db, bank.settings, job)
    assert rpc(bank, "evm_revert", snapshot)
    assert bank.view.escrow(chain_job_id(job)).state is OnChain.OPEN
    assert reconcile(bank.db, bank.settings) == 2
    paid_once(bank, job)


def test_it_counts_when_enough_blocks_lie_on_it(bank: Bank) -> None:
    job = ready(bank)
    careful = bank.settings.model_copy(update={"chain": bank.settings.chain.model_copy(update={"confirmations": 2})})
    for _ in range(2):
        with pytest.raises(TransactionPending, match="of 2 blocks lie on"):
            settle(bank.db, careful, job)
    assert bank.state(job).state == JobState.SETTLING
    for _ in range(2):
        rpc(bank, "anvil_mine", "0x2")
        try:
            settle(bank.db, careful, job)
        except TransactionPending:
            continue
    paid_once(bank, job)


def test_another_program_with_our_key_costs_a_nonce_and_nothing_else(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends between our writing down and our sending."""
    job = ready(bank)
    other = ChainClient(bank.chain.url, bank.addresses, bank.chain.keys.coordinator.key)
    real, robbed = ChainClient.send, []

    def send(self: ChainClient, raw: bytes) -> str:
        if not robbed:
            robbed.append(1)
            real(other, other.prepare_approve(1).raw)
        return real(self, raw)

    monkeypatch.setattr(ChainClient, "send", send)
    monkeypatch.setattr(transactions, "_WAIT_SECONDS", 0.5)
    for _ in range(5):
        try:
            if settle(bank.db, bank.settings, job):
                break
        except TransactionPending:  # theirs was not mined yet, and has our nonce
            continue
    monkeypatch.undo()
    assert any(":lost:" in key for key in rows(bank, job))
    assert bank.view.escrow(chain_job_id(job)).state is OnChain.FINALIZED
    assert bank.view.balance_of(bank.state(job).owner) == 97 * KILN


def behind(bank: Bank, door: FaultyRpc) -> Settings:
    return bank.settings.model_copy(update={"chain": bank.settings.chain.model_copy(update={"rpc_url": door.url})})


@pytest.mark.parametrize("fault", ["error_500", "rubbish", "rpc_error", "closed_before", "closed_after"])
def test_a_chain_that_answers_with_errors_delays_and_doubles_nothing(bank: Bank, fault: str) -> None:
    """One answer in twelve is wrong, by lot: each failure is one of ours with one line, and what was sent although the
    answer was lost is not sent anew."""
    with FaultyRpc(bank.chain.url) as door:
        job = bank.job(prices=(3 * KILN,))
        settings = behind(bank, door)
        dice = random.Random(fault)
        door.fault = lambda _: fault if dice.random() < 0.08 else None
        done = False
        for step in ("open", "settle"):
            for _ in range(60):
                try:
                    if step == "open":
                        open_escrow(bank.db, settings, job)
                        done = bank.state(job).state != JobState.OPENING
                    else:
                        done = settle(bank.db, settings, job)
                except ChainError as error:
                    assert "\n" not in str(error)
                    done = False
                reconcile_quietly(bank, settings)
                if done:
                    break
            assert done, f"{step} was not done"
            if step == "open":
                assert bank.state(job).state == JobState.RUNNING
                bank.to_settling(job)
        assert door.requests > 15
    paid_once(bank, job)


def reconcile_quietly(bank: Bank, settings: Settings) -> None:
    try:
        reconcile(bank.db, settings)
    except ChainError as error:
        assert "\n" not in str(error)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("moment", ["killed_before", "killed_after"])
def test_kill_minus_nine_at_every_word_to_the_chain_pays_once(bank: Bank, moment: str) -> None:
    """A process that settles is killed at its first request to the chain, the next one at its second, and so on, until
    one gets through; before the chain has the request, or after it has it and before the answer."""
    for fatal in range(1, 60):
        job = ready(bank)
        with FaultyRpc(bank.chain.url) as door:
            door.fault = lambda n, k=fatal: moment if n == k else None  # type: ignore[misc]
            died = settled_by_a_child(bank, behind(bank, door), door, job)
        settlement_chain._local.__dict__.clear()
        reconcile(bank.db, bank.settings)
        assert settle(bank.db, bank.settings, job)
        paid_once(bank, job)
        if not died:
            assert fatal > 10
            return
    raise AssertionError("no child ever got through")


def settled_by_a_child(bank: Bank, settings: Settings, door: FaultyRpc, job: str) -> bool:
    """Whether the child was killed."""
    bank.db.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it does nothing with the parent's threads
        child = os.fork()
    if child == 0:
        try:
            settlement_chain._local.__dict__.clear()
            settle(Database(settings.database_url), settings, job)
            os._exit(0)
        except BaseException:
            os._exit(1)
    door.victim = child
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
