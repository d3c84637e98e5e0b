"""Counting what is done: a frame whose tiles all passed is assembled; when all is delivered the job settles.

Chords are not used: a message may be lost or doubled, rows are not.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.events import wake_after_commit
from coordinator.leasing.offers import contract_of, tile_of
from coordinator.states import JOB_OPEN, change_job, lock_job
from coordinator.store.database import Database
from coordinator.store.models import Blob, Job, Lease, Work
from coordinator.tasks import hint_after_commit
from jobs.contract import InferContract, RenderContract
from jobs.planner import preview_frames
from jobs.states import JobState, WorkKind, WorkState
from jobs.tiles import RenderTile

__all__ = ["complete_frame"]

_ASSEMBLE_PRIORITY = 5
_ASSEMBLE_SECONDS = 60.0
"""Expected beyond the scene's own preparation: merging, denoising, compositing, encoding."""


def complete_frame(db: Database, settings: Settings, job_id: str, group: str = "") -> None:
    """Have the frames of a group of tiles (`g7`; empty: of all groups) assembled if all its tiles passed, and settle
    the job if all is delivered. With the key of an assembled frame only the latter. Does nothing where that is done,
    or not yet due."""
    del settings
    db.transact(lambda session: _complete(session, job_id, group, db.now()))


def _complete(session: Session, job_id: str, group: str, now: float) -> None:
    job = lock_job(session, job_id)
    if job.state not in JOB_OPEN:
        return
    tiles, missing = _count(session, job.id, WorkKind.TILE)
    if tiles == 0:
        return
    if job.kind == "infer":
        if missing == 0:
            _assemble_batch(session, job, now)
    elif group == "" or group.startswith("g"):
        _assemble_frames(session, job, group, now)
    session.flush()
    if missing:
        _perhaps_review(session, job)
        return
    assembled, waiting = _count(session, job.id, WorkKind.ASSEMBLE)
    due = 1 if job.kind == "infer" else len(job.frames or ())
    if assembled == due and waiting == 0:
        change_job(session, job, JobState.SETTLING, outcome=str(JobState.DONE))
        hint_after_commit(session, "settle", job.id)


def _perhaps_review(session: Session, job: Job) -> None:
    """REVIEW, where all of the preview is done and put together and the rest is held back."""
    if job.state != JobState.RUNNING:
        return
    rows = session.execute(
        select(Work.state, func.count().label("tiles"))
        .where(Work.job_id == job.id, Work.kind == str(WorkKind.TILE))
        .group_by(Work.state)
    )
    counts = {row.state: int(row.tiles) for row in rows}
    if not set(counts) <= {WorkState.HELD, WorkState.DONE} or not counts.get(WorkState.HELD):
        return
    assembled, waiting = _count(session, job.id, WorkKind.ASSEMBLE)
    due = len(preview_frames(job.frames or (), int(job.spec.get("preview_every") or 1)))
    if assembled >= due and waiting == 0:
        change_job(session, job, JobState.REVIEW)


def _count(session: Session, job_id: str, kind: WorkKind) -> tuple[int, int]:
    """How many pieces of this kind the job has, and how many of them are not done."""
    rows = session.execute(
        select(Work.state, func.count()).where(Work.job_id == job_id, Work.kind == str(kind)).group_by(Work.state)
    ).all()
    total = sum(count for _, count in rows)
    return total, total - sum(count for state, count in rows if state == WorkState.DONE)


def _assemble_frames(session: Session, job: Job, group: str, now: float) -> None:
    """An ASSEMBLE for each frame of which every tile is done and which has none yet."""
    contract = contract_of(job)
    assert isinstance(contract, RenderContract)
    query = select(Work).where(Work.job_id == job.id, Work.kind == str(WorkKind.TILE))
    wanted = Work.key.like(f"{group}:%") if group else Work.state == str(WorkState.DONE)
    tiles = session.scalars(query.where(wanted).order_by(Work.index)).all()
    if group and any(tile.state != WorkState.DONE for tile in tiles):
        return
    known = set(
        session.scalars(select(Work.key).where(Work.job_id == job.id, Work.kind == str(WorkKind.ASSEMBLE))).all()
    )
    by_frame: dict[int, list[Work]] = {}
    for work in tiles:
        tile = tile_of(work.payload)
        assert isinstance(tile, RenderTile)
        if tile.only_seen(contract):
            continue
        for frame in tile.frames:
            by_frame.setdefault(frame, []).append(work)
    positions = {frame: i for i, frame in enumerate(job.frames or ())}
    whole = contract.rect.area * contract.samples
    for frame, works in sorted(by_frame.items()):
        covered = sum(_share(work) for work in works)
        if f"frame:{frame}" in known or covered != whole or frame not in positions:
            continue
        params = {
            "frame": frame,
            "index": positions[frame],
            "parts": _parts(session, contract, works),
            "output": {"format": job.spec.get("output_format")},
        }
        _add(session, job, contract, positions[frame], f"frame:{frame}", params, now)


def _share(work: Work) -> int:
    """Pixels times samples of one frame that a tile covers."""
    tile = tile_of(work.payload)
    assert isinstance(tile, RenderTile)
    return tile.area.area * (tile.samples[1] - tile.samples[0])


def _assemble_batch(session: Session, job: Job, now: float) -> None:
    contract = contract_of(job)
    key = "batch"
    known = select(Work.id).where(Work.job_id == job.id, Work.kind == str(WorkKind.ASSEMBLE), Work.key == key)
    if session.scalar(known) is not None:
        return
    works = list(
        session.scalars(select(Work).where(Work.job_id == job.id, Work.kind == str(WorkKind.TILE)).order_by(Work.index))
    )
    params = {"parts": _parts(session, contract, works), "items": job.spec["items"]}
    _add(session, job, contract, 0, key, params, now)


def _parts(session: Session, contract: RenderContract | InferContract, works: list[Work]) -> list[dict[str, Any]]:
    """What an assemble lease is told of each tile: where its accepted bytes are, and what they cover."""
    accepted = [work.accepted_lease for work in works]
    blobs = {
        row.id: (row.sha256, row.size)
        for i in range(0, len(accepted), 500)
        for row in session.execute(
            select(Lease.id, Blob.sha256, Blob.size)
            .join(Blob, Blob.sha256 == Lease.blob)
            .where(Lease.id.in_(accepted[i : i + 500]))
        )
    }
    parts = []
    for work in works:
        tile = tile_of(work.payload)
        length = tile.result_bytes(contract)  # type: ignore[arg-type]
        sha, size = blobs[str(work.accepted_lease)]
        parts.append(
            {
                "tile": work.index, "lease": work.accepted_lease, "blob": sha, "size": size, "spec": work.payload,
                "result_bytes": length,
            }
        )  # fmt: skip
    return parts


def _add(
    session: Session, job: Job, contract: RenderContract | InferContract, index: int, key: str, params: dict[str, Any],
    now: float,
) -> None:  # fmt: skip
    cost = job.cost or {}
    preparing = float(cost.get("load_seconds", 0)) + float(cost.get("sync_seconds", 0))
    session.add(
        Work(
            job_id=job.id, kind=str(WorkKind.ASSEMBLE), index=index, key=key, state=str(WorkState.PENDING),
            priority=_ASSEMBLE_PRIORITY, trusted=True, runtime=f"{contract.runtime}-{contract.version}",
            payload=params, created_at=now,
            expected_seconds=_ASSEMBLE_SECONDS + preparing,
        )
    )  # fmt: skip
    wake_after_commit(session)
