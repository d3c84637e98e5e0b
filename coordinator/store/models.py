"""The tables. Everything that decides is a row here; states change only through coordinator.states.

Times are Unix seconds (float), so that SQLite and PostgreSQL order them alike. Amounts of KILN (10^-18) do not fit
64 bits: they are stored as decimal strings of fixed width.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

__all__ = [
    "Account", "ApiKey", "Award", "Base", "Blob", "BlobHolder", "ChainTransaction", "Epoch", "Event", "Job", "JobBlob",
    "Lease", "Node", "Notice", "NotifyTarget", "Operator", "Output", "Receipt", "Reward", "Setting", "SignInNonce",
    "SignInSession", "Strike", "Work",
]  # fmt: skip


class Amount(TypeDecorator[int]):
    """A non-negative integer of up to 78 digits (uint256), as a zero-padded decimal string."""

    impl = String(78)
    cache_ok = True

    def process_bind_param(self, value: int | None, _dialect: object) -> str | None:
        return None if value is None else f"{value:078d}"

    def process_result_value(self, value: str | None, _dialect: object) -> int | None:
        return None if value is None else int(value)


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        bytes: LargeBinary,
        # Sizes in bytes pass 2^31; SQLite counts up INTEGER keys only, which have 64 bits there.
        int: BigInteger().with_variant(Integer(), "sqlite"),
    }


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


class Setting(Base):
    """A value that all processes of a deployment share (contract addresses, trusted addresses)."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[dict[str, Any]]


class Blob(Base):
    """A file by content. Rows exist for complete blobs only; what is under way lies in the upload folder."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column()
    owner: Mapped[str] = mapped_column(String(42), index=True)
    """Who uploaded it first."""
    created_at: Mapped[float]


class BlobHolder(Base):
    """Who has uploaded all bytes of a blob. Knowing a hash is not having the file: a job may only name what its owner
    holds, or a hash seen somewhere would open another account's scene. Its bytes count towards the account's quota."""

    __tablename__ = "blob_holders"

    sha256: Mapped[str] = mapped_column(ForeignKey("blobs.sha256", ondelete="CASCADE"), primary_key=True)
    address: Mapped[str] = mapped_column(String(42), primary_key=True, index=True)
    created_at: Mapped[float]


class JobBlob(Base):
    """Which job needs which blob, and as what: who may read it, and how long it is kept."""

    __tablename__ = "job_blobs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(20))
    """asset, result, audit, output, reference."""


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
