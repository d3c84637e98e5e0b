"""In words, what a job waits for when nobody works on it."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.leasing.workers import Worker, online_workers
from coordinator.states import LEASE_LIVE
from coordinator.store.models import Job, Lease, Work
from jobs.states import JobState, WorkKind, WorkState

__all__ = ["waiting_for"]


def waiting_for(session: Session, job: Job, now: float) -> str | None:
    """One line for people, or None while somebody works on the job (or the coordinator itself is at it)."""
    if job.state == JobState.PAUSED:
        return "the job is paused: resume it"
    if job.state not in (JobState.ADMITTING, JobState.RUNNING):
        return None
    live = select(func.count()).where(Lease.job_id == job.id, Lease.state.in_([str(state) for state in LEASE_LIVE]))
    if session.scalar(live):
        return None
    waiting = session.execute(
        select(Work.kind, Work.runtime, Work.numerics_class, Work.excluded, Work.for_node)
        .where(Work.job_id == job.id, Work.state == str(WorkState.PENDING))
        .order_by(Work.priority.desc(), Work.id)
        .limit(1)
    ).one_or_none()
    if waiting is None:
        return None
    workers = online_workers(session, now)
    if waiting.for_node is not None:
        there = any(worker.address == waiting.for_node for worker in workers)
        return None if there else f"an independent auditor of the numerics class {waiting.numerics_class}"
    if waiting.kind != WorkKind.TILE:
        fit = [w for w in workers if w.trusted and w.classes_for(waiting.runtime, waiting.numerics_class)]
        return None if fit else f"one of the coordinator's own workers that has {waiting.runtime}"
    return _for_a_tile(job, workers, waiting.runtime, waiting.numerics_class, waiting.excluded)


def _for_a_tile(
    job: Job, workers: list[Worker], runtime: str, numerics_class: str | None, excluded: list[str]
) -> str | None:
    deadline = "; it gives up at its deadline, with a refund"
    # A trusted worker may take tiles, but where it does it has one: this is asked only while nobody has.
    having = [w for w in workers if not w.trusted and w.classes_for(runtime, None)]
    if not having:
        return f"a node that has {runtime}: none is online{deadline}"
    allowed = [w for w in having if w.may_see(job.spec.get("owners") or (), job.spec.get("regions") or ())]
    if not allowed:
        return f"a node of the owners and regions that the job allows{deadline}"
    price = float((job.quote or {}).get("usd_per_kiln_hour", 0))
    cheap = [w for w in allowed if not w.suspended and w.ask <= price * (1 + 1e-9)]
    if not cheap:
        return f"a node that asks at most {price:g} USD per kiln-hour{deadline}"
    left = [w for w in cheap if w.address not in excluded and w.owner not in excluded]
    if not left:
        return f"another node: those that are online have failed at a tile{deadline}"
    if not any(w.classes_for(runtime, numerics_class) for w in left):
        return f"a node of the numerics class that a frame was begun in ({numerics_class}){deadline}"
    return None
