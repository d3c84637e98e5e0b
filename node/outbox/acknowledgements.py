"""The coordinator's words for what was delivered to it: kept until they are worthless, whatever becomes of the gateway.

A database of its own beside the outbox, so that `kilnet node claims` can read it while the agent runs.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from jobs.typed_data import acknowledgement_message, recover
from jobs.wire import Acknowledgement

__all__ = ["Acknowledgements", "Kept", "sound"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS acknowledgements (
    lease TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    at REAL NOT NULL
);
"""
_KEEP_SECONDS = 400 * 24 * 3600.0
"""Longer than any job can take that the bond stands for."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A word, and of what it is, for people."""

    told: Acknowledgement
    title: str


class Acknowledgements:
    """Safe to use from several threads and processes."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(root / "acknowledgements.sqlite", check_same_thread=False, isolation_level=None)
        for statement in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 10000"):
            self._db.execute(f"PRAGMA {statement}")
        self._db.executescript(_SCHEMA)
        self._db.execute("DELETE FROM acknowledgements WHERE at < ?", (time.time() - _KEEP_SECONDS,))

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def keep(self, told: Acknowledgement, title: str) -> None:
        """Write it down; on disk when this returns."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO acknowledgements (lease, title, body, at) VALUES (?, ?, ?, ?)",
                (told.lease, title, told.model_dump_json(), time.time()),
            )

    def drop(self, lease: str) -> None:
        """It is worthless: the tile was refused, or its job is paid."""
        with self._lock:
            self._db.execute("DELETE FROM acknowledgements WHERE lease = ?", (lease,))

    def all(self) -> list[Kept]:
        """All that are kept, the oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT body, title FROM acknowledgements ORDER BY at, lease").fetchall()
        return [Kept(Acknowledgement.model_validate_json(body), title) for body, title in rows]


def sound(told: Acknowledgement) -> bool:
    """Whether it is signed by whom it names."""
    message = acknowledgement_message(
        chain_id=told.chain_id, bond=told.bond, job=told.job, tile=told.tile, lease=told.lease, node=told.node,
        root=bytes.fromhex(told.root.removeprefix("0x")), amount=told.amount,
    )  # fmt: skip
    return recover(message, told.signature) == told.signer
