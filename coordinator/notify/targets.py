"""Where an account wants its notices."""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlsplit

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.errors import Conflict, NotFound, SlowDown, Unprocessable
from coordinator.notify import mail
from coordinator.notify.guard import resolve
from coordinator.store.database import Database
from coordinator.store.models import Account, Notice, NotifyTarget
from jobs.errors import Refused
from jobs.wire import AddTarget, TargetAdded, TargetView

__all__ = ["add_target", "confirm_target", "remove_target", "target_views"]

_PER_ACCOUNT = 10
_TRIES = 5
_CODES_PER_DAY = 5
_DAY = 24 * 3600.0
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?\.[A-Za-z]{2,}"
)


def add_target(db: Database, settings: Settings, *, owner: str, body: AddTarget) -> TargetAdded:
    """A webhook, at once, with the secret that signs its notices; or an e-mail address, once the code that is mailed to
    it is confirmed. Raises Unprocessable `bad_target`, `private_address`; Conflict `no_smtp`; SlowDown; Unavailable."""
    address, now = body.address.strip(), db.now()
    web = address.lower().startswith(("http://", "https://"))
    secret = secrets.token_urlsafe(32) if web else f"{secrets.randbelow(10**8):08d}"
    if web:
        _check_url(settings, address)
    elif not _EMAIL.fullmatch(address):
        raise Unprocessable("address: write an https:// URL or an e-mail address", code="bad_target")
    row = NotifyTarget(
        id=f"t{secrets.token_hex(6)}", owner=owner, kind="webhook" if web else "email", address=address, secret=secret,
        events=sorted(set(body.events)), tries=0, created_at=now, confirmed_at=now if web else None,
    )  # fmt: skip
    message = None if web else mail.code_mail(settings, address, row.id, secret)

    def write(session: Session) -> None:
        if session.get(Account, owner) is None:
            session.add(Account(address=owner, created_at=now))
            session.flush()
        own = select(func.count()).where(NotifyTarget.owner == owner)
        if (session.scalar(own) or 0) >= _PER_ACCOUNT:
            raise SlowDown(f"this account has {_PER_ACCOUNT} targets; remove one with `kilnet notify remove`")
        # Mailed to anybody: counted by the address too, whoever asks, so that nobody is flooded.
        lately = (NotifyTarget.kind == "email") & (NotifyTarget.created_at > now - _DAY)
        asked = select(func.count()).where(lately, NotifyTarget.address == address, NotifyTarget.confirmed_at.is_(None))
        if not web and (session.scalar(asked) or 0) >= _CODES_PER_DAY:
            raise SlowDown("several codes were mailed to this address today; try again tomorrow", retry_after=_DAY)
        session.add(row)

    db.transact(write)
    if message is not None and settings.notify.smtp is not None:
        mail.send(settings.notify.smtp, message)
    with db.read() as session:
        return TargetAdded(secret=secret if web else None, target=_view(session, session.get_one(NotifyTarget, row.id)))


def _check_url(settings: Settings, address: str) -> None:
    try:
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not parts.hostname or parts.username or parts.password:
            raise ValueError
        resolve(parts.hostname, port, allow_private=settings.notify.allow_private)
    except Refused as error:
        raise Unprocessable(f"address: {error}", code=error.code) from error
    except (ValueError, UnicodeError):
        raise Unprocessable(
            "address: is no URL; write https://HOST/PATH, without a password", code="bad_target"
        ) from None
    except OSError:
        raise Unprocessable("address: its host is not found; check it", code="bad_target") from None


def confirm_target(db: Database, *, owner: str, target: str, code: str) -> TargetView:
    """The code was read. Raises NotFound, Conflict `wrong_code`, `too_many_tries`."""

    def write(session: Session) -> TargetView | None:
        row = _own(session, owner, target)
        if row.confirmed_at is None:
            if row.tries >= _TRIES:
                raise Conflict("too many wrong codes; remove the target and add it again", code="too_many_tries")
            if not secrets.compare_digest(row.secret.encode(), code.strip().encode()):
                row.tries += 1
                return None
            row.confirmed_at = db.now()
            session.flush()
        return _view(session, row)

    found = db.transact(write)
    if found is None:
        raise Conflict("this is not the code that was mailed; look again", code="wrong_code")
    return found


def remove_target(db: Database, *, owner: str, target: str) -> None:
    """Nothing more is sent there. Raises NotFound."""

    def write(session: Session) -> None:
        row = _own(session, owner, target)
        session.execute(delete(Notice).where(Notice.target_id == row.id))
        session.delete(row)

    db.transact(write)


def target_views(session: Session, owner: str) -> list[TargetView]:
    """The account's targets, the latest first."""
    rows = session.scalars(
        select(NotifyTarget)
        .where(NotifyTarget.owner == owner)
        .order_by(NotifyTarget.created_at.desc(), NotifyTarget.id)
    )
    return [_view(session, row) for row in rows]


def _own(session: Session, owner: str, target: str) -> NotifyTarget:
    row = session.get(NotifyTarget, target)
    if row is None or row.owner != owner:
        raise NotFound(f"you have no target {target[:40]!r}; `kilnet notify list` shows them")
    return row


def _view(session: Session, row: NotifyTarget) -> TargetView:
    by_state = select(Notice.state, func.count()).where(Notice.target_id == row.id).group_by(Notice.state)
    counts = {state: count for state, count in session.execute(by_state)}  # noqa: C416 - rows are no pairs to mypy
    last = select(Notice.error).where(Notice.target_id == row.id, Notice.error.is_not(None))
    return TargetView(
        id=row.id, kind=row.kind, address=row.address, events=tuple(row.events), confirmed=row.confirmed_at is not None,
        created_at=row.created_at, sent=counts.get("sent", 0), waiting=counts.get("pending", 0),
        given_up=counts.get("failed", 0),
        last_error=session.scalar(last.order_by(Notice.next_at.desc(), Notice.id).limit(1)),
    )  # fmt: skip
