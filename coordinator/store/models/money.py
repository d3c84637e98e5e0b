"""What was earned, sent to the chain and paid out."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.store.models.base import Amount, Base

__all__ = ["ChainTransaction", "Epoch", "Receipt", "Reward"]


class Receipt(Base):
    """A tile passed. Written in the transaction that accepts the lease; at most one per tile."""

    __tablename__ = "receipts"

    work_id: Mapped[int] = mapped_column(ForeignKey("work.id"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    tile: Mapped[int]
    attempt: Mapped[int]
    lease_id: Mapped[str] = mapped_column(ForeignKey("leases.id"))
    node: Mapped[str] = mapped_column(String(42), index=True)
    owner: Mapped[str] = mapped_column(String(42))
    commitment: Mapped[str] = mapped_column(String(66))
    price: Mapped[int] = mapped_column(Amount)
    lane: Mapped[str] = mapped_column(String(12))
    auditor: Mapped[str | None] = mapped_column(String(42))
    signature: Mapped[str] = mapped_column(String(132))
    leaf: Mapped[str] = mapped_column(String(66))
    created_at: Mapped[float]
    epoch: Mapped[int | None] = mapped_column(index=True)
    """The epoch whose reward root pays it; None until its job is finalized and an epoch takes it."""
    withdrawn: Mapped[str | None] = mapped_column(Text)
    """Why it is no part of the job's proposal, and never paid."""


class ChainTransaction(Base):
    """A transaction of ours, written down before it is sent: after a crash the very same bytes are sent again."""

    __tablename__ = "chain_transactions"

    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    """What it is for, such as `finalize:JOB`: once each."""
    nonce: Mapped[int] = mapped_column(unique=True)
    hash: Mapped[str] = mapped_column(String(66))
    raw: Mapped[bytes]
    state: Mapped[str] = mapped_column(String(10), index=True)
    """prepared, sent, mined, failed."""
    result: Mapped[dict[str, Any] | None]
    created_at: Mapped[float]
    sent_at: Mapped[float | None]
    """When these bytes went out first; from then on it counts how long they are stuck."""
    replaced: Mapped[list[Any] | None]
    """Hashes of the same call at lower fees, which may still be mined in its place."""


class Epoch(Base):
    """One cumulative reward root."""

    __tablename__ = "epochs"

    number: Mapped[int] = mapped_column(primary_key=True)
    root: Mapped[str] = mapped_column(String(66))
    total: Mapped[int] = mapped_column(Amount)
    tx: Mapped[str | None] = mapped_column(String(66))
    state: Mapped[str] = mapped_column(String(10))
    """posting, posted."""
    created_at: Mapped[float]


class Reward(Base):
    """Cumulative reward of one account as of one epoch."""

    __tablename__ = "rewards"

    epoch: Mapped[int] = mapped_column(ForeignKey("epochs.number"), primary_key=True)
    account: Mapped[str] = mapped_column(String(42), primary_key=True)
    cumulative: Mapped[int] = mapped_column(Amount)
