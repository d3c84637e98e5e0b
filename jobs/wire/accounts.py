"""Who is at the other end: the deployment, signing in, accounts, API keys."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobs.wire.base import Address, Signature, Units, Usd, Wire

__all__ = [
    "AccountView", "AddTarget", "ApiKeyCreated", "ApiKeyView", "ChainInfo", "ConfirmTarget", "CreateApiKey",
    "Health", "Info", "Login", "Nonce", "NonceRequest", "PageCode", "PageOpened", "Session", "StakeTermsView",
    "TargetAdded", "TargetView", "WhosePage",
]  # fmt: skip


class ChainInfo(Wire):
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


class StakeTermsView(Wire):
    """What is asked of operators, in units of KILN at the last price known."""

    per_node: Units
    """Own stake for each node."""
    per_job: Units
    """What of it an open job locks."""
    usd_per_node: float


class Info(Wire):
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


class NonceRequest(Wire):
    address: Address


class Nonce(Wire):
    """A sign-in message to be signed (EIP-191) as it stands; good once, until `expires_at`."""

    message: str
    expires_at: float


class Login(Wire):
    address: Address
    message: str = Field(max_length=2000)
    signature: Signature


class Session(Wire):
    token: str
    expires_at: float
    trusted: bool
    """The address is one of the coordinator's own workers."""


class AccountView(Wire):
    """The account that is signed in, as the chain has it."""

    address: Address
    balance: Units
    permit_nonce: int
    """What its next EIP-2612 permit must name."""


class CreateApiKey(Wire):
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


class ApiKeyView(Wire):
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


class ApiKeyCreated(Wire):
    key: str
    """Shown this once; kept as a hash only."""
    info: ApiKeyView


class AddTarget(Wire):
    """Somewhere to be told of jobs: a webhook's URL, or an e-mail address."""

    address: str = Field(min_length=3, max_length=1000)
    events: tuple[Literal["done", "failed", "preview"], ...] = Field(
        default=("done", "failed", "preview"), min_length=1, max_length=3
    )


class TargetView(Wire):
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


class TargetAdded(Wire):
    secret: str | None
    """Of a webhook: signs its notices (jobs.client.webhooks); shown this once."""
    target: TargetView


class ConfirmTarget(Wire):
    code: str = Field(min_length=1, max_length=40)


class PageCode(Wire):
    """Opens the page in this account's name, once, until `expires_at`."""

    code: str
    expires_at: float


class PageOpened(Wire):
    """The page is signed in, by a cookie that its scripts cannot read."""

    address: Address
    expires_at: float


class WhosePage(Wire):
    """Who the page's cookie stands for."""

    address: Address | None
    """None for guests."""
    wallet: bool
    """False where an API key opened the page."""
    trusted: bool


class Health(Wire):
    """What of the deployment answers."""

    status: Literal["ok", "degraded", "down"]
    version: str
    database: bool
    broker: bool
    chain: bool
