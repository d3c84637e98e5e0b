"""Following jobs: events out of SQL, in order, from wherever the reader left off, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, select

from coordinator.events.hints import Hints
from coordinator.store.models import Event, Job
from jobs.states import JOB_FINAL

if TYPE_CHECKING:
    from coordinator.store.database import Database

__all__ = ["HEARTBEAT", "Told", "changed_jobs", "format_event", "stream"]

HEARTBEAT = b": still here\n\n"
_HEARTBEAT_SECONDS = 15.0
_LOOK_SECONDS = 2.0
"""The database is looked at this often even without a hint: one may be lost."""
_GATHER_SECONDS = 0.2
"""Who watches many jobs is told of all that happened within so long at once."""
_PAGE = 500
_SETTLE_SECONDS = 5.0
"""An event may be committed after one with a higher id; so rows younger than this are looked at again."""


class Told(NamedTuple):
    """One event."""

    id: int
    """What a reader resumes after."""
    job: str
    type: str
    data: dict[str, Any]
    """With `at`, when it happened, in Unix seconds."""


def format_event(id: int | None, type: str, data: object) -> bytes:
    """One server-sent event. JSON escapes line breaks, so `data` is always one line."""
    head = "" if id is None else f"id: {id}\n"
    return f"{head}event: {type}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


class _Reader:
    """Reads the events that are `wanted` after an id: each exactly once, also those committed out of order."""

    def __init__(self, db: Database, wanted: ColumnElement[bool], after_id: int) -> None:
        self._db, self._wanted = db, wanted
        self._floor = after_id
        """Everything up to this id was read or asked to be left out."""
        self._seen: dict[int, float] = {}
        self.last = after_id
        """What a reader resumes after."""

    def read(self) -> list[Told]:
        """New events."""
        with self._db.read() as session:
            rows = session.execute(
                select(Event.id, Event.job_id, Event.type, Event.data, Event.created_at)
                .where(self._wanted, Event.id > self._floor)
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
        out = []
        for row in fresh:
            self.last = max(self.last, row.id)
            out.append(Told(self.last, row.job_id, row.type, {**row.data, "at": row.created_at}))
        return out


def _ended(db: Database, job_id: str) -> bool:
    with db.read() as session:
        state = session.scalar(select(Job.state).where(Job.id == job_id))
    return state is None or state in JOB_FINAL


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
    reader = _Reader(db, Event.job_id == job_id, after_id)

    def look() -> tuple[bool, list[Told]]:
        # The state first: an event that is written together with the last state is then surely read after it.
        return _ended(db, job_id), reader.read()

    # Sent at once, so that a reader behind a buffering proxy knows that it is connected.
    yield HEARTBEAT
    quiet_since = time.monotonic()
    with hints.listen(Hints.job(job_id)) as topic:
        while not stopping():
            ended, events = await asyncio.to_thread(look)
            for event in events:
                yield format_event(event.id, event.type, event.data)
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


async def changed_jobs(
    db: Database, hints: Hints, owner: str, after_id: int, *, stopping: Callable[[], bool] = lambda: False
) -> AsyncIterator[tuple[int, list[str]]]:
    """Which jobs of an account something happened to after an event, and what to resume after; several events of a
    job within a moment come as one. Empty lists are signs of life. Until `stopping()`."""
    reader = _Reader(db, Event.job_id.in_(select(Job.id).where(Job.owner == owner)), after_id)
    yield after_id, []
    quiet_since = time.monotonic()
    with hints.listen(Hints.ANY_JOB) as topic:
        while not stopping():
            events = await asyncio.to_thread(reader.read)
            if events:
                yield reader.last, list(dict.fromkeys(event.job for event in events))
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > _HEARTBEAT_SECONDS:
                yield reader.last, []
                quiet_since = time.monotonic()
            await asyncio.sleep(_GATHER_SECONDS)
            await topic.wait(_LOOK_SECONDS)
