"""Epochs: what each reward root was made from. Anyone may read it, to make the root again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from coordinator import views
from coordinator.gateway.bodies import to_json
from coordinator.gateway.context import Context, Guest
from jobs.wire import EpochAccounts, EpochReceipts

__all__ = ["router"]

router = APIRouter(prefix="/v1/ledger/epochs/{number}", dependencies=[Guest])
Number = Annotated[int, Path(ge=1, le=1 << 62)]
_PAGE = 1000
Limit = Annotated[int, Query(ge=1, le=_PAGE)]


@router.get("/receipts", response_model=EpochReceipts)
def receipts(
    gateway: Context, number: Number, after: Annotated[int, Query(ge=0, le=1 << 62)] = 0, limit: Limit = _PAGE
) -> Response:
    """The receipts that the epoch pays (jobs.wire.EpochReceipts)."""
    with gateway.db.read() as session:
        return to_json(views.epoch_receipts(session, number, after=after, limit=limit))


@router.get("/accounts", response_model=EpochAccounts)
def accounts(
    gateway: Context, number: Number, after: Annotated[str, Query(max_length=42)] = "", limit: Limit = _PAGE
) -> Response:
    """The leaves of its root (jobs.wire.EpochAccounts)."""
    with gateway.db.read() as session:
        return to_json(views.epoch_accounts(session, number, after=after, limit=limit))
