"""The node's side of docs/node-protocol.md: HTTPS to the gateway and nothing else."""

from node.gateway.blobs import Cancelled, download, upload
from node.gateway.client import GatewayClient, LeaseStatus
from node.gateway.errors import (
    Away,
    BadRequest,
    BadSignIn,
    CommittedAlready,
    Conflict,
    Denied,
    Forbidden,
    GatewayError,
    LeaseLost,
    NotFound,
    Stopping,
    UpgradeNeeded,
)
from node.gateway.transport import Transport, origin_of

__all__ = [
    "Away",
    "BadRequest",
    "BadSignIn",
    "Cancelled",
    "CommittedAlready",
    "Conflict",
    "Denied",
    "Forbidden",
    "GatewayClient",
    "GatewayError",
    "LeaseLost",
    "LeaseStatus",
    "NotFound",
    "Stopping",
    "Transport",
    "UpgradeNeeded",
    "download",
    "origin_of",
    "upload",
]
