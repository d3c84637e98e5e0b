"""How long a job still takes, from how fast its tiles went so far.

What is left is laid out as it will be: machines finish what they have, then take what waits, tile by tile; the last
tile is audited, its frame put together, the job settled. How long one second of expected work takes is measured on the
job's own leases, finished or not: a machine may be busy with other things than its benchmark knew of.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.orm import Session

from coordinator.store.models import Job, Lease, Work
from jobs.states import JobState, LeaseState, WorkKind, WorkState

__all__ = ["Course", "Running", "courses", "seconds_left"]

_PRIOR_SECONDS = 2.0
"""How many seconds of work at benchmark score 1.0 weigh against what was measured."""
_AUDIT_SECONDS = 1.0
"""Of the audit of one tile, beside the scene's preparation, until one was measured."""
_ASSEMBLE_SECONDS = 2.0
"""Of putting a frame together, likewise."""
_SETTLE_SECONDS = 1.5
"""Two transactions on a local chain. A chain with slow blocks takes longer; the files are there by then."""
_MOST_STEPS = 500
"""More tiles than this are taken as one heap that all machines share."""


class Running(NamedTuple):
    """A tile that a machine is at."""

    left: float
    """Work, as the machine last said."""
    said: float = 0.0
    """Wall time since then."""


@dataclass
class Course:
    """What is known of a running job; seconds of work are expected ones at score 1.0, others are wall time."""

    preparing: float = 0.0
    """Work: opening the scene and making it ready for one frame."""
    running: list[Running] = field(default_factory=list)
    """The tiles that a machine is at."""
    waiting: int = 0
    """Tiles that nobody has yet."""
    waiting_work: float = 0.0
    checking: int = 0
    """Tiles that are rendered and not yet judged."""
    frames: int = 1
    """To be put together, all that are not yet."""
    spent: float = 0.0
    """Wall time of all leases of tiles, up to their commitment or to when progress was last told of."""
    achieved: float = 0.0
    """Work that was done in it."""
    machines: int = 0
    """That have had a tile."""
    audit: float | None = None
    """Wall time from a tile's commitment to its verdict, on average; None before the first."""
    audit_work: float = 0.0
    """Wall time of an audit's own lease, on average; 0 before the first."""
    auditors: int = 1
    """Machines that have had an audit."""
    assemble: float | None = None
    """Wall time of an assemble lease, on average; None before the first."""


def seconds_left(course: Course) -> float | None:
    """Wall time until the job is done; None where nothing was measured yet."""
    if course.achieved <= 0 or course.spent <= 0:
        return None
    pace = (course.spent + _PRIOR_SECONDS) / (course.achieved + _PRIOR_SECONDS)
    rendered = _last_tile(course, pace)
    slower = max(pace, 1.0)
    audit = course.audit if course.audit is not None else (_AUDIT_SECONDS + course.preparing) * slower
    assemble = course.assemble if course.assemble is not None else (_ASSEMBLE_SECONDS + course.preparing) * slower
    tiles_left = bool(course.running or course.waiting or course.checking)
    judged = rendered + (audit if tiles_left else 0.0)
    # Audits may be what all wait for: one machine takes them one after another.
    unjudged = len(course.running) + course.waiting + course.checking
    judged = max(judged, unjudged * course.audit_work / course.auditors)
    # Frames are put together one after another, the last only when its last tile was judged.
    return max(judged + (assemble if course.frames else 0.0), course.frames * assemble) + _SETTLE_SECONDS


