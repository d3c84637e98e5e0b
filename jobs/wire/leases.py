"""What workers and the gateway say to each other about one lease."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from jobs.contract import Contract
from jobs.manifest import Asset
from jobs.states import JobKind, WorkKind
from jobs.tiles import Tile
from jobs.wire.base import Address, Hex32, Signature, Units, Wire

__all__ = [
    "ACKNOWLEDGEMENT", "Acknowledgement", "AuditCells", "ClaimRequest", "Commit", "Committed", "Complete", "Completed",
    "Delivered", "Fail", "Heartbeat", "HeartbeatReply", "LeaseOffer", "Release",
]  # fmt: skip

ACKNOWLEDGEMENT = "acknowledgement"
"""What a worker writes into the header `Prefer` of a completion to be answered with Delivered."""


class ClaimRequest(Wire):
    """A free device asks for work; answered at once when there is some, else held for up to `wait_seconds`."""

    kinds: tuple[WorkKind, ...] = (WorkKind.TILE,)
    """Kinds other than `tile` are given to trusted workers only."""
    runtimes: tuple[str, ...]
    """Numerics classes of this device, as registered."""
    warm: tuple[str, ...] = Field(default=(), max_length=16)
    """Jobs whose files are loaded here, the warmest first: they are preferred."""
    wait_seconds: float = Field(default=20, ge=0, le=30)


class AuditCells(Wire):
    """Which cells of a tile are to be redone; what was claimed is never shown."""

    tile: Tile
    cells: tuple[int, ...] = Field(min_length=1)


class LeaseOffer(Wire):
    """A lease. `contract`, `tile` and `audit` are there where the kind of work has them (docs/node-protocol.md)."""

    id: str
    token: int
    """Fencing token: grows with each lease of the same work; whoever comes with an older one is turned away."""
    kind: WorkKind
    job: str
    job_kind: JobKind
    expires_at: float
    expected_seconds: float
    heartbeat_seconds: float
    secret_hash: Hex32
    domain: dict[str, Any]
    """EIP-712 domain for the commitment: chain_id, escrow."""
    main: str
    assets: tuple[Asset, ...]
    contract: Contract | None = None
    tile: Tile | None = None
    audit: AuditCells | None = None
    params: dict[str, Any] = {}
    """describe: overrides; reference: frame, width, height, samples; assemble: frame, parts, output."""


class Heartbeat(Wire):
    token: int
    progress: float = Field(ge=0, le=1)
    detail: str = Field(default="", max_length=200)


class HeartbeatReply(Wire):
    cancel: bool
    """Stop: the job ended or another was first. Nothing more is to be sent for this lease."""
    expires_at: float


class Commit(Wire):
    token: int
    root: Hex32
    cells: int = Field(ge=1)
    signature: Signature
    numerics_class: str = Field(max_length=200)
    seconds: float = Field(ge=0)
    """Time the work took, by the worker's clock."""


class Committed(Wire):
    """The coordinator's acknowledgement that this commitment was the first for its token."""

    root: Hex32


class Complete(Wire):
    """All that belongs to the lease is uploaded."""

    token: int
    blobs: tuple[Asset, ...] = Field(default=(), max_length=100_000)
    """Tiles and audits: exactly one, the raw result, zstd-compressed. Others: every file, by its path."""
    result: dict[str, Any] = {}
    """describe, reference, assemble: the runner's answer."""
    seconds: float = Field(ge=0)
    signature: Signature | None = None
    """Tiles and audits: the worker's, of what it delivers (jobs.typed_data.completion_message)."""


class Acknowledgement(Wire):
    """The coordinator's signed word that a tile was delivered to it whole (jobs.typed_data.acknowledgement_message):
    without a verdict it is claimed from the coordinator's bond once the job is refunded."""

    chain_id: int
    bond: Address
    """The contract that the bond is in."""
    signer: Address
    """Whose bond it is."""
    job: str
    tile: int
    lease: str
    node: Address
    root: Hex32
    amount: Units
    """What the tile earns if it passes."""
    signature: Signature


class Completed(Wire):
    state: str


class Delivered(Completed):
    """What is answered to a completion with the header `Prefer: acknowledgement`."""

    acknowledgement: Acknowledgement | None = None
    """Of a tile: until it is refused or its job is settled, and where the deployment has a bond."""


class Fail(Wire):
    token: int
    code: str = Field(max_length=100)
    message: str = Field(max_length=2000)
    scene_fault: bool = False
    """The worker holds the scene or model responsible; believed only from a trusted worker."""
    log: str = Field(default="", max_length=20_000)


class Release(Wire):
    token: int
