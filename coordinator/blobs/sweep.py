"""When blobs go: some time after the last job that needed them, or a day after nobody did."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Select, delete, exists, select

from coordinator.blobs.store import BlobStore
from coordinator.config import Settings
from coordinator.store.database import Database
from coordinator.store.models import Blob, BlobHolder, Job, JobBlob
from jobs.states import JOB_FINAL

__all__ = ["Swept", "sweep"]

_UNUSED_SECONDS = 24 * 3600.0
"""Uploads that no job names, and uploads that were never finished, are kept this long."""
_BATCH = 200
_SHELF_SECONDS = 3600.0
"""One of the 256 folders of the store is compared with the rows in each such span of time."""


class Swept(NamedTuple):
    """What one sweep removed."""

    blobs: int
    uploads: int
    strays: int
    """Files without a row, from a crash between the two."""


def sweep(db: Database, store: BlobStore, settings: Settings) -> Swept:
    """Remove what is no longer kept. May run at any time, in any number of processes at once, and be killed."""
    now = db.now()
    with db.begin() as session:
        ended = select(Job.id).where(
            Job.state.in_(sorted(JOB_FINAL)), Job.finished_at < now - settings.limits.retention_seconds
        )
        session.execute(delete(JobBlob).where(JobBlob.job_id.in_(ended)))
    return Swept(_unused(db, store, now), _unfinished(store, now), _strays(db, store, now))


def _unneeded(now: float) -> Select[str]:
    """Hashes of blobs that no job needs and nobody uploaded lately."""
    return select(Blob.sha256).where(
        Blob.created_at < now - _UNUSED_SECONDS,
        ~exists().where(JobBlob.sha256 == Blob.sha256),
        ~exists().where(BlobHolder.sha256 == Blob.sha256, BlobHolder.created_at >= now - _UNUSED_SECONDS),
    )


def _unused(db: Database, store: BlobStore, now: float) -> int:
    removed = 0
    while True:
        with db.read() as session:
            batch = session.scalars(_unneeded(now).limit(_BATCH)).all()
        before = removed
        for sha in batch:
            # Row before file: a crash in between leaves a stray file, never a row without one.
            with store.lock(sha):
                with db.begin() as session:
                    row = db.locked(_unneeded(now).where(Blob.sha256 == sha))
                    gone = session.scalar(row) is not None
                    if gone:
                        session.execute(delete(BlobHolder).where(BlobHolder.sha256 == sha))
                        session.execute(delete(Blob).where(Blob.sha256 == sha))
                if gone:
                    store.delete(sha)
                    removed += 1
        if removed == before:
            return removed


def _unfinished(store: BlobStore, now: float) -> int:
    removed = 0
    for upload in list(store.uploads()):
        if upload.changed_at < now - _UNUSED_SECONDS:
            with store.lock(upload.sha):
                store.drop_upload(upload.sha, upload.owner)
            removed += 1
    return removed


def _strays(db: Database, store: BlobStore, now: float) -> int:
    removed = 0
    shelf = f"{int(now // _SHELF_SECONDS) % 256:02x}"
    for sha, written_at in list(store.names(shelf)):
        if written_at >= now - _UNUSED_SECONDS:
            continue
        with store.lock(sha):
            with db.read() as session:
                known = session.get(Blob, sha) is not None
            if not known:
                store.delete(sha)
                removed += 1
    return removed
