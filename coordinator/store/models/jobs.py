"""Jobs, their work, who has it, and what came of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.store.models.base import Amount, Base

__all__ = ["Event", "Job", "Lease", "Output", "Work"]


class Job(Base):
    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    owner: Mapped[str] = mapped_column(ForeignKey("accounts.address"), index=True)
    idempotency_key: Mapped[str] = mapped_column(String(100))
    request_sha256: Mapped[str | None] = mapped_column(String(64))
    """Of spec and manifest as they were sent: the same key with others is a mistake of the sender."""
    made_with: Mapped[str | None] = mapped_column(String(24), index=True)
    """The API key that asked for the quote."""
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(200))
    spec: Mapped[dict[str, Any]]
    manifest: Mapped[dict[str, Any]]
    """jobs.manifest.Manifest; after a bake or an instrumentation, with the replaced main file."""
    state: Mapped[str] = mapped_column(String(20), index=True)
    version: Mapped[int] = mapped_column(default=0)
    """Grows with each change of state; a change that names an old version touches no row."""
    outcome: Mapped[str | None] = mapped_column(String(20))
    """While settling: the final state that follows."""
    error_code: Mapped[str | None] = mapped_column(String(100))
    error: Mapped[str | None] = mapped_column(Text)
    description: Mapped[dict[str, Any] | None]
    contract: Mapped[dict[str, Any] | None]
    cost: Mapped[dict[str, Any] | None]
    """jobs.planner cost, in seconds at score 1.0."""
    quote: Mapped[dict[str, Any] | None]
    order: Mapped[dict[str, Any] | None]
    """jobs.wire.AcceptJob."""
    api_key: Mapped[str | None] = mapped_column(String(24), index=True)
    """With which key it was ordered: what it costs counts towards that key's limit."""
    frames: Mapped[list[Any] | None]
    cap: Mapped[int | None] = mapped_column(Amount)
    price: Mapped[int | None] = mapped_column(Amount)
    """What it would cost if every tile passed; what is settled is the sum of the receipts."""
    lowered_cap: Mapped[int | None] = mapped_column(Amount)
    """Below `cap`, where the client set one after the order: nothing is begun that might go over it."""
    priority: Mapped[int] = mapped_column(default=0)
    """Among its owner's jobs, the higher first."""
    deadline: Mapped[float | None]
    created_at: Mapped[float] = mapped_column(index=True)
    accepted_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    compute_seconds: Mapped[float] = mapped_column(default=0)
    """Worker time of accepted tiles."""
    audit_seconds: Mapped[float] = mapped_column(default=0)
    receipt_root: Mapped[str | None] = mapped_column(String(66))
    settlement: Mapped[dict[str, Any] | None]
    """jobs.wire.SettlementView, as far as it is known."""

    __table_args__ = (UniqueConstraint("owner", "idempotency_key"),)


class Work(Base):
    """Something that can be leased. For tiles also the tile's row: its place, its price, what was taken for it."""

    __tablename__ = "work"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    kind: Mapped[str] = mapped_column(String(10))
    index: Mapped[int] = mapped_column(default=0)
    """Tiles: number within the job. Assemble: the frame's position. Unique with job and kind (audits: per lease)."""
    key: Mapped[str] = mapped_column(String(64))
    """Makes creation idempotent: the same (job, kind, key) is created once."""
    state: Mapped[str] = mapped_column(String(10))
    version: Mapped[int] = mapped_column(default=0)
    priority: Mapped[int] = mapped_column(default=0)
    trusted: Mapped[bool]
    """Given to trusted workers only."""
    numerics_class: Mapped[str | None] = mapped_column(String(200))
    """Given to this class only; for tiles fixed by the first lease of their frame, so that no frame mixes classes."""
    runtime: Mapped[str] = mapped_column(String(40))
    """Runtime and version that it needs, such as blender-5.2.3 or onnxruntime-1.31.1."""
    payload: Mapped[dict[str, Any]]
    """tile: jobs.tiles.Tile; audit: AuditCells; others: params of the lease."""
    expected_seconds: Mapped[float]
    """At score 1.0."""
    next_token: Mapped[int] = mapped_column(default=1)
    """Fencing token of the next lease."""
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[float] = mapped_column(default=0)
    excluded: Mapped[list[Any]] = mapped_column(default=list)
    """Addresses and owners that may not have it: who failed it, who is audited."""
    audited_lease: Mapped[str | None] = mapped_column(String(24), index=True)
    """Audits and reproductions: the lease that is checked."""
    purpose: Mapped[str | None] = mapped_column(String(10))
    """Audits: jobs.states.AuditPurpose; the auditor is never told."""
    for_node: Mapped[str | None] = mapped_column(String(42))
    """Audits: the stranger who was drawn for it, and nobody else."""
    price: Mapped[int | None] = mapped_column(Amount)
    """Tiles: units of KILN when it passes."""
    accepted_lease: Mapped[str | None] = mapped_column(String(24))
    result: Mapped[dict[str, Any] | None]
    created_at: Mapped[float]
    finished_at: Mapped[float | None]

    __table_args__ = (
        UniqueConstraint("job_id", "kind", "key"),
        Index("work_claim", "state", "trusted", "runtime", "priority", "id"),
        Index("work_job", "job_id", "kind", "state"),
    )


class Lease(Base):
    """One attempt of one worker at one piece of work."""

    __tablename__ = "leases"

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    work_id: Mapped[int] = mapped_column(ForeignKey("work.id"), index=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    node: Mapped[str] = mapped_column(ForeignKey("nodes.address"), index=True)
    token: Mapped[int]
    attempt: Mapped[int]
    numerics_class: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(10), index=True)
    version: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)
    last_expiry: Mapped[float]
    """No heartbeat renews beyond this: three times the expected time."""
    progress: Mapped[float] = mapped_column(default=0)
    progress_at: Mapped[float | None]
    """When the worker said so first."""
    detail: Mapped[str] = mapped_column(String(200), default="")
    secret: Mapped[bytes]
    root: Mapped[str | None] = mapped_column(String(66))
    node_signature: Mapped[str | None] = mapped_column(String(132))
    completion_signature: Mapped[str | None] = mapped_column(String(132))
    """The worker's, that `blob` is what it delivered for `root`."""
    committed_at: Mapped[float | None]
    seconds: Mapped[float | None]
    """Time that the work took, as the worker says."""
    blob: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 of the uploaded, compressed result."""
    cells: Mapped[list[Any] | None]
    """The drawn challenge."""
    lane: Mapped[str | None] = mapped_column(String(12))
    verdict: Mapped[str | None] = mapped_column(String(10))
    reason: Mapped[str | None] = mapped_column(Text)
    evidence: Mapped[dict[str, Any] | None]
    finished_at: Mapped[float | None]


class Output(Base):
    """A delivered file."""

    __tablename__ = "outputs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    path: Mapped[str] = mapped_column(String(1024), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    frame: Mapped[int | None]
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    created_at: Mapped[float]


class Event(Base):
    """What people watch: read in order of id, resumed after the last one seen."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(String(24))
    type: Mapped[str] = mapped_column(String(20))
    data: Mapped[dict[str, Any]]
    created_at: Mapped[float]

    __table_args__ = (Index("event_job", "job_id", "id"),)
