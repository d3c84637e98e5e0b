"""The way to the quote: describe, reference frame (renders), price. Each step is a lease of a trusted worker."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.admission.auction import asks_of, auction_view
from coordinator.admission.describing import adopt_cost, adopt_description
from coordinator.admission.proving import lane_words, lanes_of, main_lane
from coordinator.admission.quoting import make_quote, wish_for_plan
from coordinator.config import Settings
from coordinator.events import wake_after_commit
from coordinator.leasing.auditors import Panel
from coordinator.leasing.fitting import named, survey
from coordinator.leasing.lapses import lapsing
from coordinator.leasing.offers import contract_of
from coordinator.planning.tiles import cost_of, runtime_of, spec_of
from coordinator.settlement import kiln_per_usd, try_refresh_price
from coordinator.states import change_job, end_job, lock_job
from coordinator.store.database import Database
from coordinator.store.models import Job, Work
from jobs.constraints import Constraint, Needs
from jobs.contract import RenderContract
from jobs.errors import BadInput, Unavailable
from jobs.states import JobState, WorkKind, WorkState
from verification.lanes import question_of

__all__ = ["admit"]

_DESCRIBE_SECONDS = 60.0
_REFERENCE_PIXELS = 256 * 144
_REFERENCE_SAMPLES = 16
_REFERENCE_SIDE = 8
"""What the runner renders at least."""


def admit(db: Database, settings: Settings, job_id: str) -> None:
    """Take the next step of an admission whose last one is done. What cannot be rendered ends here, with its reason,
    and nothing was charged. Where the price of KILN is not known yet, the same call later goes on."""
    try_refresh_price(db, settings)
    try:
        db.transact(lambda session: _admit(session, settings, job_id, db.now()))
    except Unavailable as error:
        structlog.get_logger(__name__).warning("quote_waits", job=job_id, error=str(error))


def _admit(session: Session, settings: Settings, job_id: str, now: float) -> None:
    job = lock_job(session, job_id)
    if job.state != JobState.ADMITTING:
        return
    try:
        _step(session, settings, job, now)
    except BadInput as error:
        end_job(session, job, JobState.FAILED, now, error_code=error.code, error=str(error))


def _step(session: Session, settings: Settings, job: Job, now: float) -> None:
    steps = {
        work.kind: work
        for work in session.scalars(
            select(Work).where(Work.job_id == job.id, Work.kind.in_([str(WorkKind.DESCRIBE), str(WorkKind.REFERENCE)]))
        )
    }
    described = steps.get(WorkKind.DESCRIBE)
    if described is None:
        runtime = "blender" if job.kind == "render" else "onnxruntime"
        _add(session, job, WorkKind.DESCRIBE, runtime, {"spec": job.spec}, _DESCRIBE_SECONDS, now)
        return
    if described.state != WorkState.DONE:
        return
    if job.contract is None:
        adopt_description(session, job, described.result or {})
    contract = contract_of(job)
    if isinstance(contract, RenderContract):
        reference = steps.get(WorkKind.REFERENCE)
        if reference is None:
            params = reference_params(contract, job.frames or [1])
            _add(session, job, WorkKind.REFERENCE, runtime_of(contract), params, _DESCRIBE_SECONDS, now)
            return
        if reference.state != WorkState.DONE:
            return
        if job.cost is None:
            adopt_cost(session, job, reference.result or {}, now)
    _quote(session, settings, job, now)


def reference_params(contract: RenderContract, frames: list[int]) -> dict[str, int]:
    """A frame from the middle, small and with few samples: enough for a price and a first look."""
    scale = min(1.0, (_REFERENCE_PIXELS / (contract.width * contract.height)) ** 0.5)
    return {
        "frame": frames[len(frames) // 2],
        "width": min(contract.width, max(_REFERENCE_SIDE, round(contract.width * scale))),
        "height": min(contract.height, max(_REFERENCE_SIDE, round(contract.height * scale))),
        "samples": min(contract.samples, _REFERENCE_SAMPLES),
    }


def _add(
    session: Session, job: Job, kind: WorkKind, runtime: str, payload: dict[str, Any], seconds: float, now: float
) -> None:
    session.add(
        Work(
            job_id=job.id, kind=str(kind), index=0, key=str(kind), state=str(WorkState.PENDING), trusted=True,
            runtime=runtime, payload=payload, expected_seconds=seconds, created_at=now,
        )
    )  # fmt: skip
    session.flush()
    wake_after_commit(session)


def _quote(session: Session, settings: Settings, job: Job, now: float) -> None:
    """Put a price to it: QUOTED. Raises BadInput `cap_below_quote`."""
    contract, spec, cost = contract_of(job), spec_of(job), cost_of(job)
    needs, panel = Needs.of(job.spec), Panel(session, settings, now)
    fit = survey(
        panel, panel.online, job=job.id, needs=needs, question=question_of(contract), runtime=runtime_of(contract),
        late=lapsing(session, [worker.address for worker in panel.online], now) | panel.unbacked,
    )  # fmt: skip
    workers = fit.fitting
    lanes = lanes_of(panel, job, contract, workers)
    lane = main_lane(contract, lanes)
    wish = wish_for_plan(settings, [worker.score for worker in workers], cost, lane)
    warnings = [str(line) for line in (job.description or {}).get("warnings", ())]
    warnings += lane_words(contract, lane, lanes, len(workers) + fit.excluded[Constraint.AUDIT])
    if not workers:
        warnings.append(
            f"Nobody online fits: the job would wait for {named(needs, runtime_of(contract), fit.excluded)}. At its "
            "deadline it gives up and is refunded."
        )
    quote = make_quote(
        settings, contract, spec, job.frames or (), cost, settings.plan.model_copy(update=wish),
        asks=asks_of(settings, workers), lane=lane, warnings=warnings, now=now,
        rate=kiln_per_usd(session, settings, now),
    )  # fmt: skip
    auction = auction_view(
        settings, spec, workers, fit.excluded, quote.usd_per_kiln_hour, hours=quote.kiln_hours, lot=job.id
    )
    quote = quote.model_copy(update={"auction": auction})
    change_job(
        session, job, JobState.QUOTED, quote=quote.model_dump(mode="json"), price=quote.price,
        cost={**(job.cost or {}), "plan": wish},
    )  # fmt: skip
