"""Conditional updates on (state, version), and the events that tell of them."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from coordinator.events import record, wake_after_commit
from coordinator.notify.notices import put_notices
from coordinator.states.transitions import JOB_MOVES, LEASE_MOVES, WORK_MOVES
from coordinator.store.database import Stale
from coordinator.store.models import Job, Lease, Output, Work
from jobs.states import JobState, LeaseState, WorkKind, WorkState
from jobs.wire import OutputView

__all__ = ["change_job", "change_lease", "change_work", "lock_job", "set_lease", "set_work", "tell_output"]


def _update(session: Session, row: Job | Work | Lease, values: dict[str, Any], name: str) -> None:
    """UPDATE the row where state and version are still those that were read. Raises Stale."""
    model = type(row)
    statement = (
        update(model)
        .where(model.id == row.id, model.state == row.state, model.version == row.version)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    result = cast("CursorResult[Any]", session.execute(statement))
    if result.rowcount != 1:
        raise Stale(f"{name} {row.id} is no longer {row.state}, version {row.version}")
    session.refresh(row)


def change_job(session: Session, job: Job, to: JobState, **columns: Any) -> None:
    """Move a job on, setting `columns` with it, and tell those who watch it.

    Raises Stale where somebody else moved it first, ValueError for a move that JOB_MOVES does not have."""
    if to not in JOB_MOVES[JobState(job.state)]:
        raise ValueError(f"a job does not go from {job.state} to {to}")
    _update(session, job, {"state": str(to), "version": Job.version + 1, **columns}, "job")
    data = {"id": job.id, "state": job.state, "outcome": job.outcome, "error": job.error, "error_code": job.error_code}
    record(session, job.id, "job", data)
    put_notices(session, job, to)
    if to is JobState.RUNNING:
        wake_after_commit(session)


def change_work(
    session: Session, work: Work, to: WorkState, *, tell: dict[str, Any] | None = None, **columns: Any
) -> None:
    """Move a piece of work on. Watchers of a tile are told, with what `tell` adds (node, attempt, reason).

    Raises Stale and ValueError as change_job does."""
    if to not in WORK_MOVES[WorkState(work.state)]:
        raise ValueError(f"work does not go from {work.state} to {to}")
    _update(session, work, {"state": str(to), "version": Work.version + 1, **columns}, "work")
    if work.kind == WorkKind.TILE:
        record(session, work.job_id, "tile", {"index": work.index, "state": work.state, **(tell or {})})
    if to is WorkState.PENDING:
        wake_after_commit(session)


def change_lease(session: Session, lease: Lease, to: LeaseState, **columns: Any) -> None:
    """Move a lease on. Raises Stale and ValueError as change_job does."""
    if to not in LEASE_MOVES[LeaseState(lease.state)]:
        raise ValueError(f"a lease does not go from {lease.state} to {to}")
    _update(session, lease, {"state": str(to), "version": Lease.version + 1, **columns}, "lease")


def set_lease(session: Session, lease: Lease, **columns: Any) -> None:
    """Set columns of a lease that is still in the state that was read (a renewal, a drawn challenge). Raises Stale."""
    _update(session, lease, {"version": Lease.version + 1, **columns}, "lease")


def set_work(session: Session, work: Work, **columns: Any) -> None:
    """Set columns of work that is still in the state that was read (another auditor is looked for). Raises Stale."""
    _update(session, work, {"version": Work.version + 1, **columns}, "work")


def lock_job(session: Session, job_id: str) -> Job:
    """The job's row, locked to the end of the transaction where the database has such locks.

    Whatever counts rows of a job before it moves the job (all tiles done, still running) takes this first. Raises
    NoResultFound."""
    statement = select(Job).where(Job.id == job_id).execution_options(populate_existing=True)
    if session.get_bind().dialect.name == "postgresql":
        statement = statement.with_for_update()
    return session.scalars(statement).one()


def tell_output(session: Session, output: Output) -> None:
    """Tell watchers of a job that a file was delivered."""
    view = OutputView(
        path=output.path, kind=output.kind, frame=output.frame, sha256=output.sha256, size=output.size
    )  # fmt: skip
    record(session, output.job_id, "output", view.model_dump(mode="json"))
