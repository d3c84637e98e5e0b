"""The states that jobs, work and leases go through. coordinator.states is the only door that changes one."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "JOB_FINAL", "AuditPurpose", "JobKind", "JobState", "LeaseState", "StrikeKind", "StrikeState", "Verdict",
    "WorkKind", "WorkState",
]  # fmt: skip


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
    REVIEW = "review"
    """The preview is rendered, and nothing else is leased until the client says go on, or rejects it."""
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
    """Trusted workers, or a stranger who was drawn: redo the challenged cells of one tile, blind."""
    REPRODUCE = "reproduce"
    """Trusted: do a tile on which a node crashed or hung, to learn whether the scene is at fault."""
    ASSEMBLE = "assemble"
    """Trusted: merge the tiles of one frame (or of a batch), finish and encode it."""


class WorkState(StrEnum):
    HELD = "held"
    """Tiles: not before the client has approved the preview."""
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


class AuditPurpose(StrEnum):
    """Why cells are redone; an auditor is never told."""

    FIRST = "first"
    """The challenge of an uploaded tile."""
    SECOND = "second"
    """After an audit that could not tell."""
    RECHECK = "recheck"
    """A trusted worker redoes what a stranger has audited, accepts as well as refusals."""
    CONFIRM = "confirm"
    """A second auditor of the same class redoes refused cells: before that a refusal is no part of a pattern."""
    GOLDEN = "golden"
    """Cells whose right answer is known: it is the auditor who is tested."""


class StrikeKind(StrEnum):
    """What counts against a worker."""

    CELLS = "cells"
    """Challenged cells came out differently."""
    MALFORMED = "malformed"
    """An upload that cannot be unpacked to the result that the lease asks for."""
    TWO_COMMITMENTS = "two_commitments"
    """Two roots signed for one fencing token."""
    UPLOAD_MISMATCH = "upload_mismatch"
    """Delivered bytes that do not have the signed root."""
    GOLDEN = "golden"
    """As an auditor: a wrong answer where the right one was known."""
    RECHECK = "recheck"
    """As an auditor: a verdict that a trusted worker's recomputation contradicts."""


class StrikeState(StrEnum):
    OPEN = "open"
    """A second auditor of the same class is asked."""
    ALONE = "alone"
    """No second auditor of the class: it stands on one audit, and is never slashed for."""
    CONFIRMED = "confirmed"
    OVERTURNED = "overturned"
    """The second auditor agreed with the worker: the first was wrong, and nothing counts."""
