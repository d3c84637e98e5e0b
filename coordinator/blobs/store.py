"""The bytes of blobs: content-addressed on any fsspec file system, uploads resumable in a local folder.

A blob lies under its SHA-256 and nothing else, so no name of a stranger ever becomes a path. It appears in one step
(rename, or one put) after its hash was checked. Callers that keep rows beside it do both under `lock`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from coordinator.blobs.hashers import Hashers
from coordinator.errors import Conflict, NotFound, TryLater, Unprocessable
from jobs.addresses import is_address

if TYPE_CHECKING:
    from coordinator.config import Settings

__all__ = ["EMPTY", "BlobStore", "Upload", "WrongOffset"]

EMPTY = hashlib.sha256(b"").hexdigest()
"""The blob of no bytes: nobody has to upload it."""
_PART = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RESERVE = 256 << 20
"""Bytes that stay free on the upload disk: a full disk would also stop the database."""


class WrongOffset(Conflict):
    """The upload goes on at another offset, which the header Upload-Offset names."""

    code = "wrong_offset"

    def __init__(self, offset: int) -> None:
        super().__init__(f"this upload goes on at byte {offset}", headers={"Upload-Offset": str(offset)})
        self.offset = offset


class Upload(NamedTuple):
    """One upload under way."""

    sha: str
    owner: str
    size: int
    """Bytes that have arrived."""
    changed_at: float


class BlobStore:
    """Blobs at `url` (fsspec: file:///…, s3://…) and uploads under way in the local folder `uploads`.

    Safe for any number of threads and processes that share both."""

    def __init__(self, url: str, uploads: Path, *, reserve_bytes: int = _RESERVE) -> None:
        fs, root = fsspec.core.url_to_fs(url)
        self._fs = fs
        self._root = str(root).rstrip("/")
        self._local = Path(self._root) if isinstance(fs, LocalFileSystem) else None
        self._uploads = uploads
        self._locks = uploads / "locks"
        self._reserve = reserve_bytes
        self._hashers = Hashers()
        self._locks.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._local is not None:
            (self._local / "incoming").mkdir(parents=True, exist_ok=True, mode=0o700)

    @classmethod
    def of(cls, settings: Settings) -> BlobStore:
        """The store of a deployment."""
        return cls(settings.blob_url, settings.data / "uploads")

    @contextlib.contextmanager
    def lock(self, sha: str) -> Iterator[None]:
        """One process and thread at a time may add, complete or remove this blob. Not to be nested."""
        # A fixed set of files: removing lock files is a race, and one per blob would fill the folder.
        with (self._locks / _checked(sha)[:3]).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # Uploads: the caller holds `lock(sha)` around append and what follows from it.

    def offset(self, sha: str, owner: str = "") -> int:
        """Bytes of this owner's upload that have arrived; 0 where there is none."""
        try:
            return self._part(sha, owner).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, sha: str, offset: int, length: int, chunk: bytes, owner: str = "") -> tuple[int, bool]:
        """Add `chunk` at `offset` of an upload of `length` bytes; the new offset, and whether the blob is complete now.

        Uploads are kept apart by owner: nobody continues, or spoils, what another began. Raises WrongOffset;
        Unprocessable `wrong_hash` (the upload starts again at 0) or where the chunk goes past the length; TryLater
        `storage_full` (what had arrived stays)."""
        have = self.offset(sha, owner)
        if offset != have:
            raise WrongOffset(have)
        new = offset + len(chunk)
        if new > length:
            raise Unprocessable(f"the chunk ends at byte {new}, past the Upload-Length of {length}")
        part = self._part(sha, owner)
        with _clear_when_full():
            self._check_room(len(chunk))
            part.parent.mkdir(exist_ok=True, mode=0o700)
            try:
                with part.open("ab") as file:
                    file.write(chunk)
                    file.flush()
                    if new == length:
                        os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(part, have)
                raise
            self._hashers.add((sha, owner), offset, chunk)
            if new < length:
                return new, False
            if self._hashers.take((sha, owner), new, part) != sha:
                part.unlink(missing_ok=True)
                raise Unprocessable(
                    "the bytes do not have this SHA-256; start again at 0",
                    code="wrong_hash",
                    headers={"Upload-Offset": "0"},
                )
            self._place(part, sha)
        return new, True

    def uploads(self, owner: str | None = None) -> Iterator[Upload]:
        """Uploads under way, of one owner or of all."""
        pattern = f"by-{owner or 'nobody'}" if owner is not None else "by-*"
        for folder in self._uploads.glob(pattern):
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat()
                        who = folder.name.removeprefix("by-")
                        yield Upload(entry.name, "" if who == "nobody" else who, status.st_size, status.st_mtime)

    def drop_upload(self, sha: str, owner: str = "") -> None:
        """Forget an upload under way."""
        self._part(sha, owner).unlink(missing_ok=True)

    # Blobs.

    def put_bytes(self, data: bytes) -> str:
        """Keep `data`; its SHA-256. What has to stay also needs its rows: see `keep`."""
        sha = hashlib.sha256(data).hexdigest()
        if not self.exists(sha):
            with _clear_when_full(), tempfile.NamedTemporaryFile(dir=self._uploads, delete=False) as file:
                with self._removed_on_error(file.name):
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                self._place(Path(file.name), sha)
        return sha

    def put_file(self, path: Path) -> str:
        """Keep a copy of the file at `path`; its SHA-256."""
        digest = hashlib.sha256()
        with _clear_when_full(), path.open("rb") as source, tempfile.NamedTemporaryFile(
            dir=self._uploads, delete=False
        ) as file:  # fmt: skip
            with self._removed_on_error(file.name):
                while part := source.read(_PART):
                    digest.update(part)
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            self._place(Path(file.name), digest.hexdigest())
        return digest.hexdigest()

    def exists(self, sha: str) -> bool:
        """Whether the bytes are here."""
        return bool(self._fs.exists(self._key(sha)))

    def size(self, sha: str) -> int:
        """Bytes. Raises NotFound."""
        try:
            return int(self._fs.size(self._key(sha)))
        except FileNotFoundError:
            raise _absent(sha) from None

    def open(self, sha: str) -> IO[bytes]:
        """The blob as a binary file that can seek. Raises NotFound."""
        try:
            return cast("IO[bytes]", self._fs.open(self._key(sha), "rb"))
        except FileNotFoundError:
            raise _absent(sha) from None

    def read_bytes(self, sha: str) -> bytes:
        """The whole blob, for small ones. Raises NotFound."""
        with self.open(sha) as file:
            return file.read()

    def local_path(self, sha: str) -> Path | None:
        """Where the blob lies on this machine's disk; None for other stores. Not to be written to."""
        return None if self._local is None else Path(self._key(sha))

    def read_range(self, sha: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes start <= i < stop in parts of at most 1 MiB. Raises NotFound before the first part."""
        file = self.open(sha)

        def parts() -> Iterator[bytes]:
            with file:
                file.seek(start)
                left = stop - start
                while left > 0 and (part := file.read(min(_PART, left))):
                    left -= len(part)
                    yield part

        return parts()

    def delete(self, sha: str) -> None:
        """Remove the bytes; nothing happens where there are none."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._key(sha))

    def names(self, prefix: str) -> Iterator[tuple[str, float]]:
        """(SHA-256, when it was written) of the blobs whose hash begins with these two hex digits."""
        with contextlib.suppress(FileNotFoundError):
            for entry in self._fs.ls(f"{self._root}/{prefix}", detail=True):
                name = str(entry["name"]).rsplit("/", 1)[-1]
                if re.fullmatch(r"[0-9a-f]{64}", name):
                    yield name, _written_at(entry)

    def _key(self, sha: str) -> str:
        return f"{self._root}/{_checked(sha)[:2]}/{sha}"

    def _part(self, sha: str, owner: str) -> Path:
        if owner and not is_address(owner):
            raise ValueError("not an address")
        return self._uploads / f"by-{owner or 'nobody'}" / _checked(sha)

    def _check_room(self, more: int) -> None:
        if shutil.disk_usage(self._uploads).free - more < self._reserve:
            raise OSError(errno.ENOSPC, "too little room is left")

    def _place(self, source: Path, sha: str) -> None:
        """Move a complete, checked file to where its hash says."""
        if self.exists(sha):
            source.unlink(missing_ok=True)
        elif self._local is None:
            self._fs.put_file(str(source), self._key(sha))
            source.unlink(missing_ok=True)
        else:
            target = Path(self._key(sha))
            target.parent.mkdir(exist_ok=True, mode=0o700)
            try:
                source.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                copy = self._local / "incoming" / f"{sha}.{os.getpid()}.{threading.get_ident()}"
                with self._removed_on_error(copy):
                    shutil.copyfile(source, copy)
                    copy.replace(target)
                source.unlink(missing_ok=True)

    @staticmethod
    @contextlib.contextmanager
    def _removed_on_error(path: str | Path) -> Iterator[None]:
        try:
            yield
        except BaseException:
            Path(path).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _clear_when_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise TryLater(
            "the coordinator's disk is full; its operator has to make room, then the upload goes on where it stopped",
            code="storage_full",
            retry_after=30,
        ) from error


def _checked(sha: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", sha):
        raise ValueError("not a SHA-256")
    return sha


def _absent(sha: str) -> NotFound:
    return NotFound(f"no blob {sha} is here; check the hash")


def _written_at(entry: dict[str, Any]) -> float:
    """When a listed file was written, Unix seconds; now where the file system does not say."""
    for name in ("mtime", "LastModified", "created"):
        value = entry.get(name)
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, datetime):
            return value.timestamp()
    return time.time()
