"""What a node says of itself, and how it stands."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from jobs.contract import Lane
from jobs.states import StrikeKind, StrikeState
from jobs.wire.base import Address, Hex32, Signature, Units, Wire

__all__ = ["NodeView", "RegisterNode", "RuntimeClass", "StakeView", "StrikeView"]


class RuntimeClass(Wire):
    """One runtime on one device, and the numerics class that its canary measured."""

    runtime: str
    version: str
    device: str
    """CPU, CUDA, OPTIX, HIP, METAL, ONEAPI, or an execution provider."""
    numerics_class: str = Field(max_length=200)
    score: float = Field(gt=0, le=10_000)
    """Benchmark score; 1.0 does one kiln-hour of work an hour."""
    repeats: bool = True
    """Its canary gave the same bits twice: only then can bits be compared within the class."""
    vram_bytes: int = Field(default=0, ge=0)
    """The device's own memory; 0 where it has none or does not say."""


class RegisterNode(Wire):
    protocol: int
    agent_version: str = Field(max_length=100)
    name: str = Field(default="", max_length=100)
    owner: Address | None = None
    """Who earns and answers for it; None: the node's own address."""
    owner_signature: Signature | None = None
    """The owner's of jobs.typed_data.node_owner_message: without it nobody trusts the node for its owner's sake."""
    hardware: dict[str, Any] = {}
    sandboxed: bool
    audits: bool = False
    """It does audits when it is drawn for one; where nobody else can judge a class, its nodes live on each other's."""
    runtimes: tuple[RuntimeClass, ...] = Field(min_length=1, max_length=64)
    memory_bytes: int = Field(ge=0)
    """What a runner may use."""
    ask_usd_per_kiln_hour: float = Field(gt=0, le=1e6)
    region: str = Field(default="", max_length=100)


class StrikeView(Wire):
    """Something that counts against a worker, or was found not to."""

    kind: StrikeKind
    state: StrikeState
    job: str
    lease: str
    tile: int
    lane: Lane | None
    reason: str
    auditor: Address | None
    counted: bool
    """It has raised the worker's suspicion."""
    slashable: bool
    at: float
    dispute: str | None = None
    """Of what the chain can check itself: wanted, proven, refused."""
    dispute_reason: str | None = None
    dispute_tx: Hex32 | None = None
    slashed: Units | None = None
    """What all who stake with the operator lost by it."""


class StakeView(Wire):
    """What answers for a node on chain, as it was looked up last."""

    operator: Address | None
    """Who answers for its key; None: nobody."""
    staked: Units
    """Of the owner's own."""
    needed: Units
    """For all nodes that it answers for and that are online."""
    locked: Units
    """For open jobs."""
    per_job: Units
    jobs: int
    """How many open jobs lock some of it."""
    refusal: str | None
    """Why it gets no tiles, or no more of them, and what to do; None where it does."""


class NodeView(Wire):
    address: Address
    owner: Address
    owner_proven: bool = False
    """The owner has signed for it, or is the node itself."""
    name: str
    trusted: bool
    online: bool
    sandboxed: bool
    runtimes: tuple[RuntimeClass, ...]
    ask_usd_per_kiln_hour: float
    region: str
    tiles_accepted: int
    tiles_rejected: int
    reputation: float = 0.5
    """jobs.auction.reputation: 0.5 before any tile was judged."""
    memory_bytes: int = 0
    earned: Units
    suspended: str | None
    """Why it gets no paid work, or None."""
    suspicion: int = 0
    """Above 0 more cells of its tiles are audited."""
    last_seen: float = 0
    audits: int = 0
    """Audits that it has done."""
    barred: str | None = None
    """Why it is given no audits any more, or None."""
    strikes: tuple[StrikeView, ...] = ()
    """Of one's own node the latest, newest first."""
    lanes: dict[str, Lane | None] = {}
    """Of one's own node: the lane in which each of its classes would be judged now; None: nobody can judge it."""
    stake: StakeView | None = None
    """Of one's own node; None where none is asked for."""
