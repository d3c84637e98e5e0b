"""Machines, their operators, what they were promised and what counts against them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.store.models.base import Amount, Base

__all__ = ["Award", "Node", "Operator", "Strike"]


class Node(Base):
    """A registered worker."""

    __tablename__ = "nodes"

    address: Mapped[str] = mapped_column(String(42), primary_key=True)
    owner: Mapped[str] = mapped_column(String(42), index=True)
    name: Mapped[str] = mapped_column(String(100))
    trusted: Mapped[bool]
    sandboxed: Mapped[bool]
    registration: Mapped[dict[str, Any]]
    """jobs.wire.RegisterNode."""
    ask_usd_per_kiln_hour: Mapped[float]
    region: Mapped[str] = mapped_column(String(100))
    registered_at: Mapped[float]
    last_seen: Mapped[float] = mapped_column(index=True)
    accepted: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    suspicion: Mapped[int] = mapped_column(default=0)
    """Raised by a refusal, lowered by accepted tiles: more cells are drawn while it is above 0."""
    suspended: Mapped[str | None] = mapped_column(Text)
    """Why it gets no paid work."""
    audits: Mapped[int] = mapped_column(default=0)
    """Audits that it has done."""
    barred: Mapped[str | None] = mapped_column(Text)
    """Why it is given no audits any more."""
    operator: Mapped[str | None] = mapped_column(String(42))
    """Who answers for its key on chain, as it was looked up last."""


class Operator(Base):
    """An owner as the chain has it, as it was looked up last: claims are answered without asking the chain."""

    __tablename__ = "operators"

    address: Mapped[str] = mapped_column(String(42), primary_key=True)
    registered: Mapped[bool]
    staked: Mapped[int] = mapped_column(Amount)
    """Its own active stake."""
    looked_at: Mapped[float] = mapped_column(index=True)


class Award(Base):
    """A job that an operator works on, and the stake that is locked for it until the job is final."""

    __tablename__ = "awards"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    operator: Mapped[str] = mapped_column(String(42), primary_key=True, index=True)
    stake: Mapped[int] = mapped_column(Amount)
    state: Mapped[str] = mapped_column(String(10), index=True)
    """wanted, locked, refused (the chain would not), passed (the job was over first), released."""
    reason: Mapped[str | None] = mapped_column(Text)
    tx: Mapped[str | None] = mapped_column(String(66))
    created_at: Mapped[float]
    """When it was wanted; of one that was refused, when that was."""


class Strike(Base):
    """Something that counts against a worker, with all that is needed to show it. Rows are never deleted: what is
    slashed for is read from here."""

    __tablename__ = "strikes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    node: Mapped[str] = mapped_column(ForeignKey("nodes.address"), index=True)
    owner: Mapped[str] = mapped_column(String(42))
    kind: Mapped[str] = mapped_column(String(20))
    """jobs.states.StrikeKind."""
    key: Mapped[str] = mapped_column(String(160), unique=True)
    """Makes it once: the kind, the lease, and what else tells one from another."""
    job_id: Mapped[str] = mapped_column(String(24), index=True)
    lease_id: Mapped[str] = mapped_column(String(24), index=True)
    tile: Mapped[int]
    lane: Mapped[str | None] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(Text)
    evidence: Mapped[dict[str, Any]]
    """Signed statements and their signatures, or cells, what was claimed and what came out."""
    auditor: Mapped[str | None] = mapped_column(String(42))
    state: Mapped[str] = mapped_column(String(10))
    """jobs.states.StrikeState."""
    confirmed_by: Mapped[str | None] = mapped_column(String(42))
    counted: Mapped[bool] = mapped_column(default=False)
    """It has raised the worker's suspicion."""
    slashable: Mapped[bool] = mapped_column(default=False)
    """Signed contradictions, and refusals by bits that a second auditor of the class confirmed."""
    dispute: Mapped[str | None] = mapped_column(String(10), index=True)
    """Of what the chain itself can check: wanted, proven (and slashed), refused; None where it cannot."""
    dispute_reason: Mapped[str | None] = mapped_column(Text)
    dispute_tx: Mapped[str | None] = mapped_column(String(66))
    slashed: Mapped[int | None] = mapped_column(Amount)
    """What all who stake with the operator lost by it."""
    created_at: Mapped[float]
    decided_at: Mapped[float | None]
