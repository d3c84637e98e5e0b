"""The coordinator vanishes: what was delivered to it, by its own signed word, is paid from its bond. A gateway on a
socket, a node's own outbox and delivery, a real chain, and the commands that a node operator and a client have."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from eth_account import Account as Key

from contracts.addresses import Addresses
from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient
from contracts.client import JobState as OnChain
from contracts.deploy import KILN, DeployParams, deploy
from contracts.embedded import EmbeddedChain
from contracts.keys import LocalKeys, account_from_key
from coordinator.cli import answer
from coordinator.cli.main import run_command
from coordinator.cli.public import PublicGateway
from coordinator.settlement import look_at, refresh_price, settle
from coordinator.states import change_lease, end_job, lock_job
from coordinator.store.models import Job, Lease
from jobs.pricing import reward_units
from jobs.states import JobState, LeaseState, WorkKind
from jobs.typed_data import acknowledgement_message, chain_job_id, sign
from jobs.wire import BondView, ClaimRequest, Complete
from node.agent.sealing import seal_result
from node.claims import send_claim
from node.gateway import GatewayClient, GatewayError, LeaseLost, Transport
from node.keys import NodeKey
from node.outbox import Acknowledgements, Delivery, LeaseRef, Outbox, StepKind, sound
from node.stake import Chain, join_chain
from node.stake.rpc import ContractSaysNo
from tests.coordinator.gateway.conftest import Served
from tests.coordinator.world import CLASS, Person, World, true_bytes
from tests.web.chained import chained, escrowed

pytestmark = pytest.mark.chain
PRICE, BOND = 10**17, 5 * KILN
OWED = reward_units(PRICE)
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with chained(tmp_path_factory.mktemp("bond")) as served:
        refresh_price(served.world.db, served.settings)
        served.world.worker(served.world.trusted)  # who would judge, if anybody asked it
        faucet = rich(served)
        faucet.approve(BOND, faucet.addresses.bond)
        faucet.deposit_bond(signer(served).transactions.address, BOND)
        yield served


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What the gateway in this process logs is no part of what a command says."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


def rpc(served: Served) -> str:
    return served.settings.chain.rpc_url


def rich(served: Served) -> ChainClient:
    """An account with KILN: that of the faucet."""
    keys = LocalKeys.load(served.settings.data / "chain-keys.txt")
    return ChainClient(rpc(served), Addresses.load(served.settings.chain.addresses_file), bytes(keys.faucet.key))


def signer(served: Served) -> ChainClient:
    """The coordinator, whose key signs receipts and acknowledgements."""
    key = served.settings.chain.coordinator_key_file.read_text().strip()
    return ChainClient(rpc(served), Addresses.load(served.settings.chain.addresses_file), key)


def pass_time(served: Served, seconds: int) -> None:
    call_rpc(rpc(served), "evm_increaseTime", seconds)
    call_rpc(rpc(served), "evm_mine")


class Worker:
    """A node with a folder, whose operator answers for it on chain."""

    def __init__(self, served: Served, folder: Path) -> None:
        self.served, self.folder = served, folder
        self.key = NodeKey.load_or_create(folder / "key")
        owner = Person()
        self.operator = NodeKey(owner.key)
        faucet = rich(served)
        for one in (self.key, self.operator):
            call_rpc(rpc(served), "anvil_setBalance", one.address, hex(10**19))
        faucet.transfer(self.operator.address, 100 * KILN)
        served.world.worker(Person(bytes.fromhex((folder / "key").read_text().strip()[2:])), owner=owner)
        self.client = GatewayClient(Transport(served.url, self.key))
        join_chain(self.client.info(patience=5), self.key, self.operator)
        look_at(served.world.db, served.settings, self.operator.address)
        self.outbox = Outbox(folder / "outbox")
        self.kinds: list[StepKind] = []
        self.courier = Delivery(
            self.outbox, self.client, on_sent=lambda _, kind: self.kinds.append(kind), on_lost=self._lost
        )
        self.courier.start()

    def _lost(self, ref: LeaseRef, error: GatewayError) -> None:
        raise AssertionError(f"{ref.title} was lost: {error}")

    def deliver(self) -> str:
        """Do the one tile of a fresh job, as far as the gateway's word that it is there; the job."""
        world = self.served.world
        job = world.job(tiles=1, state="opening")
        escrowed(world, job)
        with world.db.read() as session:
            opened = session.get_one(Job, job)
            assert opened.state == JobState.RUNNING, opened.error
        offer = self.client.claim(ClaimRequest(kinds=(WorkKind.TILE,), runtimes=(CLASS,), wait_seconds=3))
        assert offer is not None and offer.job == job
        sent, until = len(self.kinds), time.monotonic() + 20
        ref = LeaseRef(offer.id, offer.token, job, "tile", f"tile 0 of {job}", 5.0)
        data = bytearray(true_bytes(offer.tile))  # type: ignore[arg-type]
        seal_result(offer, ref, data, key=self.key, outbox=self.outbox, numerics_class=CLASS, seconds=5.0)
        while len(self.kinds) == sent:
            assert self.courier.is_alive() and self.courier.fatal is None, self.courier.fatal
            assert time.monotonic() < until, "it is not delivered"
            time.sleep(0.01)
        return job

    def end(self) -> None:
        self.courier.stop()
        self.courier.join(5)
        self.outbox.close()


