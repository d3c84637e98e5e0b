"""The messages of the HTTP API, version 1. docs/node-protocol.md says call by call what happens and what comes next.

Bodies are JSON but for blob bytes. Unknown fields are refused, so that a typing error is an answer and not a surprise.
Times are Unix seconds, amounts are strings of decimal digits in units of 10^-18 KILN.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from jobs.contract import Contract, Lane
from jobs.manifest import Asset, Manifest, Sha256
from jobs.spec import JobSpec
from jobs.states import JobKind, JobState, StrikeKind, StrikeState, Verdict, WorkKind
from jobs.tiles import Tile

__all__ = [
    "PROTOCOL",
    "AcceptJob",
    "AccountView",
    "AddTarget",
    "ApiKeyCreated",
    "ApiKeyView",
    "AskView",
    "AttemptView",
    "AuctionView",
    "AuditCells",
    "AuditedView",
    "BlobQuery",
    "BlobsMissing",
    "ChainInfo",
    "ClaimRequest",
    "Commit",
    "Committed",
    "Complete",
    "Completed",
    "ConfirmTarget",
    "CreateApiKey",
    "CreateJob",
    "EarningsView",
    "EpochAccount",
    "EpochAccounts",
    "EpochEarned",
    "EpochProof",
    "EpochReceipt",
    "EpochReceipts",
    "EpochView",
    "Error",
    "EscrowView",
    "Fail",
    "FrameEarned",
    "Health",
    "Heartbeat",
    "HeartbeatReply",
    "Info",
    "JobEarned",
    "JobFacts",
    "JobView",
    "LeaseOffer",
    "LedgerView",
    "LogEntry",
    "Login",
    "NodeView",
    "Nonce",
    "NonceRequest",
    "OperatorView",
    "OutputView",
    "PageCode",
    "PageOpened",
    "PermitSignature",
    "Quote",
    "ReceiptView",
    "RegisterNode",
    "Rejection",
    "Release",
    "RewardView",
    "RewardsOnChain",
    "RuntimeClass",
    "Session",
    "SettlementView",
    "StakeOnChain",
    "StakeTermsView",
    "StakeView",
    "StrikeView",
    "TargetAdded",
    "TargetView",
    "TileView",
    "Units",
    "UploadOffset",
    "Usd",
    "WhosePage",
]

PROTOCOL = 1
"""Version of this API; in every path (/v1) and in every registration."""


def _units(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


Units = Annotated[int, BeforeValidator(_units), PlainSerializer(str, return_type=str, when_used="json"), Field(ge=0)]
"""An amount in 10^-18 KILN; a string in JSON, since it does not fit a JavaScript number."""
Usd = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=6)]
"""An amount in USD; a string in JSON."""
Hex32 = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
Signature = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{130}$")]


class _Wire(BaseModel):
    # JSON has no NaN or infinity, Python's reader lets them in, and no limit holds them.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Error(_Wire):
    """The body of every answer with a status of 400 or above."""

    code: str
    """Stable machine word, such as `lease_lost`."""
    message: str
    """One line for people: what was wrong, where, what to do."""


class ChainInfo(_Wire):
    """The chain on which jobs are paid."""

    chain_id: int
    token: Address
    token_name: str
    escrow: Address
    distributor: Address
    registry: Address | None = None
    disputes: Address | None = None
    oracle: Address | None = None
    rpc_url: str | None
    """Where anyone may read it; None where the operator keeps it private."""


class StakeTermsView(_Wire):
    """What is asked of operators, in units of KILN at the last price known."""

    per_node: Units
    """Own stake for each node."""
    per_job: Units
    """What of it an open job locks."""
    usd_per_node: float


class Info(_Wire):
    protocol: int
    version: str
    origin: str
    """What sign-in messages must name."""
    chain: ChainInfo | None
    """None while the chain cannot be reached."""
    kiln_per_usd: str
    fee_bps: int
    nodes_online: int
    max_chunk_bytes: int
    stake: StakeTermsView | None = None
    """None where nodes need none, and while the price of KILN is not known."""


class NonceRequest(_Wire):
    address: Address


class Nonce(_Wire):
    """A sign-in message to be signed (EIP-191) as it stands; good once, until `expires_at`."""

    message: str
    expires_at: float


class Login(_Wire):
    address: Address
    message: str = Field(max_length=2000)
    signature: Signature


class Session(_Wire):
    token: str
    expires_at: float
    trusted: bool
    """The address is one of the coordinator's own workers."""


