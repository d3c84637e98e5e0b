"""What the page follows: the account's jobs, the nodes, the ledger; and the ledger itself, which anyone may read."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import func, select

from coordinator import events, settlement, views
from coordinator.errors import NotFound, SlowDown
from coordinator.gateway.bodies import to_json
from coordinator.gateway.context import Context, Gateway, Guest, SignedIn, in_thread, network_address
from coordinator.gateway.described import EVENTS
from coordinator.gateway.jobs_seen import JobId
from coordinator.store.models import Epoch, Event, Job, Node
from jobs.typed_data import chain_job_id
from jobs.wire import BondView, EscrowView, LedgerView

__all__ = ["LAST_EVENT", "resume_after", "router", "streaming"]

router = APIRouter(prefix="/v1")
LAST_EVENT = "Kilnet-Last-Event"
"""Header of a snapshot: who follows from there on misses nothing."""
_STREAMS_PER_ACCOUNT = 64
_STREAMS_PER_GUEST = 16
_LAST_ID = (1 << 63) - 1
_MOST_NODES = 1000
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def resume_after(request: Request, after: int) -> int:
    """The id that a reader has seen: its Last-Event-ID where it comes back, else what it asks for."""
    header = request.headers.get("last-event-id", "")
    return min(int(header), _LAST_ID) if header.isascii() and header.isdigit() and len(header) <= 19 else after


@contextlib.contextmanager
def _counted(gateway: Gateway, who: str) -> Iterator[None]:
    gateway.streams[who] += 1
    try:
        yield
    finally:
        gateway.streams[who] -= 1
        if gateway.streams[who] <= 0:
            del gateway.streams[who]


def streaming(
    gateway: Gateway, who: str, content: AsyncIterator[bytes], *, most: int = _STREAMS_PER_ACCOUNT
) -> StreamingResponse:
    """Server-sent events to somebody who has not too many streams open. Raises SlowDown."""
    if gateway.streams[who] >= most:
        raise SlowDown(f"{most} streams are open already; close some", retry_after=5)

    async def counted() -> AsyncIterator[bytes]:
        with _counted(gateway, who):
            async for sent in content:
                yield sent

    return StreamingResponse(counted(), headers=_HEADERS, media_type="text/event-stream")


@router.get("/events", response_class=Response, responses=EVENTS)
async def follow_jobs(
    request: Request, gateway: Context, caller: SignedIn, after: Annotated[int, Query(ge=0, le=_LAST_ID)] = 0
) -> Response:
    """The account's jobs as they change (event `job`, data jobs.wire.JobView), after an event."""
    return streaming(gateway, caller.address, _jobs(gateway, caller.address, resume_after(request, after)))


async def _jobs(gateway: Gateway, owner: str, after: int) -> AsyncIterator[bytes]:
    def look(ids: list[str]) -> list[dict[str, object]]:
        with gateway.db.read() as session:
            jobs = session.scalars(select(Job).where(Job.id.in_(ids))).all()
            return [
                view.model_dump(mode="json")
                for view in views.job_views(session, gateway.settings, jobs, now=gateway.db.now())
            ]

    following = events.changed_jobs(gateway.db, gateway.hints, owner, after, stopping=lambda: gateway.stopping)
    async for last, ids in following:
        if not ids:
            yield events.HEARTBEAT
        for view in await in_thread(look, ids):
            yield events.format_event(last, "job", view)


@router.get("/nodes/events", response_class=Response, responses=EVENTS)
async def follow_nodes(gateway: Context, caller: SignedIn) -> Response:
    """Workers as they change (event `nodes`: rows are jobs.wire.NodeView)."""
    feed = gateway.feed("nodes", lambda: _nodes(gateway), seconds=0.6)
    content = feed.follow(gateway.hints, stopping=lambda: gateway.stopping)
    return streaming(gateway, caller.address, content)


def _nodes(gateway: Gateway) -> dict[str, str]:
    with gateway.db.read() as session:
        nodes = session.scalars(select(Node).order_by(Node.last_seen.desc()).limit(_MOST_NODES)).all()
        return {view.address: view.model_dump_json() for view in views.node_views(session, nodes, now=gateway.db.now())}


@router.get("/ledger", dependencies=[Guest], response_model=LedgerView)
def ledger(gateway: Context) -> Response:
    with gateway.db.read() as session:
        return to_json(views.ledger_view(session, gateway.settings, now=gateway.db.now()))


@router.get("/ledger/bond", dependencies=[Guest], response_model=BondView)
def bond(gateway: Context) -> Response:
    """Where the coordinator's bond is; 404 where it has none."""
    found = settlement.bond_view(gateway.settings)
    if found is None:
        raise NotFound(
            "there is no bond here: what is acknowledged is backed by nothing until whoever runs this adds one",
            code="no_bond",
        )
    return to_json(found)


@router.get("/ledger/events", dependencies=[Guest], response_class=Response, responses=EVENTS)
async def follow_ledger(request: Request, gateway: Context) -> Response:
    """The ledger as it changes (event `ledger`: one row, jobs.wire.LedgerView)."""
    known: dict[tuple[object, ...], str] = {}

    def read() -> dict[str, str]:
        with gateway.db.read() as session:
            # Two look-ups by key say whether anything can have changed; the sums go over all jobs.
            epoch = session.execute(select(Epoch.number, Epoch.state).order_by(Epoch.number.desc()).limit(1)).first()
            state = (session.scalar(select(func.max(Event.id))), tuple(epoch or ()), int(gateway.db.now() // 30))
            if state not in known:
                view = views.ledger_view(session, gateway.settings, now=gateway.db.now())
                known.clear()
                known[state] = view.model_dump_json()
            return {"ledger": known[state]}

    feed = gateway.feed("ledger", read, seconds=1.0)
    content = feed.follow(gateway.hints, stopping=lambda: gateway.stopping)
    return streaming(gateway, f"guest {network_address(request)}", content, most=_STREAMS_PER_GUEST)


@router.get("/ledger/jobs/{job_id}/escrow", dependencies=[Guest], response_model=EscrowView)
def escrow(gateway: Context, job_id: JobId) -> Response:
    """A job's escrow as the chain has it now: for those who cannot read the chain themselves."""
    found = settlement.client(gateway.settings).escrow(chain_job_id(job_id))
    signer, _ = settlement.receipt_signer(gateway.settings)
    return to_json(
        EscrowView(
            job=job_id, state=found.state.name.lower(), client=found.client, cap=found.cap, price=found.price,
            receipt_root="0x" + found.receipt_root.hex(), receipt_count=found.receipt_count, receipt_signer=signer,
        )
    )  # fmt: skip
