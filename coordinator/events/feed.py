"""Feeds: rows that many watch at once, read once for all of them, sent to each as what has changed since it looked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from coordinator.events.hints import Hints
from coordinator.events.stream import HEARTBEAT

__all__ = ["Feed"]

_HEARTBEAT_SECONDS = 15.0


class Feed:
    """Server-sent events of rows by key: `read` gives each row's JSON, in a thread. For one event loop.

    A follower is sent all rows at first, then those that changed and the keys of those that are gone:
    `{"rows": [...], "gone": [...]}`. So there is nothing to resume: who comes back is sent all again."""

    def __init__(self, name: str, read: Callable[[], dict[str, str]], *, seconds: float) -> None:
        self._name, self._read, self._seconds = name, read, seconds
        self._lock = asyncio.Lock()
        self._rows: dict[str, str] = {}
        self._read_at = float("-inf")

    async def follow(self, hints: Hints, *, stopping: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Until `stopping()`."""
        sent: dict[str, str] | None = None
        yield HEARTBEAT
        quiet_since = time.monotonic()
        with hints.listen(Hints.ANY_JOB) as topic:
            while not stopping():
                rows = await self._current()
                if sent is None or rows != sent:
                    yield self._told(sent or {}, rows)
                    sent, quiet_since = rows, time.monotonic()
                elif time.monotonic() - quiet_since > _HEARTBEAT_SECONDS:
                    yield HEARTBEAT
                    quiet_since = time.monotonic()
                # Not at every hint: while much happens, what is read for all is at most so old.
                await asyncio.sleep(self._seconds / 2)
                await topic.wait(self._seconds / 2)

    async def _current(self) -> dict[str, str]:
        async with self._lock:
            if time.monotonic() - self._read_at > self._seconds / 3:
                self._rows = await asyncio.to_thread(self._read)
                self._read_at = time.monotonic()
            return self._rows

    def _told(self, before: dict[str, str], now: dict[str, str]) -> bytes:
        changed = ",".join(row for key, row in now.items() if before.get(key) != row)
        gone = ",".join(f'"{key}"' for key in before.keys() - now.keys())
        return f'event: {self._name}\ndata: {{"rows":[{changed}],"gone":[{gone}]}}\n\n'.encode()