class AccountView(_Wire):
    """The account that is signed in, as the chain has it."""

    address: Address
    balance: Units
    permit_nonce: int
    """What its next EIP-2612 permit must name."""


class CreateApiKey(_Wire):
    """A key to act as this account without its wallet."""

    name: str = Field(min_length=1, max_length=100)
    spend_limit: Units | None
    """Units of KILN that all jobs ordered with it may cost together; None: no limit of its own."""
    calls_per_second: float = Field(default=20, gt=0, le=300)
    calls_per_minute: int | None = Field(default=None, ge=1, le=100_000)
    jobs_per_day: int | None = Field(default=None, ge=1, le=100_000)
    """Quotes it may ask for within 24 hours."""
    usd_per_day: Usd | None = None
    """What jobs ordered with it within 24 hours may cost together, at the rates of their quotes."""
    usd_total: Usd | None = None
    """The same of all its jobs."""


class ApiKeyView(_Wire):
    id: str
    name: str
    spend_limit: Units | None
    spent: Units
    """Of ended jobs what they cost, of others their cap."""
    calls_per_second: float
    calls_per_minute: int | None
    jobs_per_day: int | None
    jobs_today: int
    """Within the last 24 hours, as everything that is said of today."""
    usd_per_day: Usd | None
    usd_today: Usd
    usd_total: Usd | None
    usd_spent: Usd
    created_at: float
    revoked_at: float | None


class ApiKeyCreated(_Wire):
    key: str
    """Shown this once; kept as a hash only."""
    info: ApiKeyView


class AddTarget(_Wire):
    """Somewhere to be told of jobs: a webhook's URL, or an e-mail address."""

    address: str = Field(min_length=3, max_length=1000)
    events: tuple[Literal["done", "failed", "preview"], ...] = Field(
        default=("done", "failed", "preview"), min_length=1, max_length=3
    )


class TargetView(_Wire):
    id: str
    kind: Literal["webhook", "email"]
    address: str
    events: tuple[str, ...]
    confirmed: bool
    """An e-mail address is told nothing before its code was confirmed."""
    created_at: float
    sent: int
    waiting: int
    given_up: int
    last_error: str | None


class TargetAdded(_Wire):
    secret: str | None
    """Of a webhook: signs its notices (jobs.client.webhooks); shown this once."""
    target: TargetView


class ConfirmTarget(_Wire):
    code: str = Field(min_length=1, max_length=40)


class PageCode(_Wire):
    """Opens the page in this account's name, once, until `expires_at`."""

    code: str
    expires_at: float


class PageOpened(_Wire):
    """The page is signed in, by a cookie that its scripts cannot read."""

    address: Address
    expires_at: float


class WhosePage(_Wire):
    """Who the page's cookie stands for."""

    address: Address | None
    """None for guests."""
    wallet: bool
    """False where an API key opened the page."""
    trusted: bool


class Health(_Wire):
    """What of the deployment answers."""

    status: Literal["ok", "degraded", "down"]
    version: str
    database: bool
    broker: bool
    chain: bool


class UploadOffset(_Wire):
    offset: int = Field(ge=0)
    """Where the upload goes on."""


class BlobQuery(_Wire):
    sha256: Sha256
    size: int = Field(ge=0, le=1 << 40)


class BlobsMissing(_Wire):
    """Request: what the client has. Answer: the subset that the coordinator still needs."""

    blobs: tuple[BlobQuery, ...] = Field(max_length=10_000)


class CreateJob(_Wire):
    spec: JobSpec
    manifest: Manifest
    idempotency_key: str = Field(min_length=8, max_length=100)
    """The same key from the same account gives the same job, however often it is sent."""


class AskView(_Wire):
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


class AuctionView(_Wire):
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


class Quote(_Wire):
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


class PermitSignature(_Wire):
    """An EIP-2612 permit of the client for the escrow."""

    value: Units
    nonce: int
    deadline: int
    signature: Signature


class AcceptJob(_Wire):
    """The client's signed order (jobs.typed_data.order_message), and how the escrow may take the tokens."""

    cap: Units
    deadline: int
    order_signature: Signature
    permit: PermitSignature | None = None


class Rejection(_Wire):
    """A tile of a node that was not taken, and why."""

    node: Address
    tile: int
    attempt: int
    reason: str
    evidence: dict[str, Any] = {}


class SettlementView(_Wire):
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


class RewardView(_Wire):
    node: Address
    amount: Units


