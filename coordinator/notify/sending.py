"""Sending what is due: taken from the database, so that nothing is lost where a process ends, and at least once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import structlog
from sqlalchemy import delete, select, update

from coordinator.config import Settings
from coordinator.notify import mail, webhook
from coordinator.store.database import Database
from coordinator.store.models import Notice, NotifyTarget
from jobs.errors import KilnetError, Refused

__all__ = ["send_due"]

_BATCH = 32
_PARALLEL = 8
_HELD_SECONDS = 120.0
"""Who takes a notice has it for so long; then it is taken for not sent."""
_FIRST_PAUSE, _FACTOR, _LONGEST_PAUSE = 10.0, 3.0, 6 * 3600.0
_ATTEMPTS = 15
"""With those pauses: somewhat more than two days."""
_KEPT_SECONDS = 30 * 24 * 3600.0
_log = structlog.get_logger(__name__)


class _Due(NamedTuple):
    id: str
    kind: str
    address: str
    secret: str
    body: dict[str, object]
    attempts: int


def send_due(db: Database, settings: Settings) -> int:
    """Send what is due now; how many were taken by the other side. May run several times at once."""
    due = _take(db)
    if not due:
        return 0
    with ThreadPoolExecutor(min(_PARALLEL, len(due)), thread_name_prefix="notify") as pool:
        return sum(pool.map(lambda one: _send(db, settings, one), due))


def _take(db: Database) -> list[_Due]:
    now, taken = db.now(), []
    with db.begin() as session:
        session.execute(delete(Notice).where(Notice.state != "pending", Notice.next_at < now - _KEPT_SECONDS))
        rows = session.execute(
            select(Notice, NotifyTarget)
            .join(NotifyTarget, NotifyTarget.id == Notice.target_id)
            .where(Notice.state == "pending", Notice.next_at <= now)
            .order_by(Notice.next_at)
            .limit(_BATCH)
        ).all()
        for notice, target in rows:
            # Only one of several senders moves the time on.
            held = session.execute(
                update(Notice)
                .where(Notice.id == notice.id, Notice.state == "pending", Notice.attempts == notice.attempts)
                .values(next_at=now + _HELD_SECONDS, attempts=Notice.attempts + 1)
                .execution_options(synchronize_session=False)
            )
            if held.rowcount == 1:  # type: ignore[attr-defined]
                taken.append(
                    _Due(notice.id, target.kind, target.address, target.secret, notice.body, notice.attempts + 1)
                )
    return taken


def _send(db: Database, settings: Settings, due: _Due) -> bool:
    error: KilnetError | None = None
    try:
        if due.kind == "webhook":
            webhook.post(due.address, due.secret, due.body, allow_private=settings.notify.allow_private)
        else:
            message = mail.notice_mail(settings, due.address, due.body)
            assert settings.notify.smtp is not None
            mail.send(settings.notify.smtp, message)
    except KilnetError as failed:
        error = failed
    now = db.now()
    over = isinstance(error, Refused) or due.attempts >= _ATTEMPTS
    pause = min(_FIRST_PAUSE * _FACTOR ** (due.attempts - 1), _LONGEST_PAUSE)
    with db.begin() as session:
        session.execute(
            update(Notice)
            .where(Notice.id == due.id)
            .values(
                state="sent" if error is None else "failed" if over else "pending",
                error=None if error is None else str(error)[:500], next_at=now if error is None else now + pause,
            )
        )  # fmt: skip
    if error is not None:
        _log.info("notice_not_sent", notice=due.id, attempts=due.attempts, error=str(error), given_up=over)
    return error is None
