"""The states that jobs, work and leases go through. coordinator.states is the only door that changes one."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["JOB_FINAL", "JobKind", "JobState", "LeaseState", "Verdict", "WorkKind", "WorkState"]


class JobKind(StrEnum):
    RENDER = "render"
    """Frames of a Blender scene."""
    INFER = "infer"
    """A batch of items through an ONNX model."""


class JobState(StrEnum):
    ADMITTING = "admitting"
    """Files are here; a trusted worker describes the scene or model, bakes, and renders the reference frame."""
    QUOTED = "quoted"
    """The price is known; waits for the client's signed order until the quote lapses. Nothing is charged yet."""
    OPENING = "opening"
    """The order is signed; the escrow transaction is on its way."""
    RUNNING = "running"
    """Escrowed; tiles are rendered, audited and put together."""
    PAUSED = "paused"
    """As running, but nothing new is leased."""
    SETTLING = "settling"
    """All that will be delivered is delivered; burn, fee, refund and reward root are on their way."""
    DONE = "done"
    """Delivered, settled, every token accounted for."""
    CANCELLED = "cancelled"
    """Ended by the client; what had passed was paid, the rest refunded."""
    FAILED = "failed"
    """Ended with a reason (in `error`); what was not earned was refunded."""


JOB_FINAL = frozenset({JobState.DONE, JobState.CANCELLED, JobState.FAILED})


class WorkKind(StrEnum):
    """What one lease asks for."""

    DESCRIBE = "describe"
    """Trusted: read the scene or model, say what it is and whether it can be done."""
    REFERENCE = "reference"
    """Trusted: a cheap render of one frame, and the cost of the real one."""
    TILE = "tile"
    """Anybody: render or infer one tile."""
    AUDIT = "audit"
    """Trusted (later also strangers): redo the challenged cells of one tile, blind."""
    REPRODUCE = "reproduce"
    """Trusted: do a tile on which a node crashed or hung, to learn whether the scene is at fault."""
    ASSEMBLE = "assemble"
    """Trusted: merge the tiles of one frame (or of a batch), finish and encode it."""


class WorkState(StrEnum):
    PENDING = "pending"
    """May be leased."""
    LEASED = "leased"
    """One worker (or, for a straggler, two) has it."""
    CHECKING = "checking"
    """Tiles: committed and uploaded; the challenge is drawn and audited."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class LeaseState(StrEnum):
    ACTIVE = "active"
    """The worker is at it; renewed by heartbeat."""
    COMMITTED = "committed"
    """The first commitment is recorded and final; the upload is awaited."""
    UPLOADED = "uploaded"
    """The upload is here; it is checked against the commitment and audited."""
    ACCEPTED = "accepted"
    """Passed: a receipt exists (tiles), or the result was taken (other kinds)."""
    REJECTED = "rejected"
    """The proof failed; `reason` and the evidence say why. Not paid."""
    FAILED = "failed"
    """The worker said that it could not, or crashed."""
    EXPIRED = "expired"
    """No heartbeat in time."""
    RELEASED = "released"
    """Given back by the worker, or withdrawn because another was first or the job ended."""


class Verdict(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"
    ESCALATE = "escalate"
    """Neither: a second auditor decides, and meanwhile nobody is blamed."""
