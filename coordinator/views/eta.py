"""How long a job still takes, from how fast its tiles went so far.

What is left is laid out as it will be: machines finish what they have, then take what waits, tile by tile; each tile is
audited, its frame put together, the job settled. Audits may be what all wait for. How long one second of expected work
takes is measured on the job's own leases; before the first has ended it is as the machines' benchmark says.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.leasing.workers import worker_from
from coordinator.states import LEASE_LIVE
from coordinator.store.models import Job, Lease, Node, Work
from jobs.planner import preview_frames
from jobs.states import JobState, LeaseState, WorkKind, WorkState

__all__ = ["Course", "Running", "courses", "seconds_left"]

_PRIOR_SECONDS = 2.0
"""How many seconds of work at benchmark score 1.0, at the machines' benchmark, weigh against what was measured."""
_MEANT = 0.05
"""A progress below this says little: how long its first sample takes is all that Cycles told."""
_CELLS = 24
"""That a new node's tile has redone."""
_ASSEMBLE_SECONDS = 0.3
_ASSEMBLE_SECONDS_PER_PIXEL = 7e-6
"""Of putting a frame together, until one was; measured at 480x270 pixels with denoising, 1 to 2 s."""
_BYTES_PER_SECOND = 60e6
"""At which results travel, and at which those of a batch are put together; on two busy cores, over loopback."""
_SETTLE_SECONDS = 0.5
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
    uploading: list[float] = field(default_factory=list)
    """Of tiles that are committed to and not yet here: wall time since then."""
    upload: float = 0.0
    """Wall time of a tile's upload, as expected."""
    checking: int = 0
    """Tiles that are here and not yet judged."""
    frames: int = 1
    """To be put together, all that are not yet."""
    assembling: float = 0.0
    """Wall time that frames under way have been put together, together."""
    score: float = 1.0
    """Benchmark score of the machines, on average."""
    spent: float = 0.0
    """Wall time of all leases of tiles, up to their commitment or to when progress was last told of."""
    achieved: float = 0.0
    """Work that was done in it."""
    machines: int = 0
    """That have had a tile."""
    audit_work: float = 0.0
    """Work of a tile's audit, as expected."""
    audit: float | None = None
    """Wall time of an audit's lease, on average; None before the first has ended."""
    auditing: float = 0.0
    """Wall time that the audits under way have run, together."""
    auditors: int = 1
    """Machines that have had an audit."""
    assemble: float = _ASSEMBLE_SECONDS
    """Wall time of putting a frame together: as expected, then on average."""


def seconds_left(course: Course) -> float | None:
    """Wall time until the job is done; None before a machine has begun."""
    if not course.machines:
        return None
    pace = (course.spent + _PRIOR_SECONDS / course.score) / (course.achieved + _PRIOR_SECONDS)
    here = max((course.upload - since for since in course.uploading), default=0.0)
    if course.running or course.waiting:
        here = max(here, _last_tile(course, pace) + course.upload)
    audit = course.audit if course.audit is not None else course.audit_work * pace
    unjudged = len(course.running) + course.waiting + len(course.uploading) + course.checking
    frames = max(0.0, course.frames * course.assemble - course.assembling)
    # The last tile is audited after it is rendered; and auditors take all tiles one after another, and then frames.
    last = max(0.0, here) + (audit if unjudged else 0.0) + min(frames, course.assemble)
    queue = max(0.0, unjudged * audit - course.auditing) / course.auditors
    return max(last, queue + frames) + _SETTLE_SECONDS


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
    out = {job.id: _of(job) for job in jobs if job.state == JobState.RUNNING}
    if out:
        _count_tiles(session, out, jobs)
        _measure_tiles(session, out, now)
        _measure_audits(session, out, now)
        _measure_frames(session, out, now)
    return out


def _of(job: Job) -> Course:
    cost, contract = job.cost or {}, job.contract or {}
    preparing = float(cost.get("load_seconds", 0)) + float(cost.get("sync_seconds", 0))
    pixels = int(contract.get("width", 0)) * int(contract.get("height", 0))
    batch = int(contract.get("item_bytes", 0)) * int(job.spec.get("items") or 0) / _BYTES_PER_SECOND
    return Course(
        preparing=preparing, frames=len(job.frames or (0,)),
        audit_work=preparing + _CELLS * float(cost.get("cell_seconds", 0)),
        upload=batch,
        assemble=_ASSEMBLE_SECONDS + _ASSEMBLE_SECONDS_PER_PIXEL * pixels + batch,
    )  # fmt: skip


def _count_tiles(session: Session, out: dict[str, Course], jobs: Sequence[Job]) -> None:
    tiles = dict.fromkeys(out, 0)
    previewed = {job.id: len(preview_frames(job.frames or (), int(job.spec.get("preview_every") or 1))) for job in jobs}
    states = (
        select(Work.job_id, Work.state, func.count(), func.sum(Work.expected_seconds))
        .where(Work.job_id.in_(list(out)), Work.kind == str(WorkKind.TILE))
        .group_by(Work.job_id, Work.state)
    )
    for job, state, count, work in session.execute(states):
        tiles[job] += count
        if state == WorkState.PENDING:
            out[job].waiting, out[job].waiting_work = count, float(work)
        elif state == WorkState.CHECKING:
            out[job].checking = count
        elif state == WorkState.HELD:  # a preview goes before: it ends with its own frames, of a still with none
            out[job].frames = previewed[job]
    for job, course in out.items():
        course.upload /= max(1, tiles[job])


