"""Sign-in: a text that names origin, address and a nonce is signed once, a bearer token is given for it.

The token is 256 random bits and stored as its SHA-256 only; it is found by that hash, so that neither a copy of the
table nor the time that a look-up takes says anything about a token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import UTC, datetime
from typing import NamedTuple

from eth_utils.address import to_checksum_address
from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite

from coordinator.auth.api_keys import KEY_PREFIX, find_key
from coordinator.config import Settings
from coordinator.errors import NotSignedIn
from coordinator.store.database import Database
from coordinator.store.models import Account, ApiKey, SignInNonce, SignInSession
from jobs.typed_data import recover_text
from jobs.wire import Login, Nonce, Session

__all__ = [
    "Caller", "KeyUse", "PageSession", "forget_expired", "issue_nonce", "issue_page_code", "login", "open_with_code",
    "open_with_key", "sign_out", "who",
]  # fmt: skip

NONCE_SECONDS = 300.0
SESSION_SECONDS = 24 * 3600.0
_NONCE = re.compile(r"^Nonce: ([0-9a-f]{32})$", re.MULTILINE)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_PAGE_CODE = "a code for the page"
"""In the place of a sign-in text: nobody can sign it."""


class KeyUse(NamedTuple):
    """The API key behind a call."""

    id: str
    calls_per_second: float
    calls_per_minute: int | None = None


class Caller(NamedTuple):
    """The account behind a call."""

    address: str
    """Checksum address."""
    trusted: bool
    """One of the coordinator's own workers."""
    key: KeyUse | None = None
    """The API key it came by; None for the wallet itself."""


class PageSession(NamedTuple):
    """A session of the page, and whose it is."""

    token: str
    expires_at: float
    address: str


def issue_nonce(db: Database, settings: Settings, address: str) -> Nonce:
    """The text that `address` has to sign to sign in here; good once, for five minutes."""
    address = to_checksum_address(address)
    now = db.now()
    expires_at = now + NONCE_SECONDS
    nonce = secrets.token_hex(16)
    message = (
        f"{settings.origin} asks you to sign in to kilnet with your account\n{address}\n\n"
        "Signing this costs nothing and allows nothing but to act as this account at that address.\n\n"
        f"Nonce: {nonce}\nExpires: {_date(expires_at)}"
    )
    with db.begin() as session:
        session.add(SignInNonce(nonce=nonce, address=address, message=message, expires_at=expires_at))
    return Nonce(message=message, expires_at=expires_at)


def login(db: Database, settings: Settings, body: Login) -> Session:
    """A session for a signed text of `issue_nonce`. Raises NotSignedIn: `nonce_lapsed` where the text was not given
    out for this address, was used or is too old; `bad_signature`."""
    address = to_checksum_address(body.address)
    now = db.now()
    # Taken in a transaction of its own: a text with a wrong signature is used up as well.
    if not _take_nonce(db, settings, address=address, message=body.message, now=now):
        raise NotSignedIn(
            "this sign-in text is not known, was used or is too old; ask for another", code="nonce_lapsed"
        )
    if recover_text(body.message, body.signature) != address:
        raise NotSignedIn(
            f"the signature is not that of {address} over the text; sign the text as it was sent", code="bad_signature"
        )
    opened = _open(db, address, None)
    return Session(token=opened.token, expires_at=opened.expires_at, trusted=_trusted(settings, address))


def open_with_key(db: Database, key: str) -> PageSession:
    """A session that ends with the API key at the latest. Raises NotSignedIn `bad_key`."""
    with db.read() as session:
        row = find_key(session, key)
    if row is None:
        raise NotSignedIn(
            "this API key is not known here or was revoked; `kilnet keys create` makes one", code="bad_key"
        )
    return _open(db, row.owner, row.id)


