"""Workers: what they say of themselves, and what is known of them."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import select

from coordinator import leasing, views
from coordinator.errors import NotFound, Unprocessable, UpgradeNeeded
from coordinator.gateway.bodies import MEBIBYTE, parse, read_limited, to_json
from coordinator.gateway.context import Context, SignedIn
from coordinator.store.models import Node
from jobs.wire import PROTOCOL, EarningsView, NodeView, RegisterNode

__all__ = ["router"]

router = APIRouter(prefix="/v1/nodes")


async def _registration(request: Request, caller: SignedIn) -> RegisterNode:
    del caller
    raw = await read_limited(request, MEBIBYTE)
    try:
        return await parse(RegisterNode, raw)
    except Unprocessable:
        # An agent of another version may say things that are not known here: then that is what it should hear.
        spoken = _protocol(raw)
        if spoken is not None and spoken != PROTOCOL:
            raise UpgradeNeeded(
                f"this gateway speaks version {PROTOCOL} of the protocol, the agent {spoken}: install the agent "
                "that fits"
            ) from None
        raise


def _protocol(raw: bytes) -> Any:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    spoken = body.get("protocol") if isinstance(body, dict) else None
    return spoken if isinstance(spoken, int) and abs(spoken) < 10**6 else None


@router.post("/register", response_model=NodeView)
def register(gateway: Context, caller: SignedIn, body: Annotated[RegisterNode, Depends(_registration)]) -> Response:
    leasing.register(gateway.db, gateway.settings, address=caller.address, body=body)
    return _shown(gateway, caller.address)


@router.get("/me", response_model=NodeView)
def me(gateway: Context, caller: SignedIn) -> Response:
    return _shown(gateway, caller.address)


@router.get("/me/earnings", response_model=EarningsView)
def earnings(
    gateway: Context, caller: SignedIn, job: Annotated[str | None, Query(pattern=r"^[0-9A-Za-z_-]{1,24}$")] = None
) -> Response:
    """What the caller's node (or, for an owner, all of its nodes) earned; frames are those of `job`."""
    with gateway.db.read() as session:
        return to_json(views.earnings_view(session, gateway.settings, caller.address, job=job))


@router.get("", response_model=list[NodeView])
def list_nodes(gateway: Context, caller: SignedIn, limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> Response:
    """Workers, those that were heard of last first."""
    del caller
    with gateway.db.read() as session:
        nodes = session.scalars(select(Node).order_by(Node.last_seen.desc()).limit(limit)).all()
        return to_json(views.node_views(session, nodes, now=gateway.db.now()))


def _shown(gateway: Context, address: str) -> Response:
    with gateway.db.read() as session:
        node = session.get(Node, address)
        if node is None:
            raise NotFound(
                "this account has not registered as a worker: POST /v1/nodes/register", code="not_registered"
            )
        now = gateway.db.now()
        lanes = leasing.lanes_of_node(session, gateway.settings, node, now=now)
        view = views.node_view(session, node, now=now)
        stake = views.stake_view(session, gateway.settings, node, now=now)
        return to_json(view.model_copy(update={"stake": stake, "lanes": lanes}))
