"""Evidence of verdicts: for the owner of a job, and for the node whose tile was judged; each sees its own."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from coordinator import settlement, views
from coordinator.auth import Caller
from coordinator.gateway.bodies import to_json
from coordinator.gateway.context import Context, Gateway, SignedIn, in_thread
from coordinator.gateway.detail_routes import TileIndex
from coordinator.gateway.jobs_seen import JobId, visible
from coordinator.gateway.lease_routes import LeaseId
from jobs.evidence import Evidence, Refusals

__all__ = ["router"]

router = APIRouter(prefix="/v1")
Cell = Annotated[int | None, Query(ge=0, le=1 << 31)]
_slots = asyncio.Semaphore(2)
"""Answers that are being made at once: each unpacks and hashes a whole tile."""


@router.get("/nodes/me/refusals", response_model=Refusals)
def refusals(gateway: Context, caller: SignedIn, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Response:
    """The refused tiles of the node that asks, the latest first."""
    with gateway.db.read() as session:
        found = views.refusal_views(session, caller.address, limit=limit)
    return to_json(Refusals(refusals=tuple(found)))


@router.get("/leases/{lease_id}/evidence", response_model=Evidence)
async def of_lease(gateway: Context, caller: SignedIn, lease_id: LeaseId, cell: Cell = None) -> Response:
    """One cell of a judged tile, with all that binds it: the one that differed the most, unless it is named."""
    async with _slots:
        return to_json(await in_thread(_evidence, gateway, caller, lease_id, cell))


@router.get("/jobs/{job_id}/tiles/{index}/evidence", response_model=Evidence)
async def of_tile(
    gateway: Context,
    caller: SignedIn,
    job_id: JobId,
    index: TileIndex,
    attempt: Annotated[int | None, Query(ge=0, le=1 << 31)] = None,
    cell: Cell = None,
) -> Response:
    """The same of the latest refused attempt at a tile (or else the one that was taken), unless one is named."""

    def found() -> str:
        with gateway.db.read() as session:
            return views.judged_lease(session, visible(session, caller, job_id), index, attempt)

    async with _slots:
        return to_json(await in_thread(lambda: _evidence(gateway, caller, found(), cell)))


def _evidence(gateway: Gateway, caller: Caller, lease_id: str, cell: int | None) -> Evidence:
    with gateway.db.read() as session:
        found = views.material(session, lease_id, address=caller.address, trusted=caller.trusted)
    return views.evidence_of(gateway.store, found, settlement.domain(gateway.settings), cell)
