"""What a client wishes of its own jobs while they run: which goes first, and at what it stops."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from coordinator.store.models import Job, Work
from jobs.states import WorkKind, WorkState

__all__ = ["Ranked", "at_cap", "committed", "own_order", "within_cap"]

_SPENT = [str(state) for state in (WorkState.DONE, WorkState.LEASED, WorkState.CHECKING)]


class Ranked(NamedTuple):
    """A job and its place among its owner's."""

    id: str
    owner: str
    priority: int


def own_order(
    session: Session, jobs: Sequence[Ranked], tiles: Collection[str], fitting: ColumnElement[bool], now: float
) -> tuple[set[str], dict[str, int]]:
    """Of `tiles` (ids of jobs that may give a worker tiles, `fitting` being SQL for those): the jobs that stand back
    for another of the same owner that has tiles for this worker now, and for that other the work id whose place in the
    queue it takes. Nobody else's place changes."""
    owners = {job.owner for job in jobs if job.priority}
    chosen = [job for job in jobs if job.owner in owners and job.id in tiles]
    if len(chosen) < 2:
        return set(), {}
    rows = session.execute(
        select(Work.job_id, func.min(Work.id))
        .where(
            Work.job_id.in_([job.id for job in chosen]), Work.kind == str(WorkKind.TILE),
            Work.state == str(WorkState.PENDING), Work.not_before <= now, fitting,
        )
        .group_by(Work.job_id)
    )  # fmt: skip
    first = {job: int(work) for job, work in rows}
    back: set[str] = set()
    places: dict[str, int] = {}
    for owner in owners:
        ready = [job for job in chosen if job.owner == owner and job.id in first]
        if not ready:
            continue
        highest = max(job.priority for job in ready)
        back |= {job.id for job in ready if job.priority < highest}
        place = min(first[job.id] for job in ready)
        places |= {job.id: place for job in ready if job.priority == highest and first[job.id] != place}
    return back, places


def committed(session: Session, job_id: str) -> int:
    """Units that a job costs if all that is done or under way passes."""
    rows = session.execute(
        select(Work.price, func.count())
        .where(Work.job_id == job_id, Work.kind == str(WorkKind.TILE), Work.state.in_(_SPENT))
        .group_by(Work.price)
    )
    return sum((price or 0) * count for price, count in rows)


def within_cap(session: Session, job: Job, price: int | None) -> bool:
    """Whether a tile of this price still fits under the cap that the client lowered."""
    return job.lowered_cap is None or committed(session, job.id) + (price or 0) <= job.lowered_cap


def at_cap(session: Session, job: Job) -> bool:
    """Whether none of the tiles that wait fits under the lowered cap."""
    if job.lowered_cap is None:
        return False
    prices = session.scalars(
        select(Work.price)
        .where(Work.job_id == job.id, Work.kind == str(WorkKind.TILE), Work.state == str(WorkState.PENDING))
        .distinct()
    ).all()
    room = job.lowered_cap - committed(session, job.id)
    return bool(prices) and all((price or 0) > room for price in prices)
