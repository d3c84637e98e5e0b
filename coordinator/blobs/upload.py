"""How a blob arrives: chunk by chunk, within the account's limits, registered in one step when it is whole."""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from coordinator.blobs.rows import held_bytes, holds, register_blob
from coordinator.blobs.store import EMPTY, BlobStore
from coordinator.config import Settings
from coordinator.errors import SlowDown, TooLarge
from coordinator.store.database import Database
from coordinator.store.models import Blob

__all__ = ["keep", "receive", "upload_offset"]

_UPLOADS_PER_ACCOUNT = 64
"""Uploads that an account may have begun and not finished."""
_QUOTA_STEP = 64 << 20
"""Bytes of an upload between two looks at the quota."""


def upload_offset(db: Database, store: BlobStore, *, address: str, sha: str) -> int:
    """Where the account's upload goes on: the blob's size where it has it already."""
    with db.read() as session:
        if holds(session, address, sha):
            return int(session.scalar(select(Blob.size).where(Blob.sha256 == sha)) or 0)
    if sha == EMPTY:
        keep(db, store, b"", owner=address)
    return store.offset(sha, address)


def keep(db: Database, store: BlobStore, data: bytes, *, owner: str) -> str:
    """Put bytes that the coordinator made itself into the store, with their rows; their SHA-256."""
    sha = hashlib.sha256(data).hexdigest()
    with store.lock(sha):
        store.put_bytes(data)
        with db.begin() as session:
            register_blob(session, sha, len(data), owner)
    return sha


def receive(
    db: Database,
    store: BlobStore,
    settings: Settings,
    *,
    address: str,
    trusted: bool,
    sha: str,
    offset: int,
    length: int,
    chunk: bytes,
) -> int:
    """Take one chunk of an account's upload; the new offset. With the last one the blob is the account's.

    Raises what BlobStore.append raises; TooLarge over a limit or quota; SlowDown for too many begun uploads."""
    if len(chunk) > settings.limits.max_chunk_bytes:
        raise TooLarge(f"a chunk may have at most {settings.limits.max_chunk_bytes} bytes; send smaller ones")
    if length > settings.limits.max_blob_bytes:
        raise TooLarge(
            f"a file may have at most {settings.limits.max_blob_bytes} bytes, this one has {length}",
            code="blob_too_large",
        )
    with store.lock(sha):
        with db.read() as session:
            if holds(session, address, sha):
                return length
        if not trusted and (offset == 0 or offset // _QUOTA_STEP != (offset + len(chunk)) // _QUOTA_STEP):
            _check_quota(db, store, settings, address, sha, length)
        offset, complete = store.append(sha, offset, length, chunk, address)
        if complete:
            with db.begin() as session:
                register_blob(session, sha, length, address)
    return offset


def _check_quota(db: Database, store: BlobStore, settings: Settings, address: str, sha: str, length: int) -> None:
    others = [upload.size for upload in store.uploads(address) if upload.sha != sha]
    if len(others) >= _UPLOADS_PER_ACCOUNT:
        raise SlowDown(
            f"{len(others)} uploads are begun and not finished; finish some, or wait a day until they are forgotten",
            retry_after=30,
            code="too_many_uploads",
        )
    with db.read() as session:
        held = held_bytes(session, address)
    quota = settings.limits.account_quota_bytes
    if held + sum(others) + length > quota:
        raise TooLarge(
            f"this account may keep {quota} bytes and has {held + sum(others)}; {length} more do not fit. "
            "Files of finished jobs go by themselves in time",
            code="quota_exceeded",
        )
