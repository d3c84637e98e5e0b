"""Leases, as their workers call them. Claiming is a long poll; all else is answered at once."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import anyio
import structlog
from fastapi import APIRouter, Header, Path, Request, Response

from coordinator import leasing, settlement
from coordinator.auth import Caller
from coordinator.events import Hints
from coordinator.gateway.bodies import MEBIBYTE, NO_CONTENT, from_caller, to_json
from coordinator.gateway.context import Context, Gateway, SignedIn, in_thread
from coordinator.gateway.described import NOTHING
from jobs.errors import KilnetError
from jobs.wire import (
    ACKNOWLEDGEMENT,
    ClaimRequest,
    Commit,
    Committed,
    Complete,
    Completed,
    Delivered,
    Fail,
    Heartbeat,
    HeartbeatReply,
    LeaseOffer,
    Release,
)

__all__ = ["router"]

router = APIRouter(prefix="/v1/leases")
LeaseId = Annotated[str, Path(pattern=r"^[0-9A-Za-z_-]{1,24}$")]
_LOOK_SECONDS = 2.0
"""How often a waiting claim looks for work without a hint: some work becomes free by the mere passing of time."""
_log = structlog.get_logger(__name__)


@router.post("/claim", response_model=LeaseOffer, responses=NOTHING)
async def claim(
    request: Request, gateway: Context, caller: SignedIn, body: Annotated[ClaimRequest, from_caller(ClaimRequest)]
) -> Response:
    give_up = time.monotonic() + body.wait_seconds
    with gateway.hints.listen(Hints.WAKE) as hint:
        while True:
            if await request.is_disconnected():
                return Response(status_code=NO_CONTENT)
            async with gateway.claim_slots:
                offer = await _try(gateway, caller, body)
            if offer is not None:
                if await request.is_disconnected():
                    await in_thread(_give_back, gateway, caller, offer)
                    return Response(status_code=NO_CONTENT)
                return to_json(offer)
            left = give_up - time.monotonic()
            if left <= 0 or gateway.stopping:
                return Response(status_code=NO_CONTENT)
            await hint.wait(min(left, _LOOK_SECONDS))


async def _try(gateway: Gateway, caller: Caller, body: ClaimRequest) -> LeaseOffer | None:
    """Claim once; where this call is ended meanwhile, what was claimed is given back."""
    claimed: list[LeaseOffer] = []

    def work() -> None:
        offer = leasing.claim(gateway.db, gateway.settings, node=caller.address, request=body)
        if offer is not None:
            claimed.append(offer)

    try:
        await in_thread(work)
    except asyncio.CancelledError:
        if claimed:
            with anyio.CancelScope(shield=True):
                await in_thread(_give_back, gateway, caller, claimed[0])
        raise
    return claimed[0] if claimed else None


def _give_back(gateway: Gateway, caller: Caller, offer: LeaseOffer) -> None:
    """The worker hung up before it heard of its lease: nobody is to wait until that expires."""
    try:
        body = Release(token=offer.token)
        leasing.release(gateway.db, gateway.settings, node=caller.address, lease_id=offer.id, body=body)
    except KilnetError as error:
        _log.info("lease_not_given_back", lease=offer.id, error=str(error))


@router.get("/{lease_id}", response_model=dict[str, Any])
def status(gateway: Context, caller: SignedIn, lease_id: LeaseId) -> Response:
    return to_json(leasing.status(gateway.db, node=caller.address, lease_id=lease_id))


@router.post("/{lease_id}/heartbeat", response_model=HeartbeatReply)
def heartbeat(
    gateway: Context, caller: SignedIn, lease_id: LeaseId, body: Annotated[Heartbeat, from_caller(Heartbeat)]
) -> Response:
    return to_json(leasing.heartbeat(gateway.db, gateway.settings, node=caller.address, lease_id=lease_id, body=body))


@router.post("/{lease_id}/commit", response_model=Committed)
def commit(
    gateway: Context, caller: SignedIn, lease_id: LeaseId, body: Annotated[Commit, from_caller(Commit)]
) -> Response:
    domain = settlement.domain(gateway.settings)
    return to_json(
        leasing.commit(gateway.db, gateway.settings, domain, node=caller.address, lease_id=lease_id, body=body)
    )


@router.post("/{lease_id}/complete", response_model=Delivered | Completed)
def complete(
    gateway: Context,
    caller: SignedIn,
    lease_id: LeaseId,
    body: Annotated[Complete, from_caller(Complete, 48 * MEBIBYTE)],
    prefer: Annotated[str, Header(description="`acknowledgement`: our signed word that a tile is here.")] = "",
) -> Response:
    done = leasing.complete(gateway.db, gateway.settings, node=caller.address, lease_id=lease_id, body=body)
    # An agent from before there were acknowledgements takes no answer with a field that it does not know.
    return to_json(done if prefer == ACKNOWLEDGEMENT else Completed(state=done.state))


@router.post("/{lease_id}/fail", response_model=Completed)
def fail(gateway: Context, caller: SignedIn, lease_id: LeaseId, body: Annotated[Fail, from_caller(Fail)]) -> Response:
    return to_json(leasing.fail(gateway.db, gateway.settings, node=caller.address, lease_id=lease_id, body=body))


@router.post("/{lease_id}/release", response_model=Completed)
def release(
    gateway: Context, caller: SignedIn, lease_id: LeaseId, body: Annotated[Release, from_caller(Release)]
) -> Response:
    return to_json(leasing.release(gateway.db, gateway.settings, node=caller.address, lease_id=lease_id, body=body))
