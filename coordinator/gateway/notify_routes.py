"""Where an account is told of its jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from coordinator import notify
from coordinator.gateway.bodies import NO_CONTENT, from_caller, to_json
from coordinator.gateway.context import Context, SignedIn
from jobs.wire import AddTarget, ConfirmTarget, TargetAdded, TargetView

__all__ = ["router"]

router = APIRouter(prefix="/v1/notify")
TargetId = Annotated[str, Path(pattern=r"^[0-9A-Za-z]{1,24}$")]


@router.get("", response_model=list[TargetView])
def list_targets(gateway: Context, caller: SignedIn) -> Response:
    with gateway.db.read() as session:
        return to_json(notify.target_views(session, caller.address))


@router.post("", response_model=TargetAdded)
def add(gateway: Context, caller: SignedIn, body: Annotated[AddTarget, from_caller(AddTarget)]) -> Response:
    return to_json(notify.add_target(gateway.db, gateway.settings, owner=caller.address, body=body))


@router.post("/{target}/confirm", response_model=TargetView)
def confirm(
    gateway: Context, caller: SignedIn, target: TargetId, body: Annotated[ConfirmTarget, from_caller(ConfirmTarget)]
) -> Response:
    return to_json(notify.confirm_target(gateway.db, owner=caller.address, target=target, code=body.code))


@router.post("/{target}/remove", status_code=NO_CONTENT)
def remove(gateway: Context, caller: SignedIn, target: TargetId) -> Response:
    notify.remove_target(gateway.db, owner=caller.address, target=target)
    return Response(status_code=NO_CONTENT)
