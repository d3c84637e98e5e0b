"""The calls of docs/node-protocol.md, one method each."""

from __future__ import annotations

import threading
from typing import Any

from pydantic import BaseModel, ConfigDict

from jobs.evidence import Refusals
from jobs.wire import (
    ACKNOWLEDGEMENT,
    ClaimRequest,
    Commit,
    Committed,
    Complete,
    Completed,
    Delivered,
    EarningsView,
    Fail,
    Heartbeat,
    HeartbeatReply,
    Info,
    LeaseOffer,
    NodeView,
    RegisterNode,
    Release,
)
from node.gateway.transport import Transport

__all__ = ["GatewayClient", "LeaseStatus"]

_HEARTBEAT_SECONDS = 10.0


class LeaseStatus(BaseModel):
    """How a lease stands, and how it was judged."""

    model_config = ConfigDict(extra="ignore")

    state: str
    reason: str | None = None
    evidence: dict[str, Any] | None = None
    cells: list[int] | None = None
    receipt: dict[str, Any] | None = None


class GatewayClient:
    """Typed calls over a Transport. `patience` and `stop` are those of `Transport.call`; the errors are those of
    `node.gateway.errors`."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def info(self, **patience: Any) -> Info:
        return self.transport.read(Info, "GET", "/v1/info", signed_in=False, **patience)

    def register(self, registration: RegisterNode, **patience: Any) -> NodeView:
        return self.transport.read(NodeView, "POST", "/v1/nodes/register", body=registration, **patience)

    def me(self, **patience: Any) -> NodeView:
        return self.transport.read(NodeView, "GET", "/v1/nodes/me", **patience)

    def earnings(self, job: str | None = None, **patience: Any) -> EarningsView:
        """What this node earned; frames are those of `job`, or of the latest."""
        wanted = "" if job is None else f"?job={job}"
        return self.transport.read(EarningsView, "GET", f"/v1/nodes/me/earnings{wanted}", **patience)

    def refusals(self, **patience: Any) -> Refusals:
        """The refused tiles of this node, the latest first."""
        return self.transport.read(Refusals, "GET", "/v1/nodes/me/refusals", **patience)

    def claim(self, request: ClaimRequest, *, stop: threading.Event | None = None) -> LeaseOffer | None:
        """A lease, or None when nothing came up in `request.wait_seconds`."""
        response = self.transport.call(
            "POST", "/v1/leases/claim", body=request, stop=stop, timeout=request.wait_seconds + 30
        )
        if response.status_code == 204:
            return None
        return LeaseOffer.model_validate_json(response.content)

    def heartbeat(self, lease: str, beat: Heartbeat) -> HeartbeatReply:
        """Tried once: the next one comes soon enough."""
        return self.transport.read(
            HeartbeatReply, "POST", f"/v1/leases/{lease}/heartbeat", body=beat, patience=0, timeout=_HEARTBEAT_SECONDS
        )

    def commit(self, lease: str, body: Commit, **patience: Any) -> Committed:
        return self.transport.read(Committed, "POST", f"/v1/leases/{lease}/commit", body=body, **patience)

    def complete(self, lease: str, body: Complete, **patience: Any) -> Delivered:
        """Of a tile with the coordinator's signed word that it is there; older gateways give none."""
        return self.transport.read(
            Delivered,
            "POST",
            f"/v1/leases/{lease}/complete",
            body=body,
            headers={"Prefer": ACKNOWLEDGEMENT},
            **patience,
        )

    def fail(self, lease: str, body: Fail, **patience: Any) -> Completed:
        return self.transport.read(Completed, "POST", f"/v1/leases/{lease}/fail", body=body, **patience)

    def release(self, lease: str, body: Release, **patience: Any) -> Completed:
        return self.transport.read(Completed, "POST", f"/v1/leases/{lease}/release", body=body, **patience)

    def lease(self, lease: str) -> LeaseStatus:
        return self.transport.read(LeaseStatus, "GET", f"/v1/leases/{lease}", patience=0, timeout=_HEARTBEAT_SECONDS)
