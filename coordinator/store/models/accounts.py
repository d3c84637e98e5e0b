"""Who signs in, by which keys, and how they are told."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.store.models.base import Amount, Base

__all__ = ["Account", "ApiKey", "Notice", "NotifyTarget", "SignInNonce", "SignInSession"]


class Account(Base):
    """Anyone who signed in: an address is the identity of clients, nodes and owners alike."""

    __tablename__ = "accounts"

    address: Mapped[str] = mapped_column(String(42), primary_key=True)
    """Checksum address."""
    created_at: Mapped[float]


class SignInNonce(Base):
    __tablename__ = "sign_in_nonces"

    nonce: Mapped[str] = mapped_column(String(64), primary_key=True)
    address: Mapped[str] = mapped_column(String(42))
    message: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[float] = mapped_column(index=True)


class SignInSession(Base):
    __tablename__ = "sign_in_sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the bearer token: a copy of the table opens no door."""
    address: Mapped[str] = mapped_column(ForeignKey("accounts.address"))
    expires_at: Mapped[float] = mapped_column(index=True)
    api_key: Mapped[str | None] = mapped_column(String(24), index=True)
    """Set where a key opened the session: it ends with the key, and can do no more than it."""


class ApiKey(Base):
    """What a program or a page uses in an account's name, without its wallet."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    owner: Mapped[str] = mapped_column(ForeignKey("accounts.address"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of the key: a copy of the table opens no door."""
    spend_limit: Mapped[int | None] = mapped_column(Amount)
    """Units of KILN that all jobs ordered with it may cost together; None: no limit of its own."""
    calls_per_second: Mapped[float]
    calls_per_minute: Mapped[int | None]
    jobs_per_day: Mapped[int | None]
    micro_usd_per_day: Mapped[int | None]
    """Millionths of a USD, at the rate of each job's quote."""
    micro_usd_total: Mapped[int | None]
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]


class NotifyTarget(Base):
    """Where an account wants its notices."""

    __tablename__ = "notify_targets"

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    owner: Mapped[str] = mapped_column(ForeignKey("accounts.address"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    """webhook, email."""
    address: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(String(64))
    """Signs a webhook's notices; of an e-mail address the code that confirms it."""
    events: Mapped[list[Any]]
    tries: Mapped[int]
    """Wrong codes so far."""
    created_at: Mapped[float]
    confirmed_at: Mapped[float | None]


class Notice(Base):
    """What is to be sent to one target about one job."""

    __tablename__ = "notices"

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    target_id: Mapped[str] = mapped_column(ForeignKey("notify_targets.id"), index=True)
    job_id: Mapped[str] = mapped_column(String(24))
    body: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(10))
    """pending, sent, failed."""
    attempts: Mapped[int]
    next_at: Mapped[float]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[float]

    __table_args__ = (Index("ix_notices_due", "state", "next_at"),)
