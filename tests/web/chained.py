"""A gateway with a real chain of its own, and jobs that went all the way there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eth_account import Account as Key
from sqlalchemy import update

from contracts.addresses import Addresses
from contracts.client import ChainClient
from contracts.deploy import KILN, DeployParams, deploy
from contracts.embedded import EmbeddedChain
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

__all__ = ["chained", "escrowed", "through"]


@contextlib.contextmanager
def chained(folder: Path, **settings: Any) -> Iterator[Served]:
    """The owner has 100 KILN; `settings` are other ones of the gateway. Raises ToolMissing without anvil."""
    with EmbeddedChain(folder / "chain.json") as chain, running_broker() as broker:

        def prepare(world: World) -> None:
            keys, files = chain.keys, world.settings.chain
            addresses = deploy(
                chain.url, keys.deployer.key, keys.coordinator.address, keys.treasury.address,
                keys.coordinator.address, DeployParams(grace=3600, faucet=keys.faucet.address),
            )  # fmt: skip
            addresses.save(files.addresses_file)
            files.coordinator_key_file.write_text("0x" + bytes(keys.coordinator.key).hex())
            public = files.model_copy(update={"rpc_url": chain.url, "public_rpc_url": chain.url})
            world.settings = world.settings.model_copy(update={"chain": public, **settings})
            world.domain = domain(world.settings)
            ChainClient(chain.url, addresses, keys.faucet.key).transfer(world.owner.address, 100 * KILN)

        with serving(f"sqlite:///{folder / 'kilnet.sqlite'}", folder, broker, prepare=prepare) as served:
            yield served


def through(world: World, fair: Fair, name: str, frame: Frame, grid: tuple[int, int], *, ranges: int = 1) -> str:
    """A job that was ordered, escrowed, rendered, proven, delivered, settled and paid."""
    job = fair.render(name, frame, grid, ranges=ranges, state="opening")
    escrowed(world, job)
    fair.pass_tiles(frame, grid[0] * grid[1] * ranges)
    fair.deliver(job, frame, 1)
    with world.db.begin() as session:
        change_job(session, session.get_one(Job, job), JobState.SETTLING, outcome="done")
    settle(world.db, world.settings, job)
    assert close_epoch(world.db, world.settings) is not None
    return job


def escrowed(world: World, job: str) -> None:
    """Order a job that is there to be opened, and open it on chain."""
    with world.db.read() as session:
        cap = session.get_one(Job, job).cap or 0
    addresses = Addresses.load(world.settings.chain.addresses_file)
    key = world.settings.chain.coordinator_key_file.read_text().strip()
    chain = ChainClient(world.settings.chain.rpc_url, addresses, key)
    deadline = chain.time() + 3600
    owner = Key.from_key(world.owner.key)
    message = order_message(world.domain, job=job, client=owner.address, cap=cap, deadline=deadline)
    nonce = chain.permit_nonce(owner.address)
    permit = sign_permit(owner, value=cap, nonce=nonce, deadline=deadline, addresses=addresses)
    signature = "0x" + (permit.r.rjust(32, b"\0") + permit.s.rjust(32, b"\0") + bytes([permit.v])).hex()
    order = AcceptJob(
        cap=cap, deadline=deadline, order_signature=sign(message, world.owner.key),
        permit=PermitSignature(value=cap, nonce=nonce, deadline=deadline, signature=signature),
    )  # fmt: skip
    with world.db.begin() as session:
        session.execute(update(Job).where(Job.id == job).values(order=order.model_dump(mode="json")))
    open_escrow(world.db, world.settings, job)