def _leases(out: dict[str, Course], kind: WorkKind) -> Any:
    return (Lease.job_id.in_(list(out)), Lease.kind == str(kind))


def _measure_tiles(session: Session, out: dict[str, Course], now: float) -> None:
    """How long each lease of a tile was worked on, and what came of it."""
    ended = (
        select(Lease.job_id, func.sum(Lease.committed_at - Lease.created_at), func.sum(Work.expected_seconds))
        .join(Work, Work.id == Lease.work_id)
        .where(*_leases(out, WorkKind.TILE), Lease.committed_at.is_not(None))
        .group_by(Lease.job_id)
    )
    for job, seconds, work in session.execute(ended):
        out[job].spent, out[job].achieved = float(seconds or 0), float(work)
    had = _machines(session, out)
    active = session.execute(
        select(Lease.job_id, Lease.node, Lease.progress, Lease.progress_at, Lease.created_at, Work.id,
               Work.expected_seconds)
        .join(Work, Work.id == Lease.work_id)
        .where(*_leases(out, WorkKind.TILE), Lease.state == str(LeaseState.ACTIVE), Lease.committed_at.is_(None))
    )  # fmt: skip
    for job, since in session.execute(
        select(Lease.job_id, Lease.committed_at).where(
            *_leases(out, WorkKind.TILE), Lease.state == str(LeaseState.COMMITTED)
        )
    ):
        out[job].uploading.append(now - (since or now))
    left: dict[str, dict[int, Running]] = {job: {} for job in out}
    for job, node, progress, told_at, created, tile, work in active:
        # A machine opens the scene once, before its first tile.
        whole = work if node in had[job] else work + out[job].preparing
        if progress >= _MEANT and told_at is not None:
            out[job].spent += told_at - created
            out[job].achieved += whole - work * (1 - progress)
            here = Running(work * (1 - progress), now - told_at)
        else:
            here = Running(whole, now - created)
        # Of two machines at one tile the one that is further counts.
        left[job][tile] = min(here, left[job].get(tile, here))
    for job, tiles in left.items():
        out[job].running = list(tiles.values())


def _machines(session: Session, out: dict[str, Course]) -> dict[str, set[str]]:
    """Of each job the machines that have ended a tile; how many have begun one, and how fast they are."""
    rows = session.execute(
        select(Lease.job_id, Lease.node, Lease.numerics_class, func.count(Lease.committed_at))
        .where(*_leases(out, WorkKind.TILE))
        .group_by(Lease.job_id, Lease.node, Lease.numerics_class)
    ).all()
    known = session.scalars(select(Node).where(Node.address.in_({node for _, node, _, _ in rows})))
    workers = {node.address: worker_from(node) for node in known}
    had: dict[str, set[str]] = {job: set() for job in out}
    scores: dict[str, dict[str, float]] = {job: {} for job in out}
    for job, node, numerics_class, ended in rows:
        if ended:
            had[job].add(node)
        classes = [one for one in workers[node].classes if one.numerics_class == numerics_class]
        scores[job][node] = classes[0].score if classes else workers[node].score
    for job, course in out.items():
        course.machines = len(scores[job])
        course.achieved += len(had[job]) * course.preparing
        if scores[job]:
            course.score = sum(scores[job].values()) / len(scores[job])
    return had


def _measure_audits(session: Session, out: dict[str, Course], now: float) -> None:
    audits = _leases(out, WorkKind.AUDIT)
    ended = select(Lease.job_id, func.avg(Lease.finished_at - Lease.created_at))
    for job, seconds in session.execute(
        ended.where(*audits, Lease.state == str(LeaseState.ACCEPTED)).group_by(Lease.job_id)
    ):
        out[job].audit = float(seconds)
    for job, seconds in _under_way(session, out, WorkKind.AUDIT, now).items():
        out[job].auditing = seconds
    machines = select(Lease.job_id, func.count(Lease.node.distinct())).where(*audits).group_by(Lease.job_id)
    for job, count in session.execute(machines):
        out[job].auditors = count


def _under_way(session: Session, out: dict[str, Course], kind: WorkKind, now: float) -> dict[str, float]:
    """By job the wall time that its live leases of this kind have run, together."""
    rows = session.execute(
        select(Lease.job_id, func.sum(now - Lease.created_at))
        .where(*_leases(out, kind), Lease.state.in_([str(state) for state in LEASE_LIVE]))
        .group_by(Lease.job_id)
    )
    return {job: float(seconds) for job, seconds in rows}


def _measure_frames(session: Session, out: dict[str, Course], now: float) -> None:
    assembled = (
        select(Lease.job_id, func.count(), func.avg(Lease.finished_at - Lease.created_at))
        .where(*_leases(out, WorkKind.ASSEMBLE), Lease.state == str(LeaseState.ACCEPTED))
        .group_by(Lease.job_id)
    )
    for job, count, seconds in session.execute(assembled):
        out[job].frames, out[job].assemble = max(out[job].frames - count, 0), float(seconds)
    for job, seconds in _under_way(session, out, WorkKind.ASSEMBLE, now).items():
        out[job].assembling = seconds
