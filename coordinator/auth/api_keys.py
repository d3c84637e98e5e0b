"""API keys: what a program or the page uses in an account's name, without its wallet.

A key is 256 random bits, shown once and stored as its SHA-256 only. It has a quota of calls, and a limit on what the
jobs that are ordered with it may cost together. An order still carries the wallet's signature; the limit holds
whatever program has both.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.errors import Forbidden, NotFound, SlowDown
from coordinator.store.database import Database
from coordinator.store.models import Account, ApiKey, Job
from jobs.pricing import display_kiln
from jobs.states import JOB_FINAL
from jobs.wire import ApiKeyCreated, ApiKeyView, CreateApiKey

__all__ = ["KEY_PREFIX", "charge", "create_key", "find_key", "key_views", "revoke_key"]

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
            spend_limit=body.spend_limit, calls_per_second=body.calls_per_second, created_at=now,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return _view(session, row)

    return ApiKeyCreated(key=key, info=db.transact(write))


def key_views(session: Session, owner: str) -> list[ApiKeyView]:
    """The account's keys, the latest first, revoked ones too."""
    rows = session.scalars(select(ApiKey).where(ApiKey.owner == owner).order_by(ApiKey.created_at.desc(), ApiKey.id))
    return [_view(session, row) for row in rows]


def revoke_key(db: Database, *, owner: str, key_id: str) -> ApiKeyView:
    """End a key and every session that it opened. Once more changes nothing. Raises NotFound."""

    def write(session: Session) -> ApiKeyView:
        row = session.get(ApiKey, key_id)
        if row is None or row.owner != owner:
            raise NotFound(f"you have no key {key_id[:40]!r}; `kilnet keys list` shows them")
        if row.revoked_at is None:
            row.revoked_at = db.now()
        return _view(session, row)

    return db.transact(write)


def find_key(session: Session, key: str) -> ApiKey | None:
    """The row of a key that is in use."""
    if not _KEY.fullmatch(key):
        return None
    row = session.scalars(select(ApiKey).where(ApiKey.key_hash == _hash(key))).one_or_none()
    return None if row is None or row.revoked_at is not None else row


def charge(session: Session, key_id: str, cap: int) -> None:
    """Whether an order of `cap` units more is within the key's limit; the caller then names the key in the job, in
    this transaction. Raises Forbidden `spend_limit`, `key_revoked`."""
    statement = select(ApiKey).where(ApiKey.id == key_id).execution_options(populate_existing=True)
    if session.get_bind().dialect.name == "postgresql":
        # Two orders at once must not both fit into what is left.
        statement = statement.with_for_update()
    row = session.scalars(statement).one()
    if row.revoked_at is not None:
        raise Forbidden("this API key was revoked; use another", code="key_revoked")
    if row.spend_limit is None:
        return
    spent = _spent(session, row.id)
    if spent + cap > row.spend_limit:
        raise Forbidden(
            f"the API key {row.name!r} may order for {display_kiln(row.spend_limit)} KILN, "
            f"{display_kiln(spent)} of it are used, and this job's cap is {display_kiln(cap)}: "
            "lower the cap, or create a key with a higher limit",
            code="spend_limit",
        )


def _spent(session: Session, key_id: str) -> int:
    """Units: of ended jobs what they cost, of others what they may cost."""
    total = 0
    rows = session.execute(select(Job.state, Job.cap, Job.settlement).where(Job.api_key == key_id))
    for state, cap, settlement in rows:
        ended = state in JOB_FINAL
        total += int((settlement or {}).get("price", 0)) if ended else cap or 0
    return total


def _view(session: Session, row: ApiKey) -> ApiKeyView:
    return ApiKeyView(
        id=row.id, name=row.name, spend_limit=row.spend_limit, spent=_spent(session, row.id),
        calls_per_second=row.calls_per_second, created_at=row.created_at, revoked_at=row.revoked_at,
    )  # fmt: skip


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
