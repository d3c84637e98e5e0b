"""Files to and from the gateway: in pieces, several at a time, resumed where they broke off, checked by hash."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from jobs.client.calls import Calls
from jobs.client.effects import Close, Program, Sleep, Together, Work
from jobs.client.errors import GatewayBadInput, GatewayRefused
from jobs.errors import BadInput, Refused, Unavailable
from jobs.manifest import Asset, Manifest, SafePath
from jobs.wire import BlobQuery, BlobsMissing, OutputView, UploadOffset

__all__ = ["Delivered", "Progress", "download", "download_outputs", "read_blob", "upload"]

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all, from any thread."""

_QUERY = 10_000
_FIRST_CHUNK = 8 << 20
_SMALLEST_CHUNK = 64 << 10
_RESTARTS = 20
_SAFE_PATH: TypeAdapter[str] = TypeAdapter(SafePath)


@dataclass(frozen=True)
class Delivered:
    """One output on this disk."""

    path: Path
    sha256: str
    kind: str
    frame: int | None


class _Counter:
    """Adds up bytes of several threads."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._lock, self._done, self._total, self._progress = threading.Lock(), 0, total, progress

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._progress is not None:
                self._progress(min(self._done, self._total), self._total)


def upload(
    calls: Calls, manifest: Manifest, sources: Mapping[str, Path], *, progress: Progress | None = None
) -> Program[int]:
    """Send those files of `manifest` that the gateway does not have; bytes that were to be sent.

    `sources` says where each path's bytes lie. Raises BadInput where a file changed since the manifest was made,
    Refused over a quota, Unavailable.
    """
    first = {asset.sha256: asset for asset in reversed(manifest.assets)}
    queries = [BlobQuery(sha256=asset.sha256, size=asset.size) for asset in first.values()]
    wanted: list[Asset] = []
    for i in range(0, len(queries), _QUERY):
        asked = BlobsMissing(blobs=tuple(queries[i : i + _QUERY]))
        answer: BlobsMissing = yield from calls.read(BlobsMissing, "POST", "/v1/blobs/missing", body=asked)
        wanted += [first[blob.sha256] for blob in answer.blobs if blob.sha256 in first]
    counter = _Counter(sum(asset.size for asset in wanted), progress)
    yield Together([_send(calls, asset, sources[asset.path], counter) for asset in wanted])
    return sum(asset.size for asset in wanted)


def _read_at(source: Path, offset: int, length: int) -> bytes:
    try:
        with source.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        raise BadInput(f"{source}: cannot be read ({error.strerror}); check that it is still there") from error


def _send(calls: Calls, asset: Asset, source: Path, counter: _Counter) -> Program[None]:
    path = f"/v1/blobs/{asset.sha256}/upload"
    where: UploadOffset = yield from calls.read(UploadOffset, "GET", path)
    offset, chunk_bytes, restarts, empty_sent = where.offset, _FIRST_CHUNK, 0, False
    counter.add(offset)
    while offset < asset.size or (asset.size == 0 and not empty_sent):
        length = min(chunk_bytes, asset.size - offset)
        chunk: bytes = yield Work(lambda at=offset, length=length: _read_at(source, at, length))  # type: ignore[misc]
        if len(chunk) == 0 and asset.size > 0:
            raise BadInput(f"{source}: became shorter while it was sent; start again when it is finished")
        headers = {
            "Upload-Offset": str(offset),
            "Upload-Length": str(asset.size),
            "Content-Type": "application/offset+octet-stream",
        }
        try:
            yield from calls.call("PATCH", path, content=chunk, headers=headers)
        except GatewayRefused as error:
            restarts += 1
            if error.code != "wrong_offset" or error.upload_offset is None or restarts > _RESTARTS:
                raise
            # The answer to the piece before was lost, though the piece was not.
            counter.add(error.upload_offset - offset)
            offset = error.upload_offset
            continue
        except GatewayBadInput as error:
            if error.status == 413 and error.code == "too_large" and chunk_bytes > _SMALLEST_CHUNK:
                chunk_bytes //= 2
                continue
            if error.code != "wrong_hash":
                raise
            if restarts or (yield Work(lambda: _sha256(source))) != asset.sha256:
                raise BadInput(f"{source}: changed while it was sent; start again when it is finished") from error
            # What the gateway kept of an earlier upload was not this file.
            restarts += 1
            counter.add(-offset)
            offset = 0
            continue
        empty_sent = True
        offset += len(chunk)
        counter.add(len(chunk))


def read_blob(calls: Calls, sha256: str, *, limit: int = 1 << 30) -> Program[bytes]:
    """A blob as bytes, checked. Raises Refused where it is over `limit` bytes or not what its hash says."""
    response = yield from calls.call("GET", f"/v1/blobs/{sha256}", headers={"Accept-Encoding": "identity"})
    data = response.content
    if len(data) > limit or hashlib.sha256(data).hexdigest() != sha256:
        raise Refused(f"the gateway sent other bytes than {sha256[:12]}…; ask its operator", code="wrong_hash")
    return data


def download(
    calls: Calls, sha256: str, target: Path, *, size: int, on_bytes: Callable[[int], None] = lambda _: None
) -> Program[None]:
    """Bring a blob of `size` bytes to `target`, which appears only when it is whole and its hash is right.

    Raises Refused for a wrong hash or no such blob, Unavailable when nothing came for the client's patience.
    """
    part = target.with_name(f".{target.name}.{sha256[:8]}.part")
    delay, give_up = 0.25, time.monotonic() + calls.patience
    try:
        while True:
            have = part.stat().st_size if part.exists() else 0
            try:
                if have < size or not part.exists():
                    yield from _receive(calls, sha256, part, have, size, on_bytes)
                break
            except Unavailable:
                if part.exists() and part.stat().st_size > have:
                    delay, give_up = 0.25, time.monotonic() + calls.patience
                if time.monotonic() + delay > give_up:
                    raise
                yield Sleep(delay)
                delay = min(2 * delay, 15.0)
        if (yield Work(lambda: _sha256(part))) != sha256:
            raise Refused(
                f"{target.name}: the gateway sent other bytes than {sha256[:12]}…; try again", code="wrong_hash"
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _receive(
    calls: Calls, sha256: str, part: Path, have: int, size: int, on_bytes: Callable[[int], None]
) -> Program[None]:
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    response = yield from calls.open(f"/v1/blobs/{sha256}", headers)
    resumed = response.status_code == 206
    left = size - (have if resumed else 0)
    with part.open("ab" if resumed else "wb") as file:
        while left >= 0 and (chunk := (yield from calls.next(response))) is not None:
            # More than was announced must not fill the disk; the hash then tells that it was wrong.
            file.write(chunk[: left + 1])
            left -= len(chunk)
            on_bytes(len(chunk))
    yield Close(response)
    if left > 0:
        raise Unavailable("the connection broke off; try again")


def download_outputs(
    calls: Calls, outputs: Sequence[OutputView], folder: Path, *, progress: Progress | None = None
) -> Program[list[Delivered]]:
    """Bring outputs into `folder`, keeping their paths; files that are there already with the right hash are kept.

    Raises Refused for a path that would leave the folder or bytes that do not match, Unavailable.
    """
    counter = _Counter(sum(output.size for output in outputs), progress)
    delivered: list[Delivered] = yield Together([_bring(calls, output, folder, counter) for output in outputs])
    return delivered


def _bring(calls: Calls, output: OutputView, folder: Path, counter: _Counter) -> Program[Delivered]:
    try:
        target = folder / _SAFE_PATH.validate_python(output.path)
    except ValidationError:
        raise Refused(
            f"the gateway names an output {output.path[:80]!r}, which is no plain path; ask its operator"
        ) from None
    if (yield Work(lambda: _is_there(target, output))):
        counter.add(output.size)
    else:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield from download(calls, output.sha256, target, size=output.size, on_bytes=counter.add)
        except OSError as error:
            raise BadInput(f"{target}: cannot be written ({error.strerror}); choose another --out") from error
    return Delivered(path=target, sha256=output.sha256, kind=output.kind, frame=output.frame)


def _is_there(target: Path, output: OutputView) -> bool:
    return target.is_file() and target.stat().st_size == output.size and _sha256(target) == output.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
