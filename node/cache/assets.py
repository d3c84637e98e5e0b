"""A bounded, content-addressed cache, and the folders of single jobs made from it.

    blobs/ab/abcdef…    a file by its SHA-256, read-only
    jobs/JOB/…          hard links to blobs under their names in the job: what a sandbox gets to see as /job

A job's folder holds links and costs nothing; when the job is over its folder and the blobs that nobody else uses go.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from jobs.errors import KilnetError
from jobs.manifest import Asset

__all__ = ["AssetCache", "AssetsTooLarge", "BadAssets", "Fetch"]

Fetch = Callable[[Asset, Path], None]
"""Brings an asset to a path, complete and checked, or raises; may be called again to go on."""

_SPARE_BYTES = 256 << 20
"""Left free on the disk, whatever the bound is: results need room too."""


class AssetsTooLarge(KilnetError):
    """The files of a job do not fit into this node's cache or onto its disk."""

    code = "assets_too_large"


class BadAssets(KilnetError):
    """The names of a job's files contradict each other."""

    code = "bad_assets"


class AssetCache:
    """Safe to use from several threads; one job's folder is made by one thread at a time."""

    def __init__(self, root: Path, *, max_bytes: int) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self._blobs, self._jobs = root / "blobs", root / "jobs"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._jobs.mkdir(exist_ok=True)
        self._lock = threading.RLock()
        self._seen: set[str] = set()
        """Blobs whose bytes this process has hashed: a disk may have spoiled what an earlier process left."""

    def folder(self, job: str) -> Path:
        """Where the files of `job` are linked, whether there are any yet or not."""
        if not job or not all(c.isalnum() or c in "-_" for c in job):
            raise BadAssets(f"not a job's name: {job!r}")
        return self._jobs / job

    def materialise(self, job: str, assets: Iterable[Asset], fetch: Fetch, *, keep: Collection[str] = ()) -> Path:
        """The job's folder with all `assets` in it, missing ones fetched; what other leases of the job left stays.

        `keep`: jobs that must not be evicted to make room. Raises AssetsTooLarge, BadAssets and what `fetch` raises.
        """
        wanted = list(assets)
        with self._lock:
            self._make_room(wanted, {*keep, job})
            folder = self.folder(job)
            folder.mkdir(exist_ok=True)
            os.utime(folder)
        for asset in wanted:
            blob = self._bring(asset, fetch)
            self._link(blob, folder, asset)
        return folder

    def forget(self, job: str) -> None:
        """Remove the job's folder, and every blob that no other job uses."""
        with self._lock:
            folder = self.folder(job)
            inodes = {entry.stat().st_ino for entry in folder.rglob("*") if entry.is_file()}
            shutil.rmtree(folder, ignore_errors=True)
            for blob, found in self._all_blobs():
                if found.st_ino in inodes and found.st_nlink == 1:
                    self._drop(blob)

    def jobs(self) -> dict[str, float]:
        """Jobs with a folder here, and when it was last asked for (Unix seconds)."""
        return {entry.name: entry.stat().st_mtime for entry in self._jobs.iterdir() if entry.is_dir()}

    def size(self) -> int:
        """Bytes of all complete blobs."""
        return sum(found.st_size for _, found in self._all_blobs())

    def _path(self, sha256: str) -> Path:
        return self._blobs / sha256[:2] / sha256

    def _bring(self, asset: Asset, fetch: Fetch) -> Path:
        path = self._path(asset.sha256)
        if path.exists():
            if asset.sha256 in self._seen and path.stat().st_size == asset.size:
                return path
            if path.stat().st_size == asset.size and _sha256(path) == asset.sha256:
                self._seen.add(asset.sha256)
                return path
            path.unlink()
        path.parent.mkdir(exist_ok=True)
        fetch(asset, path)
        path.chmod(0o444)
        self._seen.add(asset.sha256)
        return path

    def _link(self, blob: Path, folder: Path, asset: Asset) -> None:
        target = folder / asset.path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and target.samefile(blob):
                return
            # Put into place in one step: a warm runner that looks at the same moment sees the old file or the new.
            beside = target.with_name(f".{time.monotonic_ns()}.link")
            beside.hardlink_to(blob)
            beside.replace(target)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise BadAssets(f"{asset.path!r} is a file and a folder at once in this job") from error

    def _make_room(self, wanted: list[Asset], keep: Collection[str]) -> None:
        distinct = {asset.sha256: asset.size for asset in wanted}
        total = sum(distinct.values())
        if total > self.max_bytes:
            raise AssetsTooLarge(
                f"the job's files take {total:,} bytes and this node keeps at most {self.max_bytes:,}; see --cache-gb"
            )
        new = sum(size for sha256, size in distinct.items() if not self._path(sha256).exists())
        over = self.size() + new - self.max_bytes
        if over > 0:
            self._evict(over, keep, set(distinct))
        free = shutil.disk_usage(self.root).free
        if new and new + _SPARE_BYTES > free:
            raise AssetsTooLarge(
                f"the job's files need {new:,} bytes more and the disk of {self.root} has {free:,} free"
            )

    def _evict(self, over: int, keep: Collection[str], needed: set[str]) -> None:
        """Drop what was not used for longest until `over` bytes are free: whole jobs first, then single blobs."""
        before = self.size()
        for job, _ in sorted(self.jobs().items(), key=lambda item: item[1]):
            if before - self.size() >= over:
                return
            if job not in keep:
                self.forget(job)
        # The change time of an inode moves when a link to it comes or goes: for a blob without links, its last use.
        for blob, found in sorted(self._all_blobs(), key=lambda item: item[1].st_ctime):
            if before - self.size() >= over:
                return
            if found.st_nlink == 1 and blob.name not in needed:
                self._drop(blob)

    def _drop(self, blob: Path) -> None:
        blob.unlink(missing_ok=True)
        self._seen.discard(blob.name)

    def _all_blobs(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self._blobs.glob("??/*"):
            if path.suffix != ".part":
                with contextlib.suppress(FileNotFoundError):
                    found.append((path, path.stat()))
        return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