class JobView(_Wire):
    id: str
    kind: JobKind
    name: str
    state: JobState
    paused: bool = False
    error: str | None = None
    error_code: str | None = None
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


class JobFacts(_Wire):
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


class AttemptView(_Wire):
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


class AuditedView(_Wire):
    """Which cells of a tile were audited in one attempt."""

    tile: int
    attempt: int
    verdict: Verdict
    cells: tuple[int, ...]
    differing: tuple[int, ...]
    """Those that came out otherwise, as far as the evidence names them."""


class LogEntry(_Wire):
    """One event of a job."""

    id: int
    type: str
    at: float
    data: dict[str, Any]


class EpochView(_Wire):
    number: int
    created_at: float
    burned: Units
    """By the jobs whose receipts it pays."""
    minted: Units
    """What it adds to the rewards; claimed by the owners when they like."""
    root: Hex32
    tx: str | None
    state: str


class EpochReceipt(_Wire):
    """A receipt that an epoch pays: what was signed, the signature, and to whom the reward goes."""

    job: str = Field(max_length=24)
    tile: int = Field(ge=0)
    attempt: int = Field(ge=0)
    node: Address
    commitment: Hex32
    price: Units
    signature: Signature
    account: Address
    """The node's owner when it passed: who earns."""


class EpochReceipts(_Wire):
    """A page of an epoch's receipts."""

    receipts: tuple[EpochReceipt, ...]
    next: int | None
    """What `after` must say to go on; None at the end."""


class EpochAccount(_Wire):
    """A leaf of an epoch's root: all that an account ever earned."""

    account: Address
    cumulative: Units


class EpochAccounts(_Wire):
    """A page of an epoch's leaves, by account."""

    accounts: tuple[EpochAccount, ...]
    next: Address | None


class EpochProof(_Wire):
    """Everything off chain that an epoch's root is made from, for anyone to check against the chain."""

    number: int = Field(ge=1)
    chain_id: int
    token: Address
    escrow: Address
    distributor: Address
    before: tuple[EpochAccount, ...]
    """The leaves of the epoch before; none before the first."""
    accounts: tuple[EpochAccount, ...]
    receipts: tuple[EpochReceipt, ...]


class JobEarned(_Wire):
    """What a node earned with one job."""

    job: str
    name: str
    tiles: int
    amount: Units
    epoch: int | None
    """Whose root pays it; None: the job is not settled yet, or no root since. 0: it was refunded, and pays nothing."""


class FrameEarned(_Wire):
    """What a node earned with one frame of a job; of a batch with its items."""

    frame: int | None
    """None: items of a batch."""
    tiles: int
    """That this frame is part of."""
    amount: Units


class EpochEarned(_Wire):
    epoch: int
    tiles: int
    amount: Units


class RewardsOnChain(_Wire):
    """What the distributor owes an account, and the proof that it claims with."""

    account: Address
    epoch: int
    """The root on which claims are made now; 0 before the first."""
    cumulative: Units
    """What that root says the account ever earned."""
    claimed: Units
    claimable: Units
    pending: Units
    """What a root that can still be vetoed adds."""
    proof: tuple[Hex32, ...]


class StakeOnChain(_Wire):
    """What an operator has in the registry."""

    registered: bool
    staked: Units
    """Its own, active."""
    locked: Units
    """Of that, for open jobs."""
    unbonding: Units
    ready_at: int
    """Unix seconds from when what is unbonding may be withdrawn; 0: nothing ever was."""
    others: Units
    """What others have staked with it."""


class EarningsView(_Wire):
    """A node's money, as its operator sees it. Rewards and stake are its owner's, who may have other nodes too."""

    node: Address
    account: Address
    """The owner, who earns."""
    tiles: int
    earned: Units
    """By all receipts, paid or not."""
    unpaid: Units
    """Of that, what no root pays yet."""
    jobs: tuple[JobEarned, ...]
    """The latest first."""
    job: str | None
    """Whose frames these are: the one that was asked for, else the latest."""
    frames: tuple[FrameEarned, ...]
    epochs: tuple[EpochEarned, ...]
    """The latest first."""
    slashed: Units
    rewards: RewardsOnChain | None
    """None while the chain cannot be reached, as `stake`."""
    stake: StakeOnChain | None
    kiln_per_usd: str


class OperatorView(_Wire):
    owner: Address
    earned: Units
    """Of all receipts that are paid by an epoch."""
    tiles: int
    nodes: int


