"""Files to and from the gateway: in pieces, resumed where they broke off, and checked against their hash."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from jobs.manifest import Asset
from node.gateway.backoff import delays
from node.gateway.errors import Away, Conflict, Denied, GatewayError, Stopping
from node.gateway.transport import Transport

__all__ = ["Cancelled", "download", "upload"]

_FIRST_CHUNK = 8 << 20
_SMALLEST_CHUNK = 64 << 10
_BUFFER = 1 << 20


class Cancelled(Exception):
    """The event that the caller gave was set."""


class _Offset(BaseModel):
    offset: int


def download(
    transport: Transport,
    asset: Asset,
    target: Path,
    *,
    patience: float | None = None,
    cancel: threading.Event | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
    wait: Callable[[], Iterator[float]] = delays,
) -> None:
    """Bring `asset` to `target`, going on where an earlier try broke off (`target` + `.part`).

    `patience`: seconds without a single new byte until Away is raised (None: for ever). Raises Denied, Away, Cancelled,
    and GatewayError where the gateway keeps sending other bytes than the hash says.
    """
    part = target.with_name(target.name + ".part")
    cancel = cancel or threading.Event()
    moved, spoiled, pauses = time.monotonic(), 0, wait()
    while True:
        have = part.stat().st_size if part.exists() else 0
        try:
            if have < asset.size or asset.size == 0:
                _receive(transport, asset, part, have, cancel, on_bytes)
        except Away:
            if cancel.is_set():
                raise Cancelled from None
            if part.exists() and part.stat().st_size > have:
                moved, pauses = time.monotonic(), wait()
            pause = next(pauses)
            if patience is not None and time.monotonic() + pause - moved > patience:
                raise
            if cancel.wait(pause):
                raise Cancelled from None
            continue
        if part.stat().st_size == asset.size and _sha256(part) == asset.sha256:
            part.replace(target)
            return
        part.unlink()
        spoiled += 1
        if spoiled == 3:
            raise GatewayError(
                f"the gateway sends other bytes than {asset.sha256[:12]} for {asset.path}", code="wrong_hash"
            )


def _receive(
    transport: Transport, asset: Asset, part: Path, have: int, cancel: threading.Event, on_bytes: Callable[[int], None]
) -> None:
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with transport.stream(f"/v1/blobs/{asset.sha256}", headers) as response:
        resumed = response.status_code == 206
        left = asset.size - (have if resumed else 0)
        with part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_raw(_BUFFER):
                if cancel.is_set():
                    raise Cancelled
                # More than was announced must not fill the disk; the hash then tells that it was wrong.
                file.write(chunk[: left + 1])
                left -= len(chunk)
                on_bytes(len(chunk))
                if left < 0:
                    return
    if left > 0:
        raise Away("the connection broke off")


def upload(
    transport: Transport,
    asset: Asset,
    source: Path,
    *,
    patience: float | None = None,
    stop: threading.Event | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> None:
    """Send the file `source`, which is `asset`, going on where an earlier try broke off.

    Raises Denied, Away, Stopping; Denied `wrong_hash` where the file is no longer what it was.
    """
    path = f"/v1/blobs/{asset.sha256}/upload"
    options: dict[str, Any] = {"patience": patience, "stop": stop}
    offset = _where(transport, path, asset, options)
    chunk_bytes, restarts = _FIRST_CHUNK, 0
    with source.open("rb") as file:
        while offset < asset.size or (asset.size == 0 and restarts == 0):
            if stop is not None and stop.is_set():
                raise Stopping("the agent stops")
            file.seek(offset)
            chunk = file.read(min(chunk_bytes, asset.size - offset))
            headers = {
                "Upload-Offset": str(offset),
                "Upload-Length": str(asset.size),
                "Content-Type": "application/offset+octet-stream",
            }
            try:
                answer = transport.call("PATCH", path, content=chunk, headers=headers, **options)
            except Conflict as error:
                if error.code != "wrong_offset" or error.upload_offset is None:
                    raise
                # The answer to the piece before was lost, though the piece was not.
                restarts += 1
                if restarts > 100:
                    raise
                offset = error.upload_offset
                continue
            except Denied as error:
                if error.status == 413 and chunk_bytes > _SMALLEST_CHUNK:
                    chunk_bytes //= 2
                    continue
                if error.code == "wrong_hash" and restarts == 0 and _sha256(source) == asset.sha256:
                    restarts, offset = 1, 0  # what was there before was not ours
                    continue
                raise
            on_bytes(len(chunk))
            if asset.size == 0:
                return
            told = answer.headers.get("Upload-Offset", "")
            offset = int(told) if told.isdigit() else offset + len(chunk)


def _where(transport: Transport, path: str, asset: Asset, options: dict[str, Any]) -> int:
    where = transport.read(_Offset, "GET", path, **options)
    if not 0 <= where.offset <= asset.size:
        raise GatewayError(f"the gateway has {where.offset} of {asset.size} bytes of {asset.path}", code="wrong_offset")
    return where.offset


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
