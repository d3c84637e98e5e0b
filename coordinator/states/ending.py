"""How a job ends: nothing new is leased, running workers are told to stop, and the money follows."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from coordinator.states.door import change_job, change_lease
from coordinator.states.transitions import JOB_OPEN, LEASE_LIVE, WORK_OPEN
from coordinator.store.models import Job, Lease, Work
from jobs.states import JOB_FINAL, JobState, LeaseState, WorkState

__all__ = ["end_job", "withdraw_leases"]


def withdraw_leases(session: Session, leases: Iterable[Lease], reason: str, now: float) -> None:
    """End leases without blame: their workers hear `cancel` at the next heartbeat."""
    for lease in leases:
        change_lease(session, lease, LeaseState.RELEASED, reason=reason, finished_at=now)


def end_job(
    session: Session,
    job: Job,
    outcome: JobState,
    now: float,
    *,
    error_code: str | None = None,
    error: str | None = None,
) -> bool:
    """Bring a job to its end, whatever it is doing: SETTLING with this outcome where it has an escrow, else the
    outcome itself. What is not done is cancelled, leases are withdrawn.

    While the escrow is being opened the wish is only noted in `outcome`; the plan task carries it out. Returns whether
    the job is SETTLING now. Raises Stale. The caller holds lock_job."""
    state = JobState(job.state)
    if state in JOB_FINAL or state is JobState.SETTLING:
        return state is JobState.SETTLING
    if state is JobState.OPENING:
        job.outcome, job.error_code, job.error = str(outcome), error_code, error
        session.flush()
        return False
    # Work first: a lease that is being made at this moment has committed, or fails, before leases are looked at.
    session.execute(
        update(Work)
        .where(Work.job_id == job.id, Work.state.in_([str(state) for state in WORK_OPEN]))
        .values(state=str(WorkState.CANCELLED), version=Work.version + 1, finished_at=now)
        .execution_options(synchronize_session=False)
    )
    session.expire_all()
    live = session.scalars(
        select(Lease).where(Lease.job_id == job.id, Lease.state.in_([str(state) for state in LEASE_LIVE]))
    ).all()
    withdraw_leases(session, live, error or f"the job was {outcome}", now)
    if state in JOB_OPEN:
        change_job(session, job, JobState.SETTLING, outcome=str(outcome), error_code=error_code, error=error)
        return True
    change_job(session, job, outcome, error_code=error_code, error=error, finished_at=now)
    return False
