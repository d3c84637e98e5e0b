"""A receipt of a job that a real chain has settled, proven in the browser; and every way to forge one, caught there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_account import Account as Key
from sqlalchemy import update

from contracts.client import ChainClient
from contracts.deploy import KILN, DeployParams, deploy
from contracts.embedded import EmbeddedChain
from contracts.errors import ToolMissing
from contracts.typed_data import sign_permit
from coordinator.settlement import close_epoch, domain, open_escrow, settle
from coordinator.states import change_job
from coordinator.store.models import Job
from jobs.states import JobState
from jobs.typed_data import order_message, sign
from jobs.wire import AcceptJob, PermitSignature
from tests.coordinator.gateway.conftest import Served, running_broker, serving
from tests.coordinator.world import World
from tests.web.fair import Fair, Frame

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A gateway with a chain of its own, and a job of five tiles that went all the way there."""
    folder = tmp_path_factory.mktemp("proof")
    try:
        chain = EmbeddedChain(folder / "chain.json")
    except ToolMissing as error:
        pytest.skip(str(error))
    with chain, running_broker() as broker:

        def prepare(world: World) -> None:
            keys, files = chain.keys, world.settings.chain
            addresses = deploy(
                chain.url, keys.deployer.key, keys.coordinator.address, keys.treasury.address,
                keys.coordinator.address, DeployParams(grace=3600, faucet=keys.faucet.address),
            )  # fmt: skip
            addresses.save(files.addresses_file)
            files.coordinator_key_file.write_text("0x" + bytes(keys.coordinator.key).hex())
            public = files.model_copy(update={"rpc_url": chain.url, "public_rpc_url": chain.url})
            world.settings = world.settings.model_copy(update={"chain": public})
            world.domain = domain(world.settings)
            ChainClient(chain.url, addresses, keys.faucet.key).transfer(world.owner.address, 100 * KILN)

        with serving(f"sqlite:///{folder / 'kilnet.sqlite'}", folder, broker, prepare=prepare) as served:
            yield served, _through(served)


def _through(served: Served) -> str:
    """Ordered, escrowed, rendered, proven, settled, paid."""
    world, frame = served.world, Frame(80, 16, 2)
    fair = Fair(world)
    fair.enlist(3)
    job = fair.render("settled", frame, (5, 1), state="opening")
    with world.db.read() as session:
        cap = session.get_one(Job, job).cap or 0
    chain = ChainClient(
        world.settings.chain.rpc_url, _addresses(world), world.settings.chain.coordinator_key_file.read_text().strip()
    )
    deadline = chain.time() + 3600
    owner = Key.from_key(world.owner.key)
    message = order_message(world.domain, job=job, client=owner.address, cap=cap, deadline=deadline)
    permit = sign_permit(owner, value=cap, nonce=0, deadline=deadline, addresses=_addresses(world))
    signature = "0x" + (permit.r.rjust(32, b"\0") + permit.s.rjust(32, b"\0") + bytes([permit.v])).hex()
    order = AcceptJob(
        cap=cap, deadline=deadline, order_signature=sign(message, world.owner.key),
        permit=PermitSignature(value=cap, nonce=0, deadline=deadline, signature=signature),
    )  # fmt: skip
    with world.db.begin() as session:
        session.execute(
            update(Job).where(Job.id == job).values(order=order.model_dump(mode="json"), owner=owner.address)
        )
    open_escrow(world.db, world.settings, job)
    fair.pass_tiles(frame, 5)
    with world.db.begin() as session:
        change_job(session, session.get_one(Job, job), JobState.SETTLING, outcome="done")
    settle(world.db, world.settings, job)
    assert close_epoch(world.db, world.settings) == 1
    return job


def _addresses(world: World) -> Any:
    from contracts.addresses import Addresses

    return Addresses.load(world.settings.chain.addresses_file)


