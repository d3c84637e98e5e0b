"""Jobs of an account: quote, order, follow, fetch, prove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import func, select

from coordinator import admission, events, settlement, views
from coordinator.auth import Caller
from coordinator.gateway.bodies import MEBIBYTE, from_caller, to_json
from coordinator.gateway.context import Context, Gateway, SignedIn, in_thread
from coordinator.gateway.described import EVENTS
from coordinator.gateway.jobs_seen import JobId, visible
from coordinator.gateway.live_routes import LAST_EVENT, resume_after, streaming
from coordinator.store.models import Event, Job
from jobs.wire import AcceptJob, ChangeJob, CreateJob, JobView, OutputView, ReceiptView, TileView

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs")
_LAST_ID = (1 << 63) - 1


@router.post("", response_model=JobView)
def create(
    gateway: Context, caller: SignedIn, body: Annotated[CreateJob, from_caller(CreateJob, 48 * MEBIBYTE)]
) -> Response:
    job_id = admission.create_job(
        gateway.db, gateway.settings, owner=caller.address, body=body, api_key=caller.key.id if caller.key else None
    )
    return _shown(gateway, caller, job_id)


@router.get("", response_model=list[JobView])
def list_jobs(
    gateway: Context,
    caller: SignedIn,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    before: Annotated[float | None, Query(allow_inf_nan=False)] = None,
) -> Response:
    """The account's jobs, the latest first; `before` (created_at of the last one seen) goes on."""
    wanted = select(Job).where(Job.owner == caller.address).order_by(Job.created_at.desc(), Job.id).limit(limit)
    if before is not None:
        wanted = wanted.where(Job.created_at < before)
    with gateway.db.read() as session:
        newest = session.scalar(select(func.max(Event.id))) or 0
        jobs = session.scalars(wanted).all()
        answer = to_json(views.job_views(session, gateway.settings, jobs, now=gateway.db.now()))
    answer.headers[LAST_EVENT] = str(newest)
    return answer


@router.get("/{job_id}", response_model=JobView)
def show(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    return _shown(gateway, caller, job_id)


@router.get("/{job_id}/tiles", response_model=list[TileView])
def tiles(
    gateway: Context,
    caller: SignedIn,
    job_id: JobId,
    offset: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 100_000,
) -> Response:
    with gateway.db.read() as session:
        job = visible(session, caller, job_id)
        newest = views.last_event(session, job.id)
        answer = to_json(views.tile_views(session, job.id, offset=offset, limit=limit))
    answer.headers[LAST_EVENT] = str(newest)
    return answer


@router.post("/{job_id}/accept", response_model=JobView)
def accept(
    gateway: Context, caller: SignedIn, job_id: JobId, body: Annotated[AcceptJob, from_caller(AcceptJob, MEBIBYTE)]
) -> Response:
    domain = settlement.domain(gateway.settings)
    admission.accept(
        gateway.db, gateway.settings, domain, owner=caller.address, job_id=job_id, body=body,
        api_key=caller.key.id if caller.key else None,
    )  # fmt: skip
    return _shown(gateway, caller, job_id)


@router.post("/{job_id}/change", response_model=JobView)
def change(
    gateway: Context, caller: SignedIn, job_id: JobId, body: Annotated[ChangeJob, from_caller(ChangeJob, MEBIBYTE)]
) -> Response:
    admission.change(gateway.db, owner=caller.address, job_id=job_id, body=body)
    return _shown(gateway, caller, job_id)


@router.post("/{job_id}/cancel", response_model=JobView)
def cancel(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    return _ordered(gateway, caller, job_id, admission.cancel)


@router.post("/{job_id}/pause", response_model=JobView)
def pause(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    return _ordered(gateway, caller, job_id, admission.pause)


@router.post("/{job_id}/resume", response_model=JobView)
def resume(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    return _ordered(gateway, caller, job_id, admission.resume)


@router.post("/{job_id}/approve", response_model=JobView)
def approve(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    return _ordered(gateway, caller, job_id, admission.approve)


@router.post("/{job_id}/reject", response_model=JobView)
def reject(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    return _ordered(gateway, caller, job_id, admission.reject)


@router.get("/{job_id}/outputs", response_model=list[OutputView])
def outputs(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    with gateway.db.read() as session:
        return to_json(views.output_views(session, visible(session, caller, job_id).id))


@router.get("/{job_id}/receipts", response_model=list[ReceiptView])
def receipts(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    with gateway.db.read() as session:
        return to_json(views.receipt_views(session, visible(session, caller, job_id)))


@router.get("/{job_id}/bundle", response_model=dict[str, Any])
def bundle(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    domain = settlement.domain(gateway.settings)
    signer, _ = settlement.receipt_signer(gateway.settings)
    with gateway.db.read() as session:
        job = visible(session, caller, job_id)
        return to_json(views.bundle(session, job, domain, receipt_signer=signer))


@router.get("/{job_id}/events", response_class=Response, responses=EVENTS)
async def follow(
    request: Request,
    gateway: Context,
    caller: SignedIn,
    job_id: JobId,
    after: Annotated[int, Query(ge=0, le=_LAST_ID)] = 0,
) -> Response:
    """What happens to a job, after an event."""
    await in_thread(_exists, gateway, caller, job_id)
    content = events.stream(
        gateway.db, gateway.hints, job_id, resume_after(request, after), stopping=lambda: gateway.stopping
    )
    return streaming(gateway, caller.address, content)


def _exists(gateway: Gateway, caller: Caller, job_id: str) -> None:
    with gateway.db.read() as session:
        visible(session, caller, job_id)


def _shown(gateway: Gateway, caller: Caller, job_id: str) -> Response:
    with gateway.db.read() as session:
        job = visible(session, caller, job_id)
        return to_json(views.job_view(session, gateway.settings, job, now=gateway.db.now()))


def _ordered(gateway: Gateway, caller: Caller, job_id: str, order: Callable[..., Any]) -> Response:
    order(gateway.db, gateway.settings, owner=caller.address, job_id=job_id)
    return _shown(gateway, caller, job_id)
