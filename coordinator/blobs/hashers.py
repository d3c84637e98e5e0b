"""Hashes that run along with uploads."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

__all__ = ["Hashers"]


class Hashers:
    """Running hashes of uploads, so that the last chunk need not read the whole file again.

    Only a shortcut: where another process took a chunk, or this one was started again, the file is read."""

    _MOST = 256

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: OrderedDict[tuple[str, str], tuple[int, Any]] = OrderedDict()

    def add(self, key: tuple[str, str], offset: int, chunk: bytes) -> None:
        with self._lock:
            at, digest = self._running.pop(key, (0, None))
        if digest is None or offset == 0:
            at, digest = 0, hashlib.sha256()
        if at != offset:
            return
        digest.update(chunk)
        with self._lock:
            self._running[key] = (offset + len(chunk), digest)
            if len(self._running) > self._MOST:
                self._running.popitem(last=False)

    def take(self, key: tuple[str, str], length: int, path: Path) -> str:
        """The SHA-256 of the finished upload at `path`, and forget it."""
        with self._lock:
            at, digest = self._running.pop(key, (-1, None))
        if at == length and digest is not None:
            return str(digest.hexdigest())
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
