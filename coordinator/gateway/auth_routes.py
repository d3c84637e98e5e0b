"""Signing in."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from coordinator.auth import issue_nonce, login
from coordinator.gateway.bodies import parse, read_limited, to_json
from coordinator.gateway.context import Context, in_thread, network_address
from coordinator.gateway.limits import SIGN_IN
from jobs.wire import Login, NonceRequest

__all__ = ["router"]

router = APIRouter(prefix="/v1/auth")
_BODY_BYTES = 16 << 10


@router.post("/nonce")
async def nonce(request: Request, gateway: Context) -> Response:
    await gateway.limiter.take(SIGN_IN, network_address(request))
    body = await parse(NonceRequest, await read_limited(request, _BODY_BYTES))
    return to_json(await in_thread(issue_nonce, gateway.db, gateway.settings, body.address))


@router.post("/login")
async def sign_in(request: Request, gateway: Context) -> Response:
    await gateway.limiter.take(SIGN_IN, network_address(request))
    body = await parse(Login, await read_limited(request, _BODY_BYTES))
    return to_json(await in_thread(login, gateway.db, gateway.settings, body))
