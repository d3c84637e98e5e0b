"""One job in detail: facts, attempts, audited cells, what happened, pictures."""

from __future__ import annotations

import contextlib
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import TypeAdapter
from sqlalchemy import select

from coordinator import views
from coordinator.errors import NotFound
from coordinator.gateway.bodies import to_json
from coordinator.gateway.context import Context, Gateway, SignedIn
from coordinator.gateway.described import PNG
from coordinator.gateway.jobs_seen import JobId, visible
from coordinator.store.models import Job, Output
from coordinator.web.pictures import Picture, empty, shown
from jobs.contract import Contract, RenderContract
from jobs.looks import FrameLook
from jobs.wire import AttemptView, AuditedView, JobFacts, LogEntry

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs/{job_id}")
TileIndex = Annotated[int, Path(ge=0, le=1 << 31)]
Frame = Annotated[int, Path(ge=-(1 << 31), le=1 << 31)]
_CONTRACT: TypeAdapter[Contract] = TypeAdapter(Contract)


@router.get("/facts", response_model=JobFacts)
def facts(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    with gateway.db.read() as session:
        return to_json(views.job_facts(session, visible(session, caller, job_id)))


@router.get("/tiles/{index}/attempts", response_model=list[AttemptView])
def attempts(gateway: Context, caller: SignedIn, job_id: JobId, index: TileIndex) -> Response:
    with gateway.db.read() as session:
        return to_json(views.attempt_views(session, visible(session, caller, job_id).id, index))


@router.get("/audited", response_model=list[AuditedView])
def audited(gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    """Every audited cell whose verdict is known."""
    with gateway.db.read() as session:
        return to_json(views.audited_views(session, visible(session, caller, job_id).id))


@router.get("/log", response_model=list[LogEntry])
def log(
    gateway: Context,
    caller: SignedIn,
    job_id: JobId,
    before: Annotated[int | None, Query(ge=0, le=(1 << 63) - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """What happened, the latest first; `before` (id of the last one seen) goes on."""
    with gateway.db.read() as session:
        job = visible(session, caller, job_id)
        return to_json(views.log_entries(session, job.id, before=before, limit=limit))


@router.get("/frames/{frame}/{kind}.png", response_class=Response, responses=PNG)
def picture(
    request: Request,
    gateway: Context,
    caller: SignedIn,
    job_id: JobId,
    frame: Frame,
    kind: Literal["reference", "live", "result"],
) -> Response:
    """A frame as a small PNG: the reference frame, the tiles that passed so far, or what was delivered."""
    return _answer(request, _picture(gateway, caller, job_id, frame, kind), kind)


@router.get("/frames/{frame}/look", response_model=FrameLook)
def look(gateway: Context, caller: SignedIn, job_id: JobId, frame: Frame) -> Response:
    """How far a frame has come, and how noisy it still is."""
    with gateway.db.read() as session:
        contract = _contract(visible(session, caller, job_id))
    found = gateway.live_pictures.look(job_id, contract, frame)
    return to_json(FrameLook(covered=found.covered, samples=found.samples, noise=found.noise))


@router.get("/picture.png", response_class=Response, responses=PNG)
def cover(request: Request, gateway: Context, caller: SignedIn, job_id: JobId) -> Response:
    """The job at a glance: its first delivered frame, else its reference frame, else an empty picture."""
    with gateway.db.read() as session:
        job = visible(session, caller, job_id)
        wanted = select(Output.sha256).where(Output.job_id == job.id, Output.kind.in_(("image", "preview")))
        # `image` before `preview`.
        sha = session.scalar(wanted.order_by(Output.kind, Output.frame, Output.path).limit(1))
    made = None
    with contextlib.suppress(NotFound):
        made = Picture(shown(gateway.store, sha), sha[:16]) if sha else None
    return _answer(request, made or Picture(empty(), "empty"), "cover")


def _answer(request: Request, made: Picture, kind: str) -> Response:
    headers = {
        "ETag": f'"{kind}-{made.tag}"',
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Kilnet-More": str(int(made.more)),
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(made.png, headers=headers, media_type="image/png")


def _contract(job: Job) -> RenderContract:
    if job.contract is None or job.kind != "render":
        raise NotFound("this job has no frames yet; wait until it is quoted")
    contract = _CONTRACT.validate_python(job.contract)
    assert isinstance(contract, RenderContract)
    return contract


def _picture(gateway: Gateway, caller: SignedIn, job_id: str, frame: int, kind: str) -> Picture:
    with gateway.db.read() as session:
        job = visible(session, caller, job_id)
        contract = _contract(job)
        wanted = Output.kind == "preview" if kind == "reference" else (Output.frame == frame) & (Output.kind == "image")
        sha = session.scalar(
            select(Output.sha256).where(Output.job_id == job.id, wanted).order_by(Output.path).limit(1)
        )
        known = views.job_facts(session, job).reference_frame
    if kind == "live":
        return gateway.live_pictures.picture(job_id, contract, frame)
    if sha is None or (kind == "reference" and known not in (None, frame)):
        raise NotFound(f"there is no {kind} picture of frame {frame}")
    return Picture(shown(gateway.store, sha), sha[:16])