def _last_tile(course: Course, pace: float) -> float:
    """Wall time until the last tile is rendered: who is free first takes the next."""
    free = [max(0.0, tile.left * pace - tile.said) for tile in course.running]
    free += [0.0] * (min(course.machines, len(free) + course.waiting) - len(free))
    free = free or [0.0]
    if not course.waiting:
        return max(free)
    if course.waiting > _MOST_STEPS:
        return max(max(free), (sum(free) + course.waiting_work * pace) / len(free))
    each = course.waiting_work / course.waiting * pace
    heapq.heapify(free)
    for _ in range(course.waiting):
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def courses(session: Session, jobs: Sequence[Job], now: float) -> dict[str, Course]:
    """By id, those of the jobs that run."""
    chosen = {job.id: job for job in jobs if job.state == JobState.RUNNING}
    if not chosen:
        return {}
    out = {job.id: _of(job) for job in chosen.values()}
    tile = (Work.job_id.in_(list(chosen)), Work.kind == str(WorkKind.TILE))
    states = (
        select(Work.job_id, Work.state, func.count(), func.sum(Work.expected_seconds))
        .where(*tile)
        .group_by(Work.job_id, Work.state)
    )
    for job, state, count, work in session.execute(states):
        if state == WorkState.PENDING:
            out[job].waiting, out[job].waiting_work = count, float(work)
        elif state == WorkState.CHECKING:
            out[job].checking = count
        elif state == WorkState.HELD:
            out[job].frames = 1
    _measure(session, out, now)
    _measure_audits(session, out)
    assembled = (
        select(Lease.job_id, func.count(), func.avg(Lease.finished_at - Lease.created_at))
        .where(Lease.job_id.in_(list(chosen)), Lease.kind == str(WorkKind.ASSEMBLE))
        .where(Lease.state == str(LeaseState.ACCEPTED))
        .group_by(Lease.job_id)
    )
    for job, count, seconds in session.execute(assembled):
        out[job].frames, out[job].assemble = max(out[job].frames - count, 0), float(seconds)
    return out


def _of(job: Job) -> Course:
    cost = job.cost or {}
    preparing = float(cost.get("load_seconds", 0)) + float(cost.get("sync_seconds", 0))
    return Course(preparing=preparing, frames=len(job.frames or (0,)))


def _measure(session: Session, out: dict[str, Course], now: float) -> None:
    """The leases of tiles: how long each was worked on, and what came of it."""
    of_tiles = (Lease.job_id.in_(list(out)), Lease.kind == str(WorkKind.TILE))
    begun = or_(Lease.committed_at.is_not(None), and_(Lease.state == str(LeaseState.ACTIVE), Lease.progress > 0))
    machines = select(Lease.job_id, func.count(Lease.node.distinct())).where(*of_tiles, begun).group_by(Lease.job_id)
    for job, count in session.execute(machines):
        out[job].machines = count
        # A machine opens the scene once, before its first tile.
        out[job].achieved += count * out[job].preparing
    judged = case((Lease.state == str(LeaseState.ACCEPTED), Lease.finished_at - Lease.committed_at))
    rendered = (
        select(
            Lease.job_id, func.sum(Lease.committed_at - Lease.created_at), func.sum(Work.expected_seconds),
            func.avg(judged),
        )
        .join(Work, Work.id == Lease.work_id)
        .where(*of_tiles, Lease.committed_at.is_not(None))
        .group_by(Lease.job_id)
    )  # fmt: skip
    for job, seconds, work, audit in session.execute(rendered):
        out[job].spent += float(seconds)
        out[job].achieved += float(work)
        out[job].audit = None if audit is None else float(audit)
    active = session.execute(
        select(Lease.job_id, Lease.progress, Lease.progress_at, Lease.created_at, Work.id, Work.expected_seconds)
        .join(Work, Work.id == Lease.work_id)
        .where(*of_tiles, Lease.state == str(LeaseState.ACTIVE), Lease.committed_at.is_(None))
    )
    left: dict[str, dict[int, Running]] = {job: {} for job in out}
    for job, progress, told_at, created, tile, work in active:
        at = told_at or created
        if progress > 0:
            out[job].spent += at - created
            out[job].achieved += progress * work
        here = Running(work * (1 - progress), now - at)
        # Of two machines at one tile the one that is further counts.
        left[job][tile] = min(here, left[job].get(tile, here))
    for job, tiles in left.items():
        out[job].running = list(tiles.values())


def _measure_audits(session: Session, out: dict[str, Course]) -> None:
    done = (
        select(
            Lease.job_id, func.avg(Lease.finished_at - Lease.created_at), func.count(Lease.node.distinct())
        )
        .where(Lease.job_id.in_(list(out)), Lease.kind == str(WorkKind.AUDIT))
        .where(Lease.state == str(LeaseState.ACCEPTED), Lease.finished_at.is_not(None))
        .group_by(Lease.job_id)
    )  # fmt: skip
    for job, seconds, machines in session.execute(done):
        out[job].audit_work, out[job].auditors = float(seconds), machines
