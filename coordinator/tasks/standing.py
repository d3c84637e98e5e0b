"""What stands still: everything whose next step is a task, found in the rows. A lost hint costs one beat, no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from coordinator.states import JOB_OPEN
from coordinator.store.database import Database
from coordinator.store.models import Award, Job, Lease, Strike, Work
from jobs.states import JOB_FINAL, JobState, LeaseState, WorkKind, WorkState

__all__ = ["standing_still"]

_MOST = 500
"""Of each kind at a time; the next beat finds the others."""
_GOING_ON = tuple(sorted(JOB_OPEN))


def _work(kind: WorkKind, *states: WorkState) -> Select[Any]:
    """Work of the outer query's job."""
    query = select(Work.id).where(Work.job_id == Job.id, Work.kind == str(kind)).correlate(Job)
    return query.where(Work.state.in_([str(state) for state in states])) if states else query


def _admissions() -> Select[Any]:
    """Nothing is leased or waits to be: the next step has to be taken."""
    open_work = exists().where(Work.job_id == Job.id, Work.state.in_([str(WorkState.PENDING), str(WorkState.LEASED)]))
    return select(Job.id).where(Job.state == str(JobState.ADMITTING), ~open_work)


def _undrawn() -> Select[Any]:
    """Uploaded tiles without a challenge, whose turn has come."""
    other = aliased(Lease)
    drawn = exists().where(
        other.work_id == Lease.work_id, other.state == str(LeaseState.UPLOADED), other.cells.is_not(None)
    )
    return (
        select(Lease.id)
        .join(Job, Job.id == Lease.job_id)
        .where(
            Lease.kind == str(WorkKind.TILE), Lease.state == str(LeaseState.UPLOADED), Lease.cells.is_(None), ~drawn,
            Job.state.in_(_GOING_ON),
        )
    )  # fmt: skip


def _unjudged() -> Select[Any]:
    """Audits that are handed in, and tries after a crash that are done while the tile is still held back."""
    tile, crashed = aliased(Work), aliased(Lease)
    held_back = exists().where(
        crashed.id == Work.audited_lease, tile.id == crashed.work_id, tile.state == str(WorkState.CHECKING),
        crashed.state == str(LeaseState.FAILED),
    )  # fmt: skip
    return (
        select(Work.audited_lease)
        .join(Job, Job.id == Work.job_id)
        .where(
            Job.state.in_(_GOING_ON),
            or_(
                and_(Work.kind == str(WorkKind.AUDIT), Work.state == str(WorkState.CHECKING)),
                and_(Work.kind == str(WorkKind.REPRODUCE), Work.state == str(WorkState.DONE), held_back),
            ),
        )
    )


def _unplanned() -> Select[Any]:
    return select(Job.id).where(Job.state.in_(_GOING_ON), or_(Job.outcome.is_not(None), ~_work(WorkKind.TILE).exists()))


def _unfinished() -> Select[Any]:
    """Jobs of which something could be assembled or settled: all that is open of them is done, or a frame may be."""
    tiles = select(func.count(Work.id)).where(
        Work.job_id == Job.id, Work.kind == str(WorkKind.TILE), Work.state == str(WorkState.DONE)
    )
    busy = _work(WorkKind.ASSEMBLE, WorkState.PENDING, WorkState.LEASED).exists()
    return select(Job.id).where(Job.state.in_(_GOING_ON), tiles.correlate(Job).scalar_subquery() > 0, ~busy)


def _to_release() -> Select[Any]:
    return (
        select(Award.job_id)
        .distinct()
        .join(Job, Job.id == Award.job_id)
        .where(Award.state == "locked", Job.state.in_([str(state) for state in JOB_FINAL]))
    )


def _to_award() -> Select[Any]:
    return select(Award.job_id).distinct().where(Award.state == "wanted")


def _in(state: JobState) -> Select[Any]:
    return select(Job.id).where(Job.state == str(state))


def standing_still(db: Database) -> Iterator[tuple[str, ...]]:
    """(task, id, ...) for everything that a task would move on."""
    queries: list[tuple[str, Select[Any]]] = [
        ("admit", _admissions()),
        ("open", _in(JobState.OPENING)),
        ("plan", _unplanned()),
        ("draw", _undrawn()),
        ("judge", _unjudged()),
        ("complete_frame", _unfinished()),
        ("award", _to_award()),
        ("settle", _in(JobState.SETTLING)),
        ("release", _to_release()),
        ("dispute", select(Strike.id).where(Strike.dispute == "wanted")),
    ]
    found: list[tuple[str, ...]] = []
    with db.read() as session:
        for task, query in queries:
            found.extend((task, str(id)) for id in session.scalars(query.limit(_MOST)) if id is not None)
    yield from found