def _receipts(served: Served, job: str) -> list[dict[str, Any]]:
    with served.client(served.world.owner) as client:
        return [one.model_dump(mode="json") for one in client.receipts(job)]


def _drop(page: Page, served: Served, content: Any, folder: Path) -> None:
    file = folder / "receipt.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    if "/audit" not in page.url:
        page.goto(f"{served.url}/audit")
        page.wait_for_load_state("networkidle")
    page.set_input_files("input[type=file]", str(file))


def test_a_receipt_is_proven_without_an_account(page: Page, settled: tuple[Served, str], tmp_path: Path) -> None:
    """All checks hold, the escrow's own too, which the browser asks itself; the path ends in the root on chain."""
    served, job = settled
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    receipts = _receipts(served, job)
    _drop(page, served, receipts[3], tmp_path)
    page.get_by_role("heading", name="Proven").wait_for()
    assert page.locator(".checks li.good").count() == 7
    assert any(url.startswith(served.world.settings.chain.rpc_url) for url in asked), "the chain was not asked"
    with httpx.Client(base_url=served.url) as client:
        root = client.get(f"/v1/ledger/jobs/{job}/escrow").json()["receipt_root"]
    assert page.locator(".path li").last.get_by_role("button").last.get_attribute("title") == root
    # The whole list, one after the other; and a bundle.
    _drop(page, served, receipts, tmp_path)
    page.get_by_label("Receipt", exact=True).select_option("4")
    page.get_by_text("tile 4").first.wait_for()
    page.get_by_role("heading", name="Proven").wait_for()
    with served.client(served.world.owner) as signed_in:
        _drop(page, served, signed_in.bundle(job), tmp_path)
    page.get_by_role("heading", name="Proven").wait_for()


def _other(value: str) -> str:
    return value[:-1] + ("0" if value[-1] != "0" else "1")


def _resigned(one: dict[str, Any]) -> None:
    signature = one["signature"]
    one["signature"] = signature[:10] + _other(signature[10:20]) + signature[20:]


FORGED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "price": (lambda one: one.update(price=str(int(one["price"]) + 1)), "The leaf is the hash"),
    "tile": (lambda one: one.update(tile=one["tile"] + 1), "The leaf is the hash"),
    "node": (lambda one: one.update(node=_other(one["node"])), "The coordinator signed it"),
    "signature": (_resigned, "The coordinator signed it"),
    "commitment": (lambda one: one.update(commitment=_other(one["commitment"])), "The node had committed"),
    "fencing token": (lambda one: one.update(fencing_token=one["fencing_token"] + 1), "The node had committed"),
    "secret": (lambda one: one.update(secret=_other(one["secret"])), "The secret was fixed before"),
    "cells": (lambda one: one.update(cells=one["cells"][:-1] or [1]), "Commitment and secret draw"),
    "path": (lambda one: one.update(proof=[_other(one["proof"][0]), *one["proof"][1:]]), "The leaf hangs on"),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_receipt_is_caught(page: Page, settled: tuple[Served, str], tmp_path: Path, what: str) -> None:
    """The check that names it does not hold, and the verdict says not to rely on it."""
    served, job = settled
    forge, check = FORGED[what]
    receipt = next(one for one in _receipts(served, job) if len(one["proof"]) > 1)
    forge(receipt)
    _drop(page, served, receipt, tmp_path)
    page.get_by_role("heading", name="This receipt is not what it says").wait_for()
    failed = page.locator(".checks li.bad").all_inner_texts()
    assert any(check in text for text in failed), failed


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hello", "not JSON"), ("[]", "no receipt in this file"), ('{"job": 1}', "price is no amount"),
        ('"<b>"', "this is no receipt"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_receipt(
    page: Page, settled: tuple[Served, str], tmp_path: Path, content: str, said: str
) -> None:
    """One line says what is wrong with it."""
    _drop(page, settled[0], content, tmp_path)
    page.get_by_role("alert").get_by_text(said).wait_for()
