"""Writing events: a row in the caller's transaction, and a hint once it is committed."""

from __future__ import annotations

import functools
import time
from typing import Any

from sqlalchemy.orm import Session

from coordinator.events.publish import WAKE, current, job_topic
from coordinator.store.database import on_commit
from coordinator.store.models import Event

__all__ = ["record", "wake", "wake_after_commit"]

_HINTS = "kilnet.hints"
"""Key in Session.info: the topics to hint at once the transaction is committed."""


def record(session: Session, job_id: str, type: str, data: dict[str, Any]) -> None:
    """Write an event (`job`, `tile` or `output`) in the session's transaction.

    `data` is what clients are sent: JSON, with amounts as strings. Nothing is sent where the transaction rolls back.
    """
    session.add(Event(job_id=job_id, type=type, data=data, created_at=time.time()))
    _hint(session, job_topic(job_id))


def wake_after_commit(session: Session) -> None:
    """Let workers that wait for a lease look again once this transaction is committed."""
    _hint(session, WAKE)


def wake(kind: str = "") -> None:
    """Let workers that wait for a lease look again now; `kind` (of work) is for the reader of the calling code."""
    del kind
    publisher = current()
    if publisher is not None:
        publisher.send([WAKE])


def _hint(session: Session, topic: str) -> None:
    topics: set[str] | None = session.info.get(_HINTS)
    if topics is None:
        topics = session.info[_HINTS] = set()
        on_commit(session, functools.partial(_send, topics))
    topics.add(topic)


def _send(topics: set[str]) -> None:
    publisher = current()
    if publisher is not None:
        publisher.send(sorted(topics))
