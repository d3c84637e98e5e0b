"""Thirty real batches on a whole stack, ordered three at a time, with a challenge window: most are done, some are
cancelled, some find nobody, one is disputed. The books close to the unit against a recount from the chain's logs alone,
and every command says the same as the logs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from contracts.addresses import Addresses
from contracts.client import ChainClient
from contracts.client import JobState as OnChain
from contracts.deploy import KILN, DeployParams, deploy
from contracts.embedded import EmbeddedChain
from contracts.keys import LocalKeys
from coordinator.stack import Layout, LocalStack, temporary_stack
from jobs.client import Client
from jobs.errors import Unavailable
from jobs.inputs import prepare_batch
from jobs.pricing import reward_units
from jobs.spec import InferSpec
from jobs.states import JOB_FINAL, JobState
from jobs.typed_data import chain_job_id
from jobs.wire import JobView
from tests.cli.test_with_stack import Shell
from tests.settlement.recount import Books, recount
from tests.settlement.test_thirty_jobs import close
from tests.unit.test_inputs import items, model

pytestmark = [pytest.mark.stack, pytest.mark.chain, pytest.mark.slow, pytest.mark.timeout(900)]
WINDOW = 20
KINDS = ["done"] * 22 + ["cancelled early"] * 2 + ["cancelled late"] * 2 + ["nobody"] * 3 + ["disputed"]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A stack whose chain was deployed before with a challenge window and an auditor."""
    folder = tmp_path_factory.mktemp("thirty")
    layout = Layout.at(folder / "data")
    layout.create()
    keys = LocalKeys.load(layout.chain_keys)
    with EmbeddedChain(layout.chain_state, key_file=layout.chain_keys) as chain:
        deploy(
            chain.url, keys.deployer.key, keys.coordinator.address, keys.treasury.address, keys.coordinator.address,
            DeployParams(
                challenge_window=WINDOW, grace=3600, faucet=keys.faucet.address, bond=KILN,
                auditors=(keys.auditor.address,), guardian=keys.guardian.address,
            ),
            addresses_file=layout.addresses,
        )  # fmt: skip
    with temporary_stack(nodes=1, data=layout.data, unsandboxed=shutil.which("bwrap") is None) as stack:
        yield Shell(folder, stack)


def ordered(stack: LocalStack, folder: Path, number: int, kind: str) -> str:
    """One job, as anybody orders one: packed, uploaded, quoted, accepted; and cancelled where it is to be."""
    place = folder / f"batch{number}"
    place.mkdir()
    np.save(place / "x.npy", items(2000 if kind == "cancelled late" else 1 + number % 5))
    with (
        prepare_batch(model(place / "m.onnx"), place / "x.npy") as batch,
        Client(stack.gateway_url, str(stack.key_file)) as client,
    ):
        nobody = ("eu",) if kind in ("nobody", "cancelled early") else ()
        spec = InferSpec(name=kind, items=batch.items, shard_items=batch.shard_items, regions=nobody)
        job = client.submit(spec, batch.manifest, batch.sources)
        accept(client, job, 60 if kind == "nobody" else 1800)
        if kind.startswith("cancelled"):
            while client.job(job.id).state is JobState.OPENING:
                time.sleep(0.2)
            client.cancel(job.id)
        return job.id


def accept(client: Client, job: JobView, deadline_s: int) -> None:
    """On a busy machine the chain's answer may come too late: the same again, as the line says."""
    for tries in range(5):
        try:
            client.accept(job, deadline_s=deadline_s)
            return
        except Unavailable:
            if tries == 4:
                raise
            time.sleep(2)


