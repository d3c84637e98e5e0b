"""A job from its upload to its outputs, as its owner sends and sees it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from jobs.contract import Lane
from jobs.manifest import Manifest, Sha256
from jobs.spec import JobSpec
from jobs.states import JobKind, JobState, Verdict
from jobs.tiles import Tile
from jobs.wire.base import Address, Hex32, Signature, Units, Usd, Wire

__all__ = [
    "AcceptJob", "AskView", "AttemptView", "AuctionView", "AuditedView", "BlobQuery", "BlobsMissing", "CreateJob",
    "JobFacts", "JobView", "LogEntry", "OutputView", "PermitSignature", "Quote", "Rejection", "RewardView",
    "SettlementView", "TileView", "UploadOffset",
]  # fmt: skip


class UploadOffset(Wire):
    offset: int = Field(ge=0)
    """Where the upload goes on."""


class BlobQuery(Wire):
    sha256: Sha256
    size: int = Field(ge=0, le=1 << 40)


class BlobsMissing(Wire):
    """Request: what the client has. Answer: the subset that the coordinator still needs."""

    blobs: tuple[BlobQuery, ...] = Field(max_length=10_000)


class CreateJob(Wire):
    spec: JobSpec
    manifest: Manifest
    idempotency_key: str = Field(min_length=8, max_length=100)
    """The same key from the same account gives the same job, however often it is sent."""


class AskView(Wire):
    """One machine that fits a job, as the auction saw it."""

    node: Address
    name: str
    ask: float
    """USD per kiln-hour."""
    score: float
    reputation: float
    region: str
    served: bool
    """It asks no more than the clearing price."""


class AuctionView(Wire):
    """How a price came about."""

    fitting: int
    """Machines that meet every constraint of the job."""
    served: int
    """Of those, how many ask no more than the clearing price: they may be given tiles."""
    clearing_ask: float | None
    """USD per kiln-hour that all are paid: the highest ask that is served. None where nobody fits: then the price is
    the deployment's own."""
    within_seconds: float
    """Time in which the served machines are to be done."""
    excluded: dict[str, int] = {}
    """How many machines that are online were left out, by the first constraint (jobs.constraints) that each breaks."""
    asks: tuple[AskView, ...] = ()
    """The first of those that fit, in the order in which they are served."""
    limited_by_cap: bool = False
    """Fewer machines are counted on than would do it sooner, since the client's cap allows no higher price."""


class Quote(Wire):
    """The price, known before; nothing is charged until it is accepted."""

    price_usd: str
    price: Units
    """What it will cost if every tile takes the expected time."""
    cap_usd: str
    cap: Units
    """What is escrowed; never charged more."""
    kiln_hours: float
    usd_per_kiln_hour: float
    expected_seconds: float
    tiles: int
    cells: int
    probes_per_tile: int
    audit_share: float
    """Expected cost of the proof as a share of the work."""
    lane: Lane
    proven: str
    """In words, what is proven about each tile."""
    warnings: tuple[str, ...] = ()
    auction: AuctionView | None = None
    """How the price came about."""
    preview_tiles: int = 0
    """Tiles of the preview, after which the job waits for the client's word; 0: there is none."""
    preview_usd: str | None = None
    """What a rejected preview costs at most."""
    expires_at: float


class PermitSignature(Wire):
    """An EIP-2612 permit of the client for the escrow."""

    value: Units
    nonce: int
    deadline: int
    signature: Signature


class AcceptJob(Wire):
    """The client's signed order (jobs.typed_data.order_message), and how the escrow may take the tokens."""

    cap: Units
    deadline: int
    order_signature: Signature
    permit: PermitSignature | None = None


class ChangeJob(Wire):
    """What is changed of a job that has not ended; what is left out stays."""

    priority: Annotated[int, Field(ge=-100, le=100)] | None = None
    """Among the account's own jobs, the higher first; a new job has 0."""
    cap_usd: Usd | None = None
    """At most what is in escrow; nothing is begun that might go over it."""


