"""In words, what a job waits for when nobody works on it."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.leasing.auditors import Panel
from coordinator.leasing.fitting import named, survey
from coordinator.leasing.judgeable import asked
from coordinator.leasing.lapses import lapsing
from coordinator.leasing.wishes import at_cap
from coordinator.states import LEASE_LIVE
from coordinator.store.models import Job, Lease, Work
from jobs.constraints import Needs
from jobs.states import JobState, WorkKind, WorkState

__all__ = ["waiting_for"]


def waiting_for(session: Session, panel: Panel, job: Job, now: float) -> str | None:
    """One line for people, or None while somebody works on the job (or the coordinator itself is at it)."""
    if job.state == JobState.REVIEW:
        return "the client's word on the preview"
    if job.state == JobState.PAUSED:
        return "the job is paused: resume it"
    if job.state not in (JobState.ADMITTING, JobState.RUNNING):
        return None
    live = select(func.count()).where(Lease.job_id == job.id, Lease.state.in_([str(state) for state in LEASE_LIVE]))
    if session.scalar(live):
        return None
    waiting = session.scalars(
        select(Work)
        .where(Work.job_id == job.id, Work.state == str(WorkState.PENDING))
        .order_by(Work.priority.desc(), Work.id)
        .limit(1)
    ).one_or_none()
    if waiting is None:
        return None
    if waiting.kind == WorkKind.TILE and at_cap(session, job):
        return "a higher cap: what is left does not fit under the one that was set; `kilnet change --cap` raises it"
    workers = panel.online
    if waiting.for_node is not None:
        there = any(worker.address == waiting.for_node for worker in workers)
        return None if there else f"an independent auditor of the numerics class {waiting.numerics_class}"
    if waiting.kind != WorkKind.TILE:
        fit = [w for w in workers if w.trusted and w.classes_for(waiting.runtime, waiting.numerics_class)]
        return None if fit else f"one of the coordinator's own workers that has {waiting.runtime}"
    said = _for_a_tile(session, panel, job, waiting, now)
    return None if said is None else f"{said}; it gives up at its deadline, with a refund"


def _for_a_tile(session: Session, panel: Panel, job: Job, work: Work, now: float) -> str | None:
    # A trusted worker may take tiles, but where it does it has one: this is asked only while nobody has.
    question, runtime, _ = asked(session, job.id)
    needs, price = Needs.of(job.spec), float((job.quote or {}).get("usd_per_kiln_hour", 0))
    late = lapsing(session, [worker.address for worker in panel.online], now) | panel.unbacked
    fit = survey(
        panel, panel.online, job=job.id, needs=needs, question=question, runtime=runtime, late=late, price=price
    )
    if not fit.fitting:
        return named(needs, runtime, Counter(fit.excluded), price)
    left = [w for w in fit.fitting if w.address not in work.excluded and w.owner not in work.excluded]
    if not left:
        return "another node: those that are online have failed at a tile"
    if not any(w.classes_for(work.runtime, work.numerics_class) for w in left):
        return f"a node of the numerics class that a frame was begun in ({work.numerics_class})"
    return None