def disputed(shell: Shell, chain: ChainClient, job: str, keys: LocalKeys) -> None:
    """Challenged while its window is open, and dismissed by the auditor: the bond is burned."""
    until = time.monotonic() + 300
    while chain.escrow(chain_job_id(job)).state is not OnChain.PROPOSED:
        assert time.monotonic() < until, "it was never proposed"
        time.sleep(0.2)
    (shell.folder / "evidence").write_bytes(b"what auditors are shown")
    rich = "0x" + bytes(keys.faucet.key).hex()
    said = shell.json("dispute", "challenge", job, "--evidence", "evidence", "--key", rich, "--yes")
    number = said["challenge"]
    auditor = "0x" + bytes(keys.auditor.key).hex()
    signature = shell.json("dispute", "sign", number, "--dismiss", "--key", auditor)["signature"]
    shell.json("dispute", "rule", number, "--dismiss", "--signature", signature, "--key", rich, "--yes")


def test_thirty_real_jobs_close_to_the_last_unit(shell: Shell) -> None:
    layout, stack = Layout.at(shell.stack.data), shell.stack
    keys, where = LocalKeys.load(layout.chain_keys), Addresses.load(layout.addresses)
    with Client(stack.gateway_url, str(stack.key_file)) as client:
        info = client.info().chain
        assert info is not None and info.rpc_url is not None
        rpc = info.rpc_url
        chain = ChainClient(rpc, where, keys.faucet.key)
        with ThreadPoolExecutor(3) as pool:
            orders = [pool.submit(ordered, stack, shell.folder, number, kind) for number, kind in enumerate(KINDS)]
            named = [(kind, order.result()) for kind, order in zip(KINDS, orders, strict=True)]
        disputed(shell, chain, named[-1][1], keys)
        views = [ended(client, job) for _, job in named]
        earned = sum(reward_units(one.price) for view in views for one in client.receipts(view.id))
    expected = {"done": JobState.DONE, "disputed": JobState.DONE, "nobody": JobState.FAILED}
    for (kind, _), view in zip(named, views, strict=True):
        assert kind not in expected or view.state is expected[kind], (kind, view.state, view.error)
        assert kind != "cancelled early" or view.state is JobState.CANCELLED
    until = time.monotonic() + 120
    while chain.active_epoch().total < earned:
        assert time.monotonic() < until, "what was earned is in no root"
        time.sleep(0.3)
    (node,) = (one for one in layout.node("").iterdir() if one.name != "trusted")
    claimed = shell.json("node", "claim", "--gateway", stack.gateway_url, "--data", node)
    assert int(claimed["claimed"]) == earned > 0
    others = (where.escrow, where.registry or "", where.disputes or "", where.distributor)
    books = recount(rpc, token=where.token, contracts=others)
    close(chain, keys.treasury.address, books)
    assert books.balances[where.escrow.lower()] == 0, "no job is open"
    assert len(books.jobs) == 30 and books.outcomes == [3], "one challenge, dismissed"
    agrees(shell, books, views)


def ended(client: Client, job: str) -> JobView:
    until = time.monotonic() + 400
    while (view := client.job(job)).state not in JOB_FINAL:
        assert time.monotonic() < until, (job, view.state, view.waiting_for)
        time.sleep(0.3)
    return view


def agrees(shell: Shell, books: Books, views: list[JobView]) -> None:
    """`kilnet job` and `kilnet ledger` say of each job and of all what the logs do."""
    for view in views:
        told, logged = shell.json("job", view.id), books.jobs[chain_job_id(view.id).hex()]
        assert [int(told[name]) for name in ("burned", "fee", "refund")] == [logged.burned, logged.fee, logged.refund]
        assert int(told["escrow"]) == logged.cap == logged.burned + logged.fee + logged.refund
    ledger = shell.json("ledger")
    assert int(ledger["supply"]) == books.supply and int(ledger["burned"]) == books.burned
    assert sum(int(one["burned_by_jobs"]) for one in ledger["epochs"]) == books.burned_by_jobs
    assert sum(int(one["rewards_minted"]) for one in ledger["epochs"]) == sum(amount for _, amount, _ in books.claims)
