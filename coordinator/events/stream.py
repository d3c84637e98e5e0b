"""Following a job: its events out of SQL, in order, from wherever the reader left off, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from sqlalchemy import select

from coordinator.events.hints import Hints
from coordinator.store.models import Event, Job
from jobs.states import JOB_FINAL

if TYPE_CHECKING:
    from coordinator.store.database import Database

__all__ = ["HEARTBEAT", "format_event", "stream"]

HEARTBEAT = b": still here\n\n"
_HEARTBEAT_SECONDS = 15.0
_LOOK_SECONDS = 2.0
"""The database is looked at this often even without a hint: one may be lost."""
_PAGE = 500
_SETTLE_SECONDS = 5.0
"""An event may be committed after one with a higher id; so rows younger than this are looked at again."""


def format_event(id: int, type: str, data: object) -> bytes:
    """One server-sent event. JSON escapes line breaks, so `data` is always one line."""
    return f"id: {id}\nevent: {type}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


class _Reader:
    """Reads one job's events after an id: each exactly once, also those that were committed out of order."""

    def __init__(self, db: Database, job_id: str, after_id: int) -> None:
        self._db, self._job_id = db, job_id
        self._floor = after_id
        """Everything up to this id was read or asked to be left out."""
        self._seen: dict[int, float] = {}
        self.last = after_id
        """What a reader resumes after."""

    def read(self) -> tuple[list[tuple[int, str, object]], bool]:
        """New events (id, type, data), and whether the job had ended before they were read."""
        with self._db.read() as session:
            # The state first: an event that is written together with the last state is then surely read below.
            state = session.scalar(select(Job.state).where(Job.id == self._job_id))
            rows = session.execute(
                select(Event.id, Event.type, Event.data, Event.created_at)
                .where(Event.job_id == self._job_id, Event.id > self._floor)
                .order_by(Event.id)
                .limit(_PAGE + len(self._seen))
            ).all()
        fresh = [row for row in rows if row.id not in self._seen]
        self._seen.update({row.id: row.created_at for row in fresh})
        settled = time.time() - _SETTLE_SECONDS
        for id in sorted(self._seen):
            if self._seen[id] > settled and len(self._seen) <= _PAGE:
                break
            self._floor = id
            del self._seen[id]
        out: list[tuple[int, str, object]] = []
        for row in fresh:
            self.last = max(self.last, row.id)
            out.append((self.last, row.type, row.data))
        return out, state is None or state in JOB_FINAL


async def stream(
    db: Database,
    hints: Hints,
    job_id: str,
    after_id: int,
    *,
    stopping: Callable[[], bool] = lambda: False,
    heartbeat_seconds: float = _HEARTBEAT_SECONDS,
) -> AsyncIterator[bytes]:
    """Server-sent events of a job with an id above `after_id`, then those that follow, until the job has ended and
    all is sent, or until `stopping()`. A comment is sent where nothing happens for `heartbeat_seconds`."""
    reader = _Reader(db, job_id, after_id)
    # Sent at once, so that a reader behind a buffering proxy knows that it is connected.
    yield HEARTBEAT
    quiet_since = time.monotonic()
    with hints.listen(Hints.job(job_id)) as topic:
        while not stopping():
            events, ended = await asyncio.to_thread(reader.read)
            for event in events:
                yield format_event(*event)
            if events:
                quiet_since = time.monotonic()
                continue
            if ended:
                return
            left = heartbeat_seconds - (time.monotonic() - quiet_since)
            if left <= 0:
                yield HEARTBEAT
                quiet_since = time.monotonic()
                left = heartbeat_seconds
            await topic.wait(min(left, _LOOK_SECONDS))
