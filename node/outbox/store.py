"""The outbox itself: an SQLite table of steps, and the files that they send.

Steps of one lease are sent in the order in which they were put in. All steps that belong together are put in by one
transaction, after their files are complete: what a crash leaves behind is either everything or nothing.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.outbox.acknowledgements import Acknowledgements

__all__ = ["Entry", "LeaseRef", "Outbox", "Step", "StepKind"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS leases (
    lease TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    job TEXT NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    heartbeat_seconds REAL NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,
    at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS steps (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    lease TEXT NOT NULL REFERENCES leases (lease) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    file TEXT
);
CREATE INDEX IF NOT EXISTS steps_lease ON steps (lease);
"""


class StepKind(StrEnum):
    """What is sent: the body is a message of jobs.wire (for uploads an Asset) as JSON."""

    COMMIT = "commit"
    UPLOAD = "upload"
    COMPLETE = "complete"
    FAIL = "fail"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class LeaseRef:
    """What is known of a lease after its offer is gone."""

    lease: str
    token: int
    job: str
    kind: str
    title: str
    """In words, for the log."""
    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    kind: StepKind
    body: str
    file: str | None = None
    """Name of a file in the lease's folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A step that waits to be sent."""

    seq: int
    ref: LeaseRef
    step: Step


class Outbox:
    """Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self._files = root / "files"
        self._files.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Condition()
        self._db = sqlite3.connect(root / "outbox.sqlite", check_same_thread=False, isolation_level=None)
        for statement in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "busy_timeout = 10000"):
            self._db.execute(f"PRAGMA {statement}")
        self._db.executescript(_SCHEMA)
        self.acknowledgements = Acknowledgements(root)
        self._sweep()

    def close(self) -> None:
        with self._lock:
            self._db.close()
            self.acknowledgements.close()

    def folder(self, lease: str) -> Path:
        """Where the files of a lease are written before its steps are put in."""
        if not lease.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"not a lease's id: {lease!r}")
        path = self._files / lease
        path.mkdir(exist_ok=True)
        return path

    def put(self, ref: LeaseRef, steps: Sequence[Step]) -> None:
        """Write down what is to be sent for a lease, all or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.execute(
                    "INSERT INTO leases (lease, token, job, kind, title, heartbeat_seconds, at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lease) DO NOTHING",
                    (ref.lease, ref.token, ref.job, ref.kind, ref.title, ref.heartbeat_seconds, time.time()),
                )
                self._db.executemany(
                    "INSERT INTO steps (lease, kind, body, file) VALUES (?, ?, ?, ?)",
                    [(ref.lease, str(step.kind), step.body, step.file) for step in steps],
                )
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._lock.notify_all()

    def next(self, *, wait_seconds: float = 0, skip: Collection[str] = ()) -> Entry | None:
        """The step to send now, or None when nothing came in `wait_seconds`. It stays until `done` or `drop`.

        `skip`: leases that are not to be tried at the moment.
        """
        with self._lock:
            entry = self._first(skip)
            if entry is None and wait_seconds > 0:
                self._lock.wait(wait_seconds)
                entry = self._first(skip)
            return entry

    def done(self, entry: Entry) -> None:
        """The step was taken. After a lease's last one its files go, and it waits for its verdict."""
        with self._lock:
            self._db.execute("DELETE FROM steps WHERE seq = ?", (entry.seq,))
            if entry.step.kind in (StepKind.COMPLETE, StepKind.FAIL, StepKind.RELEASE):
                self._db.execute("DELETE FROM steps WHERE lease = ?", (entry.ref.lease,))
                self._db.execute("UPDATE leases SET sent = 1, at = ? WHERE lease = ?", (time.time(), entry.ref.lease))
                shutil.rmtree(self._files / entry.ref.lease, ignore_errors=True)
            self._lock.notify_all()

    def drop(self, lease: str) -> None:
        """Forget a lease and all that belongs to it."""
        with self._lock:
            self._db.execute("DELETE FROM leases WHERE lease = ?", (lease,))
            shutil.rmtree(self._files / lease, ignore_errors=True)
            self._lock.notify_all()

    def holds(self, lease: str) -> bool:
        """Whether something of this lease still waits to be sent."""
        with self._lock:
            return bool(self._db.execute("SELECT 1 FROM steps WHERE lease = ? LIMIT 1", (lease,)).fetchone())

    def waiting(self) -> list[LeaseRef]:
        """Leases of which something waits to be sent, the oldest first."""
        return self._refs("EXISTS (SELECT 1 FROM steps WHERE steps.lease = leases.lease)")

    def sent(self) -> list[LeaseRef]:
        """Leases that were sent and whose verdict is awaited."""
        return self._refs("sent = 1")

    def wait_empty(self, seconds: float) -> bool:
        """Whether everything was sent within `seconds`."""
        until = time.monotonic() + seconds
        with self._lock:
            while self._first() is not None:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._lock.wait(left)
            return True

    def _refs(self, condition: str) -> list[LeaseRef]:
        with self._lock:
            rows = self._db.execute(
                "SELECT lease, token, job, kind, title, heartbeat_seconds FROM leases"  # noqa: S608 (our own text)
                f" WHERE {condition} ORDER BY at, lease"
            ).fetchall()
        return [LeaseRef(*row) for row in rows]

    def _first(self, skip: Collection[str] = ()) -> Entry | None:
        rows = self._db.execute(
            "SELECT seq, steps.kind, body, file, leases.lease, token, job, leases.kind, title, heartbeat_seconds"
            " FROM steps JOIN leases ON steps.lease = leases.lease ORDER BY seq"
        )
        for row in rows:
            if row[4] not in skip:
                return Entry(row[0], LeaseRef(*row[4:]), Step(StepKind(row[1]), row[2], row[3]))
        return None

    def _sweep(self) -> None:
        """Files of which no step speaks: a crash came between the file and its transaction."""
        known = {row[0] for row in self._db.execute("SELECT lease FROM leases WHERE sent = 0")}
        for folder in self._files.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
