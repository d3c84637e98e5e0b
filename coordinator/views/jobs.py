"""JobView: a handful of grouped queries for any number of jobs, never one for each tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.notify.words import advice
from coordinator.store.models import Job, Lease, Receipt, Work
from coordinator.views.eta import Course, courses, seconds_left
from coordinator.views.waiting import waiting_for
from jobs.pricing import reward_units
from jobs.states import JobKind, JobState, LeaseState, WorkKind, WorkState
from jobs.wire import JobView, Quote, Rejection, RewardView, SettlementView

__all__ = ["LIVE", "job_view", "job_views"]

LIVE = (LeaseState.ACTIVE, LeaseState.COMMITTED, LeaseState.UPLOADED)
"""A worker is at it, or its result is being checked."""
_REJECTIONS = 200
"""Shown for each job, the latest."""


@dataclass
class _Sums:
    """What the database adds up about the tiles of one job. Seconds are expected ones, at benchmark score 1.0."""

    tiles: int = 0
    passed: int = 0
    seconds: float = 0
    seconds_passed: float = 0
    seconds_running: float = 0
    """Of the tiles under way, each by its own progress."""
    cells_audited: int = 0


def job_view(session: Session, settings: Settings, job: Job, *, now: float) -> JobView:
    """One job as its owner sees it. `now` in Unix seconds."""
    return job_views(session, settings, [job], now=now)[0]


def job_views(session: Session, settings: Settings, jobs: Sequence[Job], *, now: float) -> list[JobView]:
    """Jobs as their owners see them, in the order given."""
    ids = [job.id for job in jobs]
    sums = _sums(session, ids)
    rejections = _rejections(session, ids)
    rewards, lanes = _rewards(session, ids), _lanes(session, ids)
    underway = courses(session, jobs, now)
    waiting = waiting_for(session, settings, jobs, now=now)
    views = []
    for job in jobs:
        tally = sums.get(job.id, _Sums())
        done = tally.seconds_passed + tally.seconds_running
        quote = Quote.model_validate(job.quote) if job.quote else None
        state = JobState(job.state)
        views.append(
            JobView(
                id=job.id,
                kind=JobKind(job.kind),
                name=job.name,
                state=state,
                paused=state is JobState.PAUSED,
                error=job.error,
                error_code=job.error_code,
                advice=advice(job.error_code) if job.error else None,
                created_at=job.created_at,
                deadline=job.deadline,
                quote=quote,
                description=job.description,
                tiles=tally.tiles or (quote.tiles if quote else 0),
                tiles_passed=tally.passed,
                cells=quote.cells if quote else 0,
                cells_audited=tally.cells_audited,
                progress=min(1.0, done / tally.seconds) if tally.seconds else 0.0,
                eta_seconds=_eta(state, underway.get(job.id)),
                compute_seconds=job.compute_seconds,
                audit_seconds=job.audit_seconds,
                rejections=tuple(rejections.get(job.id, ())),
                settlement=SettlementView.model_validate(job.settlement) if job.settlement else None,
                rewards=tuple(rewards.get(job.id, ())),
                waiting_for=waiting.get(job.id),
                lanes=lanes.get(job.id, {}),
                priority=job.priority,
                lowered_cap_usd=_usd(quote, job.lowered_cap),
            )
        )
    return views


def _usd(quote: Quote | None, units: int | None) -> str | None:
    """An amount of units in USD, at the rate of the job's quote."""
    if quote is None or units is None:
        return None
    return f"{(Decimal(quote.cap_usd) * units / max(quote.cap, 1)).quantize(Decimal('0.000001'), ROUND_HALF_UP):f}"


def _eta(state: JobState, course: Course | None) -> float | None:
    """Seconds until it is done; None where nothing can be said."""
    if state is JobState.SETTLING:
        return 0.0
    return None if course is None else seconds_left(course)