@pytest.fixture
def worker(served: Served, tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(served, tmp_path / "node")
    yield worker
    worker.end()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command: its exit code, and what it said. No gateway is named by the environment."""
    monkeypatch.delenv("KILNET_GATEWAY", raising=False)

    def command(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(answer, "_answers", [])
        ending = run_command(list(words))
        assert "\n" not in ending.line
        return ending.code, ending.line or capsys.readouterr().out

    return command


def claims(run: Run, worker: Worker, *options: str) -> tuple[int, str]:
    return run("node", "claims", "--data", str(worker.folder), "--rpc", rpc(worker.served), *options)


def settled(run: Run, worker: Worker, job: str) -> tuple[int, str]:
    """The client's command, with a key that has coins for gas and nothing else; no gateway is asked."""
    key = Key.create()
    call_rpc(rpc(worker.served), "anvil_setBalance", key.address, hex(10**18))
    at = ("--rpc", rpc(worker.served), "--escrow", str(worker.served.world.domain["escrow"]))
    return run("settle", job, *at, "--key", "0x" + bytes(key.key).hex(), "--yes")


def completion(worker: Worker, lease: str) -> Complete:
    """What the node completed a lease with."""
    with worker.served.world.db.read() as session:
        row = session.get_one(Lease, lease)
        asset = {"path": "result.zst", "sha256": row.blob, "size": 1}
        return Complete.model_validate(
            {"token": row.token, "blobs": [asset], "result": {}, "seconds": 5.0, "signature": row.completion_signature}
        )


def ended(world: World, job: str, lease: str, how: str) -> None:
    """A job whose one tile was delivered comes to its end, by the doors that there are for that."""
    with world.db.begin() as session:
        row = lock_job(session, job)
        if how == "every tile refused":
            change_lease(session, session.get_one(Lease, lease), LeaseState.REJECTED, reason="wrong")
        outcome = JobState.CANCELLED if how == "cancelled by the client" else JobState.FAILED
        end_job(session, row, outcome, world.db.now())
        assert row.state == JobState.SETTLING


def test_the_gateway_gives_its_word_and_the_node_keeps_it(served: Served, worker: Worker) -> None:
    """Signed by the coordinator for this tile, this lease and what it earns; the same again when completed again; on
    disk, so that a node that starts anew has it; and a word that was changed is none."""
    job = worker.deliver()
    (kept,) = worker.outbox.acknowledgements.all()
    told = kept.told
    assert sound(told) and told.signer == signer(served).transactions.address
    assert (told.job, told.tile, told.node, told.amount) == (job, 0, worker.key.address, OWED)
    assert told.bond == signer(served).addresses.bond and not sound(told.model_copy(update={"amount": OWED + 1}))
    where = PublicGateway(served.url).read(BondView, "/v1/ledger/bond")
    assert (where.contract, where.signer) == (told.bond, told.signer)
    another = Acknowledgements(worker.folder / "outbox")
    assert [one.told for one in another.all()] == [told]
    another.close()
    body = completion(worker, told.lease)
    assert worker.client.complete(told.lease, body).acknowledgement == told
    # An agent from before there were words does not ask for one, and takes no answer with a field more.
    said = worker.client.transport.call("POST", f"/v1/leases/{told.lease}/complete", body=body)
    assert said.json() == {"state": "uploaded"}


def test_the_coordinator_vanishes(served: Served, worker: Worker, run: Run) -> None:
    """A tile is delivered and acknowledged, and nothing more is heard. After deadline and grace the client takes its
    money back, and the node's operator is paid by the bond, once: two commands, and neither asks a gateway."""
    job = worker.deliver()
    (kept,) = worker.outbox.acknowledgements.all()
    chain = Chain(rpc(served), 31337)
    before, stood = rich(served).balance_of(worker.operator.address), rich(served).bond_of(kept.told.signer).amount
    code, said = claims(run, worker, "--yes")
    assert code == 0 and "its job is open, for another" in said and "nothing to claim" in said, said
    with pytest.raises(ContractSaysNo, match="the job is open") as early:
        send_claim(chain, worker.key, kept.told)
    assert early.value.name == "JobNotRefunded"
    pass_time(served, 2 * 3600 + 60)
    assert "can be refunded: kilnet settle" in claims(run, worker)[1]
    code, said = settled(run, worker, job)
    assert code == 0 and "is refunded" in said, said

    code, said = claims(run, worker)
    assert code == 0 and "its job was refunded: claimable" in said and "with --yes" in said, said
    assert rich(served).balance_of(worker.operator.address) == before
    code, said = claims(run, worker, "--yes", "--json")
    assert code == 0, said
    (transaction,) = json.loads(said)["transactions"]
    assert transaction.startswith("0x")
    assert rich(served).balance_of(worker.operator.address) == before + OWED
    assert rich(served).bond_of(kept.told.signer).amount == stood - 2 * OWED, "as much again is burned"

    code, said = claims(run, worker, "--yes")
    assert code == 0 and "claimed from the bond" in said and said.endswith("nothing to claim\n"), said
    with pytest.raises(ContractSaysNo, match=r"has paid 0\.\d+ KILN for this tile before") as twice:
        send_claim(chain, worker.key, kept.told)
    assert twice.value.name == "AcknowledgementPaid" and "\n" not in str(twice.value)
    assert rich(served).balance_of(worker.operator.address) == before + OWED


@pytest.mark.parametrize("how", ["failed before a verdict", "cancelled by the client", "every tile refused"])
def test_a_finalized_job_owes_nothing(served: Served, worker: Worker, run: Run, how: str) -> None:
    """Nothing passed of what was acknowledged: the coordinator says so by a price of nothing, all of the cap returns,
    and neither this nor the later refund of a deadline makes the bond owe it. No word is given from then on, and the
    node forgets the one it has."""
    job = worker.deliver()
    (kept,) = worker.outbox.acknowledgements.all()
    ended(served.world, job, kept.told.lease, how)
    if how == "every tile refused":
        assert worker.client.complete(kept.told.lease, completion(worker, kept.told.lease)).acknowledgement is None
    else:
        with pytest.raises(LeaseLost):
            worker.client.complete(kept.told.lease, completion(worker, kept.told.lease))
    assert settle(served.world.db, served.settings, job)
    found = rich(served).escrow(chain_job_id(job))
    assert (found.state, found.price) == (OnChain.FINALIZED, 0)
    with served.world.db.read() as session:
        over = session.get_one(Job, job)
        assert over.state == (JobState.CANCELLED if how == "cancelled by the client" else JobState.FAILED)
        assert over.settlement is not None and int(over.settlement["refund"]) == found.cap
    pass_time(served, 2 * 3600 + 60)
    with pytest.raises(ContractSaysNo, match="the job is finalized") as refused:
        send_claim(Chain(rpc(served), 31337), worker.key, kept.told)
    assert refused.value.name == "JobNotRefunded"
    assert "finalized already" in settled(run, worker, job)[1]
    code, said = claims(run, worker, "--yes")
    assert code == 0 and "was finalized, and the bond owes nothing" in said and "nothing to claim" in said, said
    code, said = claims(run, worker)
    assert code == 2 and "no acknowledgement is kept here" in said, said


def test_a_coordinator_that_comes_back_too_late(served: Served, worker: Worker, run: Run) -> None:
    """Deadline and grace passed without it: it refunds the client itself, and its bond owes what was acknowledged."""
    job = worker.deliver()
    (kept,) = worker.outbox.acknowledgements.all()
    had = rich(served).balance_of(worker.operator.address)
    pass_time(served, 2 * 3600 + 60)
    ended(served.world, job, kept.told.lease, "failed before a verdict")
    assert settle(served.world.db, served.settings, job)
    assert rich(served).escrow(chain_job_id(job)).state is OnChain.REFUNDED
    code, said = claims(run, worker, "--yes")
    assert code == 0 and "claimed from the bond" in said, said
    assert rich(served).balance_of(worker.operator.address) == had + OWED


def test_a_bond_that_is_too_small_pays_what_it_has(served: Served, worker: Worker, run: Run) -> None:
    """First come, first served; what is missing can be claimed once somebody has added to it."""
    job = worker.deliver()
    (kept,) = worker.outbox.acknowledgements.all()
    poor = Key.create()
    other = kept.told.model_copy(update={"signer": poor.address})
    message = acknowledgement_message(
        chain_id=31337, bond=other.bond, job=job, tile=0, lease=other.lease, node=other.node,
        root=bytes.fromhex(other.root[2:]), amount=other.amount,
    )  # fmt: skip
    other = other.model_copy(update={"signature": sign(message, bytes(poor.key))})
    pass_time(served, 2 * 3600 + 60)
    settled(run, worker, job)
    with pytest.raises(ContractSaysNo, match="there is no bond of"):
        send_claim(Chain(rpc(served), 31337), worker.key, other)
    faucet = rich(served)
    faucet.approve(3 * OWED, other.bond)
    faucet.deposit_bond(poor.address, 2 * (OWED // 3))
    worker.outbox.acknowledgements.keep(other, kept.title)
    had = faucet.balance_of(worker.operator.address)
    assert claims(run, worker, "--yes")[0] == 0
    assert faucet.balance_of(worker.operator.address) == had + OWED // 3
    assert "can pay 0.000000 KILN, and owes" in claims(run, worker, "--yes")[1]
    with pytest.raises(ContractSaysNo, match="can pay nothing more"):
        send_claim(Chain(rpc(served), 31337), worker.key, other)
    faucet.deposit_bond(poor.address, 2 * (OWED - OWED // 3))
    assert claims(run, worker, "--yes")[0] == 0
    assert faucet.balance_of(worker.operator.address) == had + OWED


def test_what_people_get_wrong(served: Served, worker: Worker, run: Run, tmp_path: Path) -> None:
    """One line each, nothing lost."""
    worker.deliver()
    code, said = run("node", "claims", "--data", str(worker.folder))
    assert code == 2 and "name one with --rpc" in said, said
    code, said = run("node", "claims", "--data", str(tmp_path / "nowhere"), "--rpc", rpc(served))
    assert code == 2 and "no node has worked with this folder" in said, said
    code, said = run("node", "claims", "--data", str(worker.folder), "--rpc", "http://127.0.0.1:1")
    assert code == 3 and "no RPC of a chain answers" in said, said
    code, said = run("node", "claims", "--data", str(worker.folder), "--gateway", served.url)
    assert code == 0 and "its job is open" in said, said
    assert len(worker.outbox.acknowledgements.all()) == 1


def test_the_coordinator_adds_gives_notice_and_withdraws(served: Served, run: Run) -> None:
    """By commands; the withdrawal only when the notice is over, and no more than notice was given of."""
    coordinator, faucet = signer(served), rich(served)
    me = coordinator.transactions.address
    stood = faucet.bond_of(me).amount
    faucet.transfer(me, 3 * KILN)
    key = served.settings.chain.coordinator_key_file.read_text().strip()
    here = ("--rpc", rpc(served), "--escrow", str(served.world.domain["escrow"]))
    at = (*here, "--bond", coordinator.addresses.bond, "--key", key, "--yes")
    code, said = run("bond", "add", "2", "--gateway", served.url, "--key", key, "--yes")
    assert code == 0 and faucet.bond_of(me).amount == stood + 2 * KILN, said
    code, said = run("bond", "withdraw", *at)
    assert code == 2 and "gave no notice" in said, said
    code, said = run("bond", "notice", "1000000", *at)
    assert code == 2 and "were to leave" in said, said
    code, said = run("bond", "notice", "2", *at, "--json")
    assert code == 0 and json.loads(said)["leaving"] == str(2 * KILN), said
    code, said = run("bond", "withdraw", *at)
    assert code == 2 and "the notice runs for another" in said, said
    code, said = run("bond", "show", "--gateway", served.url)
    assert code == 0 and "leaving: 2.000000 KILN" in said, said
    held = faucet.balance_of(me)
    pass_time(served, coordinator.bond_notice())
    code, said = run("bond", "withdraw", *at)
    assert code == 0, said
    assert (faucet.balance_of(me), faucet.bond_of(me).amount) == (held + 2 * KILN, stood)
    for wrong, why in (
        (("bond", "show", "--signer", "0x12", "--gateway", served.url), "is no address"),
        (("bond", "add", "--", "-1"), "a number of KILN above 0"),
        (("bond", "show", *here), "its contract with --bond"),
        (("bond", "show", *here, "--signer", me), "name it with --bond"),
        (("bond", "show", *here, "--bond", coordinator.addresses.bond), "name it with --signer"),
        (("bond", "show", *here, "--bond", coordinator.addresses.escrow, "--signer", me), "is no bond for jobs"),
        (("bond", "show", *here, "--bond", me, "--signer", me), "is no bond for jobs"),
    ):
        code, said = run(*wrong)
        assert code == 2 and why in said, (wrong, said)
    code, said = run("bond", "show", *here, "--bond", coordinator.addresses.bond, "--signer", me, "--json")
    assert code == 0 and json.loads(said)["pays"] == str(stood // 2), said


def test_a_deployment_from_before_is_given_a_bond(tmp_path: Path) -> None:
    """What is there stays: the same escrow, the same tokens, and a bond beside them."""
    with EmbeddedChain(tmp_path / "chain.json") as chain:
        keys, file = chain.keys, tmp_path / "addresses.json"

        def again() -> Addresses:
            return deploy(
                chain.url, keys.deployer.key, keys.coordinator.address, keys.treasury.address, keys.signer.address,
                DeployParams(faucet=keys.faucet.address), addresses_file=file,
            )  # fmt: skip

        first = again()
        old = json.loads(file.read_text())
        del old["bond"]
        file.write_text(json.dumps(old))
        second = again()
        assert second.bond not in ("", first.bond) and replace(second, bond=first.bond) == first
        assert again() == second == Addresses.load(file)
        view = ChainClient(chain.url, second, keys.faucet.key)
        assert not view.bond_of(account_from_key(keys.signer.key).address).known
