"""Files by content: what is missing, uploads that resume, downloads with ranges."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from coordinator import blobs
from coordinator.auth import Caller
from coordinator.errors import ApiError, NotFound, Unprocessable
from coordinator.gateway.bodies import MEBIBYTE, NO_CONTENT, from_caller, read_limited, to_json
from coordinator.gateway.context import Context, Gateway, SignedIn, in_thread
from coordinator.gateway.described import BYTES, CHUNK
from coordinator.store.models import Blob
from jobs.wire import BlobsMissing, UploadOffset

__all__ = ["router"]

router = APIRouter(prefix="/v1/blobs")
Sha = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_LONGEST_BLOB = 1 << 40


class Part(NamedTuple):
    """Bytes start <= i < stop of a blob."""

    start: int
    stop: int


class _OutsideRange(ApiError):
    status = 416
    code = "outside_range"


@router.post("/missing", response_model=BlobsMissing)
def missing(
    gateway: Context, caller: SignedIn, body: Annotated[BlobsMissing, from_caller(BlobsMissing, 4 * MEBIBYTE)]
) -> Response:
    if any(query.sha256 == blobs.EMPTY and query.size == 0 for query in body.blobs):
        blobs.keep(gateway.db, gateway.store, b"", owner=caller.address)
    with gateway.db.read() as session:
        wanted = blobs.missing(session, body.blobs, caller.address)
    here = {query.sha256 for query in body.blobs} - {query.sha256 for query in wanted}
    if here:
        with gateway.db.begin() as session:
            blobs.touch(session, caller.address, sorted(here))
    return to_json(BlobsMissing(blobs=tuple(wanted)))


@router.get("/{sha}/upload", response_model=UploadOffset)
def upload_offset(gateway: Context, caller: SignedIn, sha: Sha) -> Response:
    offset = blobs.upload_offset(gateway.db, gateway.store, address=caller.address, sha=sha)
    answer = to_json(UploadOffset(offset=offset))
    answer.headers["Upload-Offset"] = str(offset)
    return answer


@router.patch("/{sha}/upload", status_code=NO_CONTENT, openapi_extra=CHUNK)
async def upload(request: Request, gateway: Context, caller: SignedIn, sha: Sha) -> Response:
    offset, length = _byte_count(request, "upload-offset"), _byte_count(request, "upload-length")
    async with gateway.body_slots:
        chunk = await read_limited(request, gateway.settings.limits.max_chunk_bytes)
        offset = await in_thread(
            blobs.receive,
            gateway.db,
            gateway.store,
            gateway.settings,
            address=caller.address,
            trusted=caller.trusted,
            sha=sha,
            offset=offset,
            length=length,
            chunk=chunk,
        )
    gateway.metrics.received.inc(len(chunk))
    return Response(status_code=NO_CONTENT, headers={"Upload-Offset": str(offset)})


@router.head("/{sha}", response_class=Response, responses=BYTES, name="look")
@router.get("/{sha}", response_class=Response, responses=BYTES)
def download(request: Request, gateway: Context, caller: SignedIn, sha: Sha) -> Response:
    size = _readable_size(gateway, caller, sha)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{sha}"',
        # Whoever may read it now may keep it; what lies behind a hash never changes.
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": "attachment",
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    part = _requested(request.headers.get("range"), size)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    start, stop = part or (0, size)
    headers["Content-Length"] = str(stop - start)
    status = 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    content = gateway.store.read_range(sha, start, stop)
    return StreamingResponse(content, status, headers, media_type="application/octet-stream")


def _readable_size(gateway: Gateway, caller: Caller, sha: str) -> int:
    with gateway.db.read() as session:
        size = session.scalar(select(Blob.size).where(Blob.sha256 == sha))
        if size is None or not blobs.may_read(session, caller.address, caller.trusted, sha):
            raise NotFound(f"no blob {sha} that this account may read; check the hash")
    return size


def _requested(header: str | None, size: int) -> Part | None:
    """What a Range header asks for; None for the whole (none asked for, several at once, or no range of bytes).

    Raises _OutsideRange."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        part = Part(max(0, size - int(match[2])), size)
    else:
        part = Part(int(match[1]), min(size, int(match[2]) + 1) if match[2] else size)
        if match[2] and int(match[2]) < int(match[1]):
            return None
    if part.start >= part.stop:
        raise _OutsideRange(
            f"the blob has {size} bytes, the range begins at {part.start}; ask for less",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return part


def _byte_count(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and int(text) <= _LONGEST_BLOB):
        raise Unprocessable(f"the header {name.title()} must be a number of bytes, at most {_LONGEST_BLOB}")
    return int(text)
