"""Escrow, settlement and rewards on a real chain: every unit once, and each step again after any crash."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account as Key

from contracts.client import ChainClient, PreparedTx
from contracts.deploy import KILN, DeployParams, deploy
from contracts.embedded import EmbeddedChain
from contracts.errors import ChainUnavailable
from contracts.typed_data import sign_permit
from coordinator.config import ChainSettings, Settings
from coordinator.settlement import chain as settlement_chain
from coordinator.settlement import close_epoch, domain, open_escrow, reconcile, settle, sign_receipt, transactions
from coordinator.settlement.epochs import reward_tree
from coordinator.settlement.receipts import job_receipts, receipt_tree
from coordinator.store.database import Database
from coordinator.store.models import Account, ChainTransaction, Job, Lease, Node, Receipt, Reward, Work
from jobs.pricing import reward_units, split_price
from jobs.states import JobState
from jobs.typed_data import chain_job_id, order_message, sign
from jobs.wire import AcceptJob, PermitSignature

pytestmark = pytest.mark.chain


class Bank:
    """A chain with the contracts, a database, and jobs as rows."""

    def __init__(self, folder: Path, chain: EmbeddedChain) -> None:
        self.chain = chain
        keys = chain.keys
        addresses_file = folder / "addresses.json"
        self.addresses = deploy(
            chain.url,
            keys.deployer.key,
            keys.coordinator.address,
            keys.treasury.address,
            keys.coordinator.address,
            DeployParams(grace=3600, faucet=keys.faucet.address),
            addresses_file=addresses_file,
        )
        key_file = folder / "coordinator.key"
        key_file.write_text("0x" + bytes(keys.coordinator.key).hex())
        self.settings = Settings(
            data=folder,
            origin="http://127.0.0.1",
            database_url=f"sqlite:///{folder}/db",
            broker_url="redis://unused",
            blob_url=f"file://{folder}/blobs",
            chain=ChainSettings(rpc_url=chain.url, addresses_file=addresses_file, coordinator_key_file=key_file),
        )
        self.db = Database(self.settings.database_url)
        self.db.migrate()
        self.view = ChainClient(chain.url, self.addresses, keys.faucet.key)
        self.node = Key.create().address

    def job(self, *, cap: int = 100 * KILN, funds: int = 100 * KILN, prices: tuple[int, ...] = ()) -> str:
        """A job whose order is signed; its tiles have passed at these prices."""
        client = Key.create()
        if funds:
            self.view.transfer(client.address, funds)
        job_id, now = "j" + secrets.token_hex(6), self.db.now()
        deadline = self.view.time() + 3600
        order = sign(
            order_message(domain(self.settings), job=job_id, client=client.address, cap=cap, deadline=deadline),
            bytes(client.key),
        )
        permit = sign_permit(client, value=cap, nonce=0, deadline=deadline, addresses=self.addresses)
        signed = PermitSignature(
            value=cap,
            nonce=0,
            deadline=deadline,
            signature="0x" + (permit.r.rjust(32, b"\0") + permit.s.rjust(32, b"\0") + bytes([permit.v])).hex(),
        )
        accept = AcceptJob(cap=cap, deadline=deadline, order_signature=order, permit=signed)
        with self.db.begin() as session:
            session.add(Account(address=client.address, created_at=now))
            session.flush()
            session.add(
                Job(
                    id=job_id,
                    owner=client.address,
                    idempotency_key=job_id,
                    kind="render",
                    name="",
                    spec={},
                    manifest={},
                    state=str(JobState.OPENING),
                    order=accept.model_dump(mode="json"),
                    cap=cap,
                    created_at=now,
                    deadline=now + 3600,
                )
            )
        for tile, price in enumerate(prices):
            self.passed(job_id, tile, price)
        return job_id

    def passed(self, job_id: str, tile: int, price: int) -> None:
        """A receipt of our node for one tile."""
        now, root = self.db.now(), "0x" + secrets.token_hex(32)
        signed = sign_receipt(
            self.settings, job=job_id, tile=tile, attempt=1, node=self.node, commitment=root, price=price
        )
        with self.db.begin() as session:
            if session.get(Node, self.node) is None:
                session.add(
                    Node(
                        address=self.node,
                        owner=self.node,
                        name="",
                        trusted=False,
                        sandboxed=True,
                        registration={},
                        ask_usd_per_kiln_hour=1.0,
                        region="",
                        registered_at=now,
                        last_seen=now,
                    )
                )
            work = Work(
                job_id=job_id,
                kind="tile",
                index=tile,
                key=str(tile),
                state="done",
                trusted=False,
                runtime="r",
                payload={},
                expected_seconds=1,
                created_at=now,
                excluded=[],
            )
            session.add(work)
            session.flush()
            lease = Lease(
                id="l" + secrets.token_hex(6),
                work_id=work.id,
                job_id=job_id,
                kind="tile",
                node=self.node,
                token=1,
                attempt=1,
                numerics_class="c",
                state="accepted",
                created_at=now,
                expires_at=now,
                last_expiry=now,
                secret=b"s" * 32,
                root=root,
            )
            session.add(lease)
            session.flush()
            session.add(
                Receipt(
                    work_id=work.id,
                    job_id=job_id,
                    tile=tile,
                    attempt=1,
                    lease_id=lease.id,
                    node=self.node,
                    owner=self.node,
                    commitment=root,
                    price=price,
                    lane="exact",
                    auditor=None,
                    signature=signed.signature,
                    leaf=signed.leaf,
                    created_at=now,
                )
            )

    def state(self, job_id: str) -> Job:
        with self.db.read() as session:
            return session.get_one(Job, job_id)

    def to_settling(self, job_id: str, outcome: JobState = JobState.DONE) -> None:
        from coordinator.states import change_job

        with self.db.begin() as session:
            change_job(session, session.get_one(Job, job_id), JobState.SETTLING, outcome=str(outcome))


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
def test_a_crash_between_any_two_steps_pays_once(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, step: str, fatal: int
) -> None:
    """The process dies after writing a transaction down, or after sending it, at its first or second transaction of
    the settlement; what comes after it finds everything and pays exactly once."""
    job_id = bank.job(prices=(3 * KILN,))
    open_escrow(bank.db, bank.settings, job_id)
    bank.to_settling(job_id)
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
    assert job.state == JobState.DONE
    assert bank.view.balance_of(job.owner) == 97 * KILN
    assert supply - bank.view.total_supply() in (0, split_price(100 * KILN, 3 * KILN).burned)
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