class Rejection(Wire):
    """A tile of a node that was not taken, and why."""

    node: Address
    tile: int
    attempt: int
    reason: str
    evidence: dict[str, Any] = {}


class SettlementView(Wire):
    price: Units
    burned: Units
    fee: Units
    refund: Units
    receipt_root: str
    open_tx: str | None = None
    propose_tx: str | None = None
    settlement_tx: str | None = None
    epoch: int | None = None
    reward_root: str | None = None
    reward_tx: str | None = None


class RewardView(Wire):
    node: Address
    amount: Units


class JobView(Wire):
    id: str
    kind: JobKind
    name: str
    state: JobState
    paused: bool = False
    error: str | None = None
    error_code: str | None = None
    advice: str | None = None
    """What can be done about the error, in words; None where there is none."""
    created_at: float
    deadline: float | None = None
    """When the job ends, refunded for what is not done; None until it is accepted."""
    quote: Quote | None = None
    description: dict[str, Any] | None = None
    tiles: int = 0
    tiles_passed: int = 0
    cells: int = 0
    cells_audited: int = 0
    progress: float = 0
    """Share of the work that is done, 0..1, running tiles counted by their own progress."""
    eta_seconds: float | None = None
    compute_seconds: float = 0
    audit_seconds: float = 0
    rejections: tuple[Rejection, ...] = ()
    settlement: SettlementView | None = None
    rewards: tuple[RewardView, ...] = ()
    waiting_for: str | None = None
    """In words, what the job waits for, such as a node that fits."""
    lanes: dict[str, int] = {}
    """How many of the tiles that passed were judged in each lane."""
    priority: int = 0
    """Among the account's own jobs, the higher first."""
    lowered_cap_usd: str | None = None
    """The cap, where it was set below what is in escrow; the job waits when nothing more fits under it."""


class JobFacts(Wire):
    """What a job's tiles lie on; None or empty before it is known."""

    frames: tuple[int, ...] = ()
    window: tuple[int, int, int, int] | None = None
    """Pixels of the full frame that are rendered; tiles lie in it."""
    width: int = 0
    height: int = 0
    samples: int = 0
    cell_side: int = 0
    """Side of an audited cell in pixels."""
    engine: str = ""
    runtime: str = ""
    reference_frame: int | None = None
    """The frame that the reference frame shows."""
    items: int = 0
    spent: Units = 0
    """The price of all tiles that passed so far."""


class AttemptView(Wire):
    """One worker's try at a tile, as the job's owner sees it."""

    attempt: int
    node: Address
    node_name: str
    state: str
    started_at: float
    finished_at: float | None
    seconds: float | None
    progress: float
    detail: str
    lane: Lane | None
    verdict: Verdict | None
    reason: str | None
    cells: tuple[int, ...]
    """The audited cells; empty until there is a verdict."""
    evidence: dict[str, Any]
    """Of a refusal or failure: what differed, or the node's code and log."""
    numerics_class: str
    commitment: Hex32 | None


class AuditedView(Wire):
    """Which cells of a tile were audited in one attempt."""

    tile: int
    attempt: int
    verdict: Verdict
    cells: tuple[int, ...]
    differing: tuple[int, ...]
    """Those that came out otherwise, as far as the evidence names them."""


class LogEntry(Wire):
    """One event of a job."""

    id: int
    type: str
    at: float
    data: dict[str, Any]


class TileView(Wire):
    index: int
    tile: Tile
    state: str
    node: Address | None
    attempts: int
    lane: Lane | None
    verdict: Verdict | None
    price: Units
    progress: float
    seconds: float | None
    result: Sha256 | None = None
    """The blob of what was accepted: the tile's raw result, zstd-compressed. Readable for the job's owner."""


class OutputView(Wire):
    """One delivered file."""

    path: str
    kind: str
    """image, exr, file_output, predictions, preview, reference."""
    frame: int | None
    sha256: Sha256
    size: int