class LedgerView(_Wire):
    """What anyone may see of the money."""

    burned: Units
    minted: Units
    fees: Units
    jobs_settled: int
    tiles_paid: int
    receipts_waiting: int
    """Receipts that no epoch pays yet."""
    kiln_per_usd: str
    usd_per_kiln_hour: float | None
    """The middle one of the asks of those who are online; None where nobody is."""
    epochs: tuple[EpochView, ...]
    """The latest first."""
    operators: tuple[OperatorView, ...]
    """Those who earned most, first."""


class EscrowView(_Wire):
    """A job as the chain has it, as this gateway reads it."""

    job: str
    state: str
    client: Address
    cap: Units
    price: Units
    receipt_root: Hex32
    receipt_count: int
    receipt_signer: Address
    """Who signs receipts here."""


class TileView(_Wire):
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


class OutputView(_Wire):
    """One delivered file."""

    path: str
    kind: str
    """image, exr, file_output, predictions, preview, reference."""
    frame: int | None
    sha256: Sha256
    size: int


class ReceiptView(_Wire):
    """The signed statement that a tile passed, and all that is needed to check it again."""

    job: str
    tile: int
    attempt: int
    node: Address
    commitment: Hex32
    price: Units
    signature: Signature
    leaf: Hex32
    proof: tuple[Hex32, ...] | None
    """Path to the job's receipt root; None until the job is settled."""
    lease: str
    fencing_token: int
    node_signature: Signature
    """The node's own signature of its commitment."""
    secret: Hex32 | None
    """What the challenge was drawn with; its hash went out with the lease. None until the job is settled."""
    secret_hash: Hex32
    cells: tuple[int, ...]
    """The cells that were audited."""
    lane: Lane
    numerics_class: str
    auditor: Address | None
    spec: Tile
    result: Sha256
    """Blob of the raw result (uncompressed bytes hash to the commitment)."""


class RuntimeClass(_Wire):
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


class RegisterNode(_Wire):
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


class StrikeView(_Wire):
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


class StakeView(_Wire):
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


class NodeView(_Wire):
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


class ClaimRequest(_Wire):
    """A free device asks for work; answered at once when there is some, else held for up to `wait_seconds`."""

    kinds: tuple[WorkKind, ...] = (WorkKind.TILE,)
    """Kinds other than `tile` are given to trusted workers only."""
    runtimes: tuple[str, ...]
    """Numerics classes of this device, as registered."""
    warm: tuple[str, ...] = Field(default=(), max_length=16)
    """Jobs whose files are loaded here, the warmest first: they are preferred."""
    wait_seconds: float = Field(default=20, ge=0, le=30)


class AuditCells(_Wire):
    """Which cells of a tile are to be redone; what was claimed is never shown."""

    tile: Tile
    cells: tuple[int, ...] = Field(min_length=1)


class LeaseOffer(_Wire):
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


class Heartbeat(_Wire):
    token: int
    progress: float = Field(ge=0, le=1)
    detail: str = Field(default="", max_length=200)


class HeartbeatReply(_Wire):
    cancel: bool
    """Stop: the job ended or another was first. Nothing more is to be sent for this lease."""
    expires_at: float


class Commit(_Wire):
    token: int
    root: Hex32
    cells: int = Field(ge=1)
    signature: Signature
    numerics_class: str = Field(max_length=200)
    seconds: float = Field(ge=0)
    """Time the work took, by the worker's clock."""


class Committed(_Wire):
    """The coordinator's acknowledgement that this commitment was the first for its token."""

    root: Hex32


class Complete(_Wire):
    """All that belongs to the lease is uploaded."""

    token: int
    blobs: tuple[Asset, ...] = Field(default=(), max_length=100_000)
    """Tiles and audits: exactly one, the raw result, zstd-compressed. Others: every file, by its path."""
    result: dict[str, Any] = {}
    """describe, reference, assemble: the runner's answer."""
    seconds: float = Field(ge=0)
    signature: Signature | None = None
    """Tiles and audits: the worker's, of what it delivers (jobs.typed_data.completion_message)."""


class Completed(_Wire):
    state: str


class Fail(_Wire):
    token: int
    code: str = Field(max_length=100)
    message: str = Field(max_length=2000)
    scene_fault: bool = False
    """The worker holds the scene or model responsible; believed only from a trusted worker."""
    log: str = Field(default="", max_length=20_000)


class Release(_Wire):
    token: int