def issue_page_code(db: Database, *, address: str) -> tuple[str, float]:
    """A code that opens the page in this account's name, once, within five minutes; and when it lapses."""
    code, expires_at = secrets.token_urlsafe(32), db.now() + NONCE_SECONDS
    with db.begin() as session:
        session.add(SignInNonce(nonce=_hash(code), address=address, message=_PAGE_CODE, expires_at=expires_at))
    return code, expires_at


def open_with_code(db: Database, code: str) -> PageSession:
    """A session for a code of `issue_page_code`. Raises NotSignedIn `code_lapsed`."""
    with db.begin() as session:
        row = session.execute(
            delete(SignInNonce)
            .where(SignInNonce.nonce == _hash(code), SignInNonce.message == _PAGE_CODE)
            .returning(SignInNonce.address, SignInNonce.expires_at)
        ).one_or_none()
    if row is None or row.expires_at <= db.now():
        raise NotSignedIn("this link was used or is too old; `kilnet page` prints a new one", code="code_lapsed")
    return _open(db, row.address, None)


def sign_out(db: Database, token: str) -> None:
    """End a session."""
    with db.begin() as session:
        session.execute(delete(SignInSession).where(SignInSession.token_hash == _hash(token)))


def _open(db: Database, address: str, api_key: str | None) -> PageSession:
    now = db.now()
    token = secrets.token_urlsafe(32)
    insert = postgresql.insert if db.is_postgresql else sqlite.insert
    with db.begin() as session:
        session.execute(insert(Account).on_conflict_do_nothing(), {"address": address, "created_at": now})
        session.add(
            SignInSession(token_hash=_hash(token), address=address, expires_at=now + SESSION_SECONDS, api_key=api_key)
        )
    return PageSession(token, now + SESSION_SECONDS, address)


def who(db: Database, settings: Settings, token: str) -> Caller:
    """The account that a bearer token (of a session, or an API key) stands for. Raises NotSignedIn."""
    if token.startswith(KEY_PREFIX):
        with db.read() as session:
            key = find_key(session, token)
        if key is None:
            raise NotSignedIn("this API key is not known here or was revoked; use another", code="bad_key")
        return _with_key(key)
    if not _TOKEN.fullmatch(token):
        raise NotSignedIn
    with db.read() as session:
        row = session.get(SignInSession, _hash(token))
        key = session.get(ApiKey, row.api_key) if row is not None and row.api_key else None
    if row is None or row.expires_at <= db.now() or (key is not None and key.revoked_at is not None):
        raise NotSignedIn
    return Caller(row.address, _trusted(settings, row.address)) if key is None else _with_key(key)


def _with_key(key: ApiKey) -> Caller:
    # What a trusted worker may do is never lent to a key.
    return Caller(key.owner, False, KeyUse(key.id, key.calls_per_second, key.calls_per_minute))


def forget_expired(db: Database) -> int:
    """Remove nonces and sessions that are over; how many."""
    now = db.now()
    with db.begin() as session:
        nonces = delete(SignInNonce).where(SignInNonce.expires_at <= now).returning(SignInNonce.nonce)
        sessions = delete(SignInSession).where(SignInSession.expires_at <= now).returning(SignInSession.token_hash)
        return len(session.scalars(nonces).all()) + len(session.scalars(sessions).all())


def _take_nonce(db: Database, settings: Settings, *, address: str, message: str, now: float) -> bool:
    """Use up the nonce that the message names; whether it was given out for just this text and is still good."""
    found = _NONCE.search(message)
    if found is None or not message.startswith(f"{settings.origin} "):
        return False
    with db.begin() as session:
        row = session.execute(
            delete(SignInNonce)
            .where(SignInNonce.nonce == found[1], SignInNonce.address == address)
            .returning(SignInNonce.message, SignInNonce.expires_at)
        ).one_or_none()
    return row is not None and row.expires_at > now and hmac.compare_digest(row.message.encode(), message.encode())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _trusted(settings: Settings, address: str) -> bool:
    return address.lower() in {trusted.lower() for trusted in settings.trusted}


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