def _sums(session: Session, ids: Sequence[str]) -> dict[str, _Sums]:
    passed = Work.state == WorkState.DONE
    rows = session.execute(
        select(
            Work.job_id,
            func.count(),
            func.sum(case((passed, 1), else_=0)),
            func.sum(Work.expected_seconds),
            func.sum(case((passed, Work.expected_seconds), else_=0.0)),
        )
        .where(Work.job_id.in_(ids), Work.kind == WorkKind.TILE)
        .group_by(Work.job_id)
    )
    out = {job: _Sums(tiles, int(done), seconds, float(ready)) for job, tiles, done, seconds, ready in rows}
    # A straggler's tile has two leases: the one that is further counts.
    running = (
        select(Work.job_id, Work.expected_seconds, func.max(Lease.progress).label("progress"))
        .join(Lease, Lease.work_id == Work.id)
        .where(Work.job_id.in_(ids), Work.kind == WorkKind.TILE, ~passed, Lease.state.in_(LIVE))
        .group_by(Work.id, Work.job_id, Work.expected_seconds)
        .subquery()
    )
    for job, seconds in session.execute(
        select(running.c.job_id, func.sum(running.c.expected_seconds * running.c.progress)).group_by(running.c.job_id)
    ):
        out[job].seconds_running = seconds
    # A JSON null has no length, which PostgreSQL takes for an error.
    type_of = func.json_typeof if session.get_bind().dialect.name == "postgresql" else func.json_type
    audited_cells = case(
        (Lease.verdict.is_not(None) & (type_of(Lease.cells) == "array"), func.json_array_length(Lease.cells)), else_=0
    )
    for job, audited in session.execute(
        select(Lease.job_id, func.sum(audited_cells))
        .where(Lease.job_id.in_(ids), Lease.kind == WorkKind.TILE)
        .group_by(Lease.job_id)
    ):
        out.setdefault(job, _Sums()).cells_audited = int(audited or 0)
    return out


def _rejections(session: Session, ids: Sequence[str]) -> dict[str, list[Rejection]]:
    out: dict[str, list[Rejection]] = {}
    latest = func.row_number().over(partition_by=Lease.job_id, order_by=Lease.finished_at.desc())
    ranked = (
        select(Lease.id, latest.label("rank"))
        .where(Lease.job_id.in_(ids), Lease.kind == WorkKind.TILE, Lease.state == LeaseState.REJECTED)
        .subquery()
    )
    rows = session.execute(
        select(Lease.job_id, Lease.node, Work.index, Lease.attempt, Lease.reason, Lease.evidence)
        .join(ranked, ranked.c.id == Lease.id)
        .join(Work, Work.id == Lease.work_id)
        .where(ranked.c.rank <= _REJECTIONS)
        .order_by(Lease.finished_at)
    )
    for job, node, tile, attempt, reason, evidence in rows:
        rejection = Rejection(node=node, tile=tile, attempt=attempt, reason=reason or "", evidence=evidence or {})
        out.setdefault(job, []).append(rejection)
    return out


def _lanes(session: Session, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    out: dict[str, dict[str, int]] = {}
    rows = session.execute(
        select(Receipt.job_id, Receipt.lane, func.count())
        .where(Receipt.job_id.in_(ids))
        .group_by(Receipt.job_id, Receipt.lane)
        .order_by(Receipt.lane)
    )
    for job, lane, count in rows:
        out.setdefault(job, {})[lane] = count
    return out


def _rewards(session: Session, ids: Sequence[str]) -> dict[str, list[RewardView]]:
    """What each node earned with a job. Tiles of one price are counted by the database: amounts do not fit its
    integers, and a job has few different prices."""
    earned: dict[tuple[str, str], int] = {}
    rows = session.execute(
        select(Receipt.job_id, Receipt.node, Receipt.price, func.count())
        .where(Receipt.job_id.in_(ids))
        .group_by(Receipt.job_id, Receipt.node, Receipt.price)
    )
    for job, node, price, count in rows:
        earned[job, node] = earned.get((job, node), 0) + count * reward_units(price)
    out: dict[str, list[RewardView]] = {}
    for (job, node), amount in sorted(earned.items(), key=lambda item: (-item[1], item[0])):
        out.setdefault(job, []).append(RewardView(node=node, amount=amount))
    return out
