"""Settings of a deployment: one JSON file, named by $KILNET_CONFIG, read by every process of the coordinator.

`kilnet up` writes it into its data folder; operators of larger deployments keep their own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.errors import BadInput
from jobs.planner import PlanPolicy
from jobs.spec import explain
from verification.economics import DEFAULT_STAKE_USD
from verification.policy import FLOOR, RECHECK_SHARE

__all__ = [
    "CONFIG_VARIABLE",
    "AuditSettings",
    "ChainSettings",
    "LeaseSettings",
    "Limits",
    "NotifySettings",
    "Settings",
    "SmtpSettings",
    "StakeSettings",
]

CONFIG_VARIABLE = "KILNET_CONFIG"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChainSettings(_Part):
    """Where jobs are paid. Key files hold 0x-hex private keys and have mode 0600."""

    rpc_url: str
    public_rpc_url: str | None = None
    """What clients are told; None: they are told nothing."""
    addresses_file: Path
    """contracts.deploy.Addresses as JSON."""
    coordinator_key_file: Path
    """Sends transactions and signs receipts."""
    fee_poll_seconds: float = 1.0
    confirmations: int = Field(default=0, ge=0)
    """Blocks on top of a transaction before it counts: as many as the chain is ever reorganised deep."""
    stuck_seconds: float = Field(default=45, gt=0)
    """A transaction that is not mined by then is sent again at a higher fee."""
    report_usd_per_kiln: str | None = None
    """The coordinator itself reports this price to the oracle before the last report is too old: local chains."""


class StakeSettings(_Part):
    """What answers for nodes on chain. Where no registry is deployed, nothing is asked for."""

    required: bool = True
    """False admits nodes without stake."""
    usd_per_node: float = Field(default=DEFAULT_STAKE_USD, gt=0)
    """What an operator has staked for each of its nodes, of its own."""
    jobs_at_once: int = Field(default=16, ge=1)
    """A job locks this part of one node's stake until it is final: so many open jobs does it cover."""
    look_seconds: float = Field(default=60, gt=0)
    """How often the stake of an operator whose nodes are online is looked up again."""


class LeaseSettings(_Part):
    """Seconds."""

    heartbeat_seconds: float = 5
    expiry_seconds: float = 30
    """A lease without a heartbeat ends after this."""
    minimum_seconds: float = 60
    """No lease may be expected to end sooner: loading and uploading take their time."""
    longest_factor: float = 3
    """Heartbeats renew up to this many times the expected time."""
    straggler_factor: float = 2
    """A tile that takes this many times its expected time may be given to a second worker."""
    max_attempts: int = 6
    """After so many failed attempts the job fails with the last reason."""


class AuditSettings(_Part):
    """Who audits. Trusted workers do, unless strangers are let in."""

    strangers: Literal["never", "needed", "always"] = "needed"
    """Whether nodes may be drawn as auditors: where no trusted worker can judge a class or none gets to it in time
    (`needed`), or wherever one fits (`always`)."""
    golden_share: float = Field(default=0.1, ge=0, le=1)
    """How often a stranger's audit is joined by one whose right answer is known."""
    recheck_share: float = Field(default=RECHECK_SHARE, ge=0, le=1)
    """Share of strangers' audits that a trusted worker repeats, accepts as well as refusals."""
    patience_seconds: float = Field(default=60, gt=0)
    """How long an audit waits for whom it was meant for before somebody else is looked for."""


class SmtpSettings(_Part):
    """The mail server that takes notices."""

    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`none` is for a server on this machine."""
    username: str | None = None
    password_file: Path | None = None
    sender: str
    """Such as `kilnet <notices@farm.example>`."""


class NotifySettings(_Part):
    allow_private: bool = False
    """Whether webhooks may lie in private networks. Only where every account is one of the operator's own."""
    smtp: SmtpSettings | None = None


class Limits(_Part):
    max_chunk_bytes: int = 8 << 20
    max_blob_bytes: int = 64 << 30
    account_quota_bytes: int = 256 << 30
    jobs_per_account_waiting: int = 20
    """Jobs in admission or quoted at a time: quotes cost trusted compute."""
    quotes_per_hour: int = 60
    retention_seconds: float = 14 * 24 * 3600
    """Blobs of finished jobs are kept this long."""


class Settings(_Part):
    data: Path
    """Folder for what this deployment keeps on disk."""
    origin: str
    """The gateway's public URL; sign-in messages name it."""
    database_url: str
    """SQLAlchemy URL: sqlite:///… or postgresql+psycopg://…"""
    broker_url: str
    """Redis or Valkey URL: redis://…, rediss://… or redis+socket:///…"""
    blob_url: str
    """fsspec URL of the blob store: file:///… or s3://…"""
    chain: ChainSettings
    trusted: tuple[str, ...] = ()
    """Addresses of the coordinator's own workers."""
    kiln_per_usd: str | None = None
    """A price of the operator's own; None: that of the chain's oracle."""
    usd_per_kiln_hour: float = Field(default=0.2, gt=0)
    """What a job offers while no node is online whose ask says what the work costs."""
    quote_seconds: float = 900
    """How long a quote holds."""
    quote_margin: float = Field(default=1.25, ge=1)
    """Cap over price where the client names none: what is not used is refunded."""
    grace_seconds: float = 3600
    """How long after the deadline settlement may take before anyone may refund the escrow."""
    epoch_seconds: float = 60
    """How often rewards are posted to the chain."""
    probes: int = Field(default=FLOOR, ge=1)
    """Cells redone in each tile of a node in good standing; verification.policy draws more of others."""
    expected_nodes: int = 4
    plan: PlanPolicy = PlanPolicy()
    leases: LeaseSettings = LeaseSettings()
    audits: AuditSettings = AuditSettings()
    stake: StakeSettings = StakeSettings()
    calibration: Path | None = None
    """Folder with calibrations of this operator's own (`kilnet calibrate`), which go before those that are shipped."""
    limits: Limits = Limits()
    notify: NotifySettings = NotifySettings()

    @classmethod
    def load(cls, path: Path | None = None) -> Settings:
        """From `path` or $KILNET_CONFIG. Raises BadInput where there is none or a field is wrong."""
        if path is None:
            if CONFIG_VARIABLE not in os.environ:
                raise BadInput(f"{CONFIG_VARIABLE} is not set; start this process with `kilnet up`, or name a config")
            path = Path(os.environ[CONFIG_VARIABLE])
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
        except ValidationError as error:
            raise BadInput(f"{path}: {explain(error)}") from error
