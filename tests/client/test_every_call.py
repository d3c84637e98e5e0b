"""Every call of the SDK, of both clients, at a real gateway with a chain: none is there that was never made."""

from __future__ import annotations

import hashlib
import inspect
import io
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select, update

from coordinator.config import NotifySettings
from coordinator.judging import draw, judge
from coordinator.planning import complete_frame
from coordinator.states import change_job
from coordinator.store.models import Job, Lease, Work
from jobs.client import AsyncClient, Client
from jobs.errors import BadInput, Refused
from jobs.spec import RenderSpec
from jobs.states import JobState, WorkKind, WorkState
from jobs.wire import AddTarget, CreateApiKey
from tests.client.playing import Coordinator, small_pipeline
from tests.client.test_transfers import files
from tests.coordinator.gateway.conftest import Served
from tests.coordinator.gateway.test_notify import _Mailbox, mailbox
from tests.coordinator.gateway.test_views import QUOTE
from tests.coordinator.world import World
from tests.web.chained import chained
from tests.web.fair import Fair, Frame

__all__ = ["mailbox"]

Say = Callable[..., Awaitable[Any]]
"""Makes a call by its name with either client; of what iterates, a list."""


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_both_have_the_same_calls() -> None:
    """Names, parameters, their defaults and what comes of them, in the same words; nothing is public on one of them
    alone; and what the one waits for the other awaits."""
    assert _public(Client) - {"close"} == _public(AsyncClient) - {"aclose"}
    for name in [*sorted(_public(Client) - {"close"}), "__init__"]:
        one, other = inspect.getattr_static(Client, name), inspect.getattr_static(AsyncClient, name)
        assert type(one) is type(other), name
        if isinstance(one, property):
            one, other = one.fget, other.fget
            assert not inspect.iscoroutinefunction(other), name
        mine, its = inspect.signature(one), inspect.signature(other)
        for parameter, twin in zip(mine.parameters.values(), its.parameters.values(), strict=True):
            assert (parameter.name, parameter.kind) == (twin.name, twin.kind), name
            # The transport is httpx's own of either kind; a default that is a function is one of each.
            assert parameter.annotation == twin.annotation or parameter.name == "transport", name
            assert parameter.default == twin.default or callable(parameter.default), name
        comes, awaited = str(mine.return_annotation), str(its.return_annotation)
        assert comes.removeprefix("Iterator") == awaited.removeprefix("AsyncIterator"), name
        assert name == "__init__" or one.__doc__ == other.__doc__, name
        if inspect.isfunction(inspect.getattr_static(Client, name)) and name != "__init__":
            assert inspect.iscoroutinefunction(other) is not comes.startswith("Iterator"), name


@pytest.fixture
def farm(tmp_path: Path, mailbox: tuple[_Mailbox, Any]) -> Iterator[tuple[Served, _Mailbox]]:
    """A gateway with a chain that mails."""
    folder = tmp_path / "farm"
    folder.mkdir()
    with chained(folder, notify=NotifySettings(allow_private=True, smtp=mailbox[1])) as served:
        yield served, mailbox[0]


@pytest.mark.parametrize("awaited", [False, True], ids=["Client", "AsyncClient"])
def test_every_call_is_made(farm: tuple[Served, _Mailbox], tmp_path: Path, awaited: bool) -> None:
    """Each public call does what it says, as the rows, the chain and the disk show; the list is the client's own, so
    that a new call is missed here until it is made."""
    served, box = farm
    made: set[str] = set()

    async def tour(client: Any) -> None:
        async def say(name: str, *args: Any, **given: Any) -> Any:
            made.add(name)
            found = getattr(client, name)(*args, **given)
            if name in ("events", "passed_tiles", "frames", "items", "run_pipeline"):
                return [one async for one in found] if awaited else list(found)
            return await found if awaited else found

        assert client.address == served.world.owner.address and client.gateway == served.url
        made.update(("address", "gateway"))
        await _account(say, box)
        await _orders(say, served, tmp_path)
        await _steering(say, served.world)
        await _rendered(say, served.world, tmp_path)
        await _inferred(say, served.world)
        await say("aclose" if awaited else "close")

    kind = AsyncClient if awaited else Client
    client = kind(served.url, served.world.owner.key, patience=5)
    anyio.run(tour, client)
    assert made == _public(kind)


async def _account(say: Say, box: _Mailbox) -> None:
    assert (await say("info")).chain.chain_id == 31337
    assert (await say("account")).balance == 100 * 10**18
    key = await say("create_api_key", CreateApiKey(name="nightly", spend_limit=None))
    assert [one.id for one in await say("api_keys")] == [key.info.id]
    assert (await say("revoke_api_key", key.info.id)).revoked_at is not None
    assert "/sign-in#" in await say("page_url")
    hook = await say("add_notify_target", AddTarget(address="http://127.0.0.1:9/hook"))
    mail = await say("add_notify_target", AddTarget(address="ada@studio.example"))
    assert hook.secret and not mail.target.confirmed
    with pytest.raises(BadInput, match=r"^code: "):
        await say("confirm_notify_target", mail.target.id, "")
    code = box.mails[0].get_content().split("kilnet notify confirm ")[1].split()[1]
    assert (await say("confirm_notify_target", mail.target.id, code)).confirmed
    await say("remove_notify_target", hook.target.id)
    assert [one.id for one in await say("notify_targets")] == [mail.target.id]


