"""Who holds a blob, which job needs it, and who may read it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Insert, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from coordinator.errors import Unprocessable
from coordinator.store.models import Blob, BlobHolder, Job, JobBlob, Lease
from jobs.states import LeaseState
from jobs.wire import BlobQuery

__all__ = ["held_bytes", "holds", "link", "link_all", "may_read", "missing", "register_blob", "touch"]

T = TypeVar("T")
_BATCH = 500
_OWNER_ROLES = ("asset", "reference", "result", "output")
_NODE_ROLES = ("asset",)
"""Never results: a node that saw another's could copy it."""
_WORKING = (LeaseState.ACTIVE, LeaseState.COMMITTED)
_FRESH = 3600.0
_OVERHEAD = 4096
"""Bytes that each blob counts on top of its own: a million empty files are not free."""


def register_blob(session: Session, sha: str, size: int, owner: str) -> None:
    """Note that the complete blob is in the store and that `owner` (an address) has it. May be repeated."""
    now = time.time()
    session.execute(_add(session, Blob), {"sha256": sha, "size": size, "owner": owner, "created_at": now})
    session.execute(_add(session, BlobHolder), {"sha256": sha, "address": owner, "created_at": now})


def link(session: Session, job_id: str, sha: str, role: str) -> None:
    """Note that a job needs a blob, as asset, result, audit, output or reference: it is kept and may be read through
    the job. The caller has made sure that whoever named the blob `holds` it. Raises Unprocessable `missing_blob`."""
    link_all(session, job_id, [sha], role)


def link_all(session: Session, job_id: str, shas: Iterable[str], role: str) -> None:
    """`link` for many blobs."""
    for batch in _batches(sorted(set(shas))):
        # Locked, so that the sweep does not take one away before the link is there.
        found = set(session.scalars(select(Blob.sha256).where(Blob.sha256.in_(batch)).with_for_update(read=True)))
        absent = [sha for sha in batch if sha not in found]
        if absent:
            raise Unprocessable(f"blob {absent[0]} is not here; upload it first", code="missing_blob")
        session.execute(_add(session, JobBlob), [{"job_id": job_id, "sha256": sha, "role": role} for sha in batch])
        if role in _NODE_ROLES:
            session.execute(
                update(JobBlob).where(JobBlob.job_id == job_id, JobBlob.sha256.in_(batch)).values(role=role)
            )


def holds(session: Session, address: str, sha: str) -> bool:
    """Whether the account has uploaded the blob, or gets it through a job of its own."""
    return not missing(session, [sha], address)


def missing(session: Session, queries: Sequence[BlobQuery | str], owner: str) -> list[Any]:
    """Those of `queries` that the account still has to upload, in their order.

    What others have uploaded is missing too: a hash alone must not open their files. Raises Unprocessable where a
    size does not fit the content."""
    sizes: dict[str, int] = {}
    for batch in _batches([query if isinstance(query, str) else query.sha256 for query in queries]):
        rows = session.execute(
            select(Blob.sha256, Blob.size).where(
                Blob.sha256.in_(batch),
                or_(
                    exists().where(BlobHolder.sha256 == Blob.sha256, BlobHolder.address == owner),
                    exists().where(
                        JobBlob.sha256 == Blob.sha256,
                        JobBlob.role.in_(_OWNER_ROLES),
                        Job.id == JobBlob.job_id,
                        Job.owner == owner,
                    ),
                ),
            )
        )
        sizes.update({row.sha256: row.size for row in rows})
    for query in queries:
        if not isinstance(query, str) and sizes.get(query.sha256, query.size) != query.size:
            size = sizes[query.sha256]
            raise Unprocessable(f"blob {query.sha256} has {size} bytes, not {query.size}; hash the file again")
    return [query for query in queries if (query if isinstance(query, str) else query.sha256) not in sizes]


def touch(session: Session, address: str, shas: Sequence[str]) -> None:
    """The account is about to use these blobs: they are not swept before it had a day for that."""
    now = time.time()
    for batch in _batches(shas):
        session.execute(
            update(BlobHolder)
            .where(BlobHolder.address == address, BlobHolder.sha256.in_(batch), BlobHolder.created_at < now - _FRESH)
            .values(created_at=now)
        )


def may_read(session: Session, address: str, trusted: bool, sha: str) -> bool:
    """Whether the account may have the bytes: the coordinator's own workers all; who uploaded it; the owner of a job
    that needs it; and a node while it works on a job, that job's assets."""
    if trusted:
        return True
    working = exists().where(Lease.job_id == JobBlob.job_id, Lease.node == address, Lease.state.in_(_WORKING))
    own = exists().where(Job.id == JobBlob.job_id, Job.owner == address)
    through_job = select(JobBlob.job_id).where(
        JobBlob.sha256 == sha,
        or_(JobBlob.role.in_(_OWNER_ROLES) & own, JobBlob.role.in_(_NODE_ROLES) & working),
    )
    held = select(BlobHolder.sha256).where(BlobHolder.sha256 == sha, BlobHolder.address == address)
    return session.scalar(held) is not None or session.scalar(through_job.limit(1)) is not None


def held_bytes(session: Session, address: str) -> int:
    """What counts towards the account's quota: what it uploaded, without results and outputs that a job needs (those
    are work that was asked for), each blob with a small amount on top."""
    delivered = exists().where(JobBlob.sha256 == BlobHolder.sha256, JobBlob.role.in_(("result", "audit", "output")))
    total = session.scalar(
        select(func.coalesce(func.sum(Blob.size + _OVERHEAD), 0))
        .select_from(BlobHolder)
        .join(Blob, Blob.sha256 == BlobHolder.sha256)
        .where(BlobHolder.address == address, ~delivered)
    )
    return int(total or 0)


def _add(session: Session, model: type[Any]) -> Insert:
    """An INSERT that leaves a row that is there already as it is."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(model).on_conflict_do_nothing()
    return sqlite.insert(model).on_conflict_do_nothing()


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[at : at + _BATCH] for at in range(0, len(items), _BATCH))
