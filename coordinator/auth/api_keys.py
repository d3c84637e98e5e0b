"""API keys: what a program or the page uses in an account's name, without its wallet.

A key is 256 random bits, shown once and stored as its SHA-256 only. It has a quota of calls and of jobs, and limits on
what the jobs that are ordered with it may cost (coordinator.auth.key_limits). An order still carries the wallet's
signature; the limits hold whatever program has both.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.auth.key_limits import key_view
from coordinator.errors import NotFound, SlowDown
from coordinator.store.database import Database
from coordinator.store.models import Account, ApiKey
from jobs.pricing import MICRO
from jobs.wire import ApiKeyCreated, ApiKeyView, CreateApiKey

__all__ = ["KEY_PREFIX", "create_key", "find_key", "key_views", "revoke_key"]

KEY_PREFIX = "kilnet_"
_KEY = re.compile(rf"{KEY_PREFIX}[A-Za-z0-9_-]{{43}}")
_KEYS_PER_ACCOUNT = 50


def create_key(db: Database, *, owner: str, body: CreateApiKey) -> ApiKeyCreated:
    """A new key of this account. Raises SlowDown where it has too many that are in use."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    now = db.now()

    def write(session: Session) -> ApiKeyView:
        if session.get(Account, owner) is None:
            session.add(Account(address=owner, created_at=now))
            session.flush()
        in_use = select(func.count()).where(ApiKey.owner == owner, ApiKey.revoked_at.is_(None))
        if (session.scalar(in_use) or 0) >= _KEYS_PER_ACCOUNT:
            raise SlowDown(f"this account has {_KEYS_PER_ACCOUNT} keys in use; revoke one with `kilnet keys revoke`")
        row = ApiKey(
            id=f"k{secrets.token_hex(6)}", owner=owner, name=body.name, key_hash=_hash(key),
            spend_limit=body.spend_limit, calls_per_second=body.calls_per_second,
            calls_per_minute=body.calls_per_minute, jobs_per_day=body.jobs_per_day,
            micro_usd_per_day=None if body.usd_per_day is None else int(body.usd_per_day * MICRO),
            micro_usd_total=None if body.usd_total is None else int(body.usd_total * MICRO), created_at=now,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return key_view(session, row, now=now)

    return ApiKeyCreated(key=key, info=db.transact(write))


def key_views(session: Session, owner: str, *, now: float) -> list[ApiKeyView]:
    """The account's keys, the latest first, revoked ones too."""
    rows = session.scalars(select(ApiKey).where(ApiKey.owner == owner).order_by(ApiKey.created_at.desc(), ApiKey.id))
    return [key_view(session, row, now=now) for row in rows]


def revoke_key(db: Database, *, owner: str, key_id: str) -> ApiKeyView:
    """End a key and every session that it opened. Once more changes nothing. Raises NotFound."""

    def write(session: Session) -> ApiKeyView:
        row = session.get(ApiKey, key_id)
        if row is None or row.owner != owner:
            raise NotFound(f"you have no key {key_id[:40]!r}; `kilnet keys list` shows them")
        if row.revoked_at is None:
            row.revoked_at = db.now()
        return key_view(session, row, now=db.now())

    return db.transact(write)


def find_key(session: Session, key: str) -> ApiKey | None:
    """The row of a key that is in use."""
    if not _KEY.fullmatch(key):
        return None
    row = session.scalars(select(ApiKey).where(ApiKey.key_hash == _hash(key))).one_or_none()
    return None if row is None or row.revoked_at is not None else row


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