async def _orders(say: Say, served: Served, folder: Path) -> None:
    """Upload, create, quote, order, to the end; a pipeline; no to a quote."""
    manifest, sources = files(folder, **{"scene.blend": b"BLENDER"})
    assert await say("upload", manifest, sources) == 7
    with Coordinator(served) as play:
        with pytest.raises(BadInput, match=r"^idempotency_key: "):
            await say("create_job", RenderSpec(), manifest, idempotency_key="short")
        created = await say("create_job", RenderSpec(), manifest, idempotency_key="the-tour")
        seen: list[Any] = []
        quoted = await say("wait_quote", created.id, timeout=20, on_change=seen.append)
        assert quoted.state is JobState.QUOTED and seen[-1] == quoted
        submitted = await say("submit", RenderSpec(), manifest, sources, idempotency_key="the-tour")
        assert submitted.id == quoted.id
        assert (await say("accept", quoted, deadline_s=3600)).state is JobState.OPENING
        while (await say("job", quoted.id)).state is not JobState.RUNNING:
            await anyio.sleep(0.05)
        play.end(quoted.id, JobState.DONE)
        assert (await say("wait", quoted.id)).state is JobState.DONE
        with pytest.raises(Refused, match="nothing was charged for only"):
            await say("run_pipeline", small_pipeline(folder, "only: {infer: m.onnx, inputs: x.npy}"), folder,
                      confirm=lambda _: False)  # fmt: skip
    states = {one.id: one.state for one in await say("jobs")}
    assert states.pop(quoted.id) is JobState.DONE and list(states.values()) == [JobState.CANCELLED]


async def _steering(say: Say, world: World) -> None:
    """What is said of jobs that run."""
    job = world.job(tiles=2, quote=QUOTE)
    changed = await say("change", job, priority=5, cap_usd=Decimal("0.5"))
    assert (changed.priority, Decimal(changed.lowered_cap_usd)) == (5, Decimal("0.5"))
    with pytest.raises(BadInput, match=r"^priority: "):
        await say("change", job, priority=1000)
    assert (await say("pause", job)).state is JobState.PAUSED
    assert (await say("resume", job)).state is JobState.RUNNING
    assert (await say("cancel", job)).state is JobState.SETTLING
    for word, after in (("approve", JobState.RUNNING), ("reject", JobState.SETTLING)):
        job = world.job(tiles=2, quote=QUOTE)
        with world.db.begin() as session:
            tiles = update(Work).where(Work.job_id == job)
            session.execute(tiles.where(Work.index == 1).values(state=str(WorkState.HELD)))
            session.execute(tiles.where(Work.index == 0).values(state=str(WorkState.DONE)))
        complete_frame(world.db, world.settings, job)
        assert (await say("job", job)).state is JobState.REVIEW
        assert (await say(word, job)).state is after
    with world.db.begin() as session:  # nothing of these is to be leased below
        session.execute(update(Work).values(state=str(WorkState.CANCELLED)))


async def _rendered(say: Say, world: World, folder: Path) -> None:
    """Of a job that renders: a refused tile, two that passed, a delivered frame."""
    fair, frame = Fair(world), Frame(64, 32, 4)
    fair.enlist(2)
    job = fair.render("tour", frame, (2, 1))
    fair.cheat(frame)
    cheat = fair.nodes.pop(0)
    fair.pass_tiles(frame, 2)
    fair.deliver(job, frame, 1)
    fair.settle(job)
    refused = await say("evidence", job, 0)
    assert refused.verdict == "reject" and refused.worker.address == cheat.address
    assert (await say("lease_evidence", refused.worker.lease)).cell == refused.cell
    assert [one.index for one in await say("tiles", job)] == [0, 1]
    assert sorted(one.index for one in await say("passed_tiles", job)) == [0, 1]
    assert len(await say("receipts", job)) == 2
    assert len((await say("bundle", job))["receipts"]) == 2
    assert {one.type for one in await say("events", job)} == {"job", "tile", "output"}
    outputs = {one.path: one for one in await say("outputs", job)}
    assert set(outputs) == {"reference.png", "0001.png"}
    shown = (await say("frame_picture", job, 1, kind="result")).png
    assert np.array_equal(*(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in (shown, frame.png())))
    assert (await say("frame_look", job, 1)).covered == 1
    picture = outputs["0001.png"]
    assert hashlib.sha256(await say("read_blob", picture.sha256)).hexdigest() == picture.sha256
    await say("download", picture.sha256, folder / "one.png", size=picture.size)
    assert (folder / "one.png").read_bytes() == frame.png()
    [one] = await say("frames", job, folder / "frames")
    assert one.path.read_bytes() == frame.png()
    delivered = await say("download_outputs", job, folder / "all")
    assert {one.path.name for one in delivered} == set(outputs)


async def _inferred(say: Say, world: World) -> None:
    """Of a batch: its items."""
    world.worker(world.trusted)
    worker = world.worker()
    job = world.job(tiles=1, count=4, quote=QUOTE)
    offer = world.claim(worker)
    assert offer is not None and offer.job == job
    world.do_tile(worker, offer)
    draw(world.db, world.settings, offer.id)
    audit = world.claim(world.trusted, WorkKind.AUDIT)
    assert audit is not None
    world.do_audit(world.trusted, audit)
    judge(world.db, world.settings, offer.id)
    with world.db.begin() as session:
        assert session.scalar(select(Lease.job_id).where(Lease.id == offer.id)) == job
        row = session.get_one(Job, job)
        change_job(session, row, JobState.SETTLING, outcome="done")
        change_job(session, row, JobState.DONE)
    [items] = await say("items", job)
    assert (items.first, items.count) == (0, 4)
