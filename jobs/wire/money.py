"""Receipts, epochs, the ledger and the escrow, as anybody may see them."""

from __future__ import annotations

from pydantic import Field

from jobs.contract import Lane
from jobs.manifest import Sha256
from jobs.tiles import Tile
from jobs.wire.base import Address, Hex32, Signature, Units, Wire

__all__ = [
    "BondView", "EarningsView", "EpochAccount", "EpochAccounts", "EpochChain", "EpochEarned", "EpochProof",
    "EpochReceipt", "EpochReceipts", "EpochView", "EscrowView", "FrameEarned", "JobEarned", "LedgerView",
    "OperatorView", "ReceiptView", "RewardsOnChain", "SlashView", "StakeOnChain",
]  # fmt: skip


class BondView(Wire):
    """Where the coordinator's bond is."""

    contract: Address
    signer: Address
    """Whose bond it is: who signs acknowledgements."""


class EpochView(Wire):
    number: int
    created_at: float
    burned: Units
    """By the jobs whose receipts it pays."""
    minted: Units
    """What it adds to the rewards; claimed by the owners when they like."""
    root: Hex32
    tx: str | None
    state: str


class EpochReceipt(Wire):
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


class EpochReceipts(Wire):
    """A page of an epoch's receipts."""

    receipts: tuple[EpochReceipt, ...]
    next: int | None
    """What `after` must say to go on; None at the end."""


class EpochAccount(Wire):
    """A leaf of an epoch's root: all that an account ever earned."""

    account: Address
    cumulative: Units


class EpochAccounts(Wire):
    """A page of an epoch's leaves, by account."""

    accounts: tuple[EpochAccount, ...]
    next: Address | None


class EpochProof(Wire):
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


class EpochChain(Wire):
    """Epochs one after another: what `kilnet epoch verify --save` keeps."""

    epochs: tuple[EpochProof, ...] = Field(min_length=1)


class JobEarned(Wire):
    """What a node earned with one job."""

    job: str
    name: str
    tiles: int
    amount: Units
    epoch: int | None
    """Whose root pays it; None: the job is not settled yet, or no root since. 0: it was refunded, and pays nothing."""


class FrameEarned(Wire):
    """What a node earned with one frame of a job; of a batch with its items."""

    frame: int | None
    """None: items of a batch."""
    tiles: int
    """That this frame is part of."""
    amount: Units


class EpochEarned(Wire):
    epoch: int
    tiles: int
    amount: Units


class RewardsOnChain(Wire):
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


class StakeOnChain(Wire):
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


class SlashView(Wire):
    """Stake that an operator lost, and why."""

    amount: Units
    why: str
    job: str | None
    """Where the gateway knows it."""
    tx: str | None


class EarningsView(Wire):
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
    slashes: tuple[SlashView, ...] = ()
    """What that is the sum of: first what this gateway had proven, then what others had, the latest first."""
    rewards: RewardsOnChain | None
    """None while the chain cannot be reached, as `stake`."""
    stake: StakeOnChain | None
    kiln_per_usd: str


class OperatorView(Wire):
    owner: Address
    earned: Units
    """Of all receipts that are paid by an epoch."""
    tiles: int
    nodes: int


class LedgerView(Wire):
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


class EscrowView(Wire):
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


class ReceiptView(Wire):
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
