"""Signing in: programs get a bearer token, the page a cookie that its scripts cannot read; and API keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from coordinator import auth
from coordinator.auth import PageSession
from coordinator.errors import Forbidden, Unprocessable
from coordinator.gateway.bodies import NO_CONTENT, from_caller, parse, read_limited, to_json
from coordinator.gateway.context import (
    COOKIE,
    Context,
    Gateway,
    SignedIn,
    WithWallet,
    in_thread,
    network_address,
    same_origin,
)
from coordinator.gateway.limits import SIGN_IN
from jobs.wire import ApiKeyCreated, ApiKeyView, CreateApiKey, Login, Nonce, NonceRequest, PageCode, PageOpened, Session

__all__ = ["router"]

router = APIRouter(prefix="/v1/auth")
_BODY_BYTES = 16 << 10
KeyId = Annotated[str, Path(pattern=r"^[0-9A-Za-z]{1,24}$")]


class PageSignIn(BaseModel):
    """One of: a signed text, an API key, a code that `kilnet page` printed."""

    model_config = ConfigDict(extra="forbid")

    login: Login | None = None
    api_key: str | None = Field(default=None, max_length=100)
    code: str | None = Field(default=None, max_length=100)


@router.post("/nonce", response_model=Nonce)
async def nonce(request: Request, gateway: Context) -> Response:
    await gateway.limiter.take(SIGN_IN, network_address(request))
    body = await parse(NonceRequest, await read_limited(request, _BODY_BYTES))
    return to_json(await in_thread(auth.issue_nonce, gateway.db, gateway.settings, body.address))


@router.post("/login", response_model=Session)
async def sign_in(request: Request, gateway: Context) -> Response:
    await gateway.limiter.take(SIGN_IN, network_address(request))
    body = await parse(Login, await read_limited(request, _BODY_BYTES))
    return to_json(await in_thread(auth.login, gateway.db, gateway.settings, body))


@router.post("/page", response_model=PageOpened)
async def open_page(request: Request, gateway: Context) -> Response:
    """The page signs in: a cookie for this browser, and whose account it is."""
    await gateway.limiter.take(SIGN_IN, network_address(request))
    if not same_origin(request):
        raise Forbidden("this did not come from the page; open the page and sign in there")
    body = await parse(PageSignIn, await read_limited(request, _BODY_BYTES))
    opened = await in_thread(_open, gateway, body)
    answer = to_json(PageOpened(address=opened.address, expires_at=opened.expires_at))
    answer.set_cookie(
        COOKIE, opened.token, path="/", httponly=True, samesite="strict",
        secure=gateway.settings.origin.startswith("https:"), max_age=int(opened.expires_at - gateway.db.now()),
    )  # fmt: skip
    return answer


def _open(gateway: Gateway, body: PageSignIn) -> PageSession:
    if body.code:
        return auth.open_with_code(gateway.db, body.code)
    if body.api_key:
        return auth.open_with_key(gateway.db, body.api_key)
    if body.login is not None:
        session = auth.login(gateway.db, gateway.settings, body.login)
        return PageSession(session.token, session.expires_at, body.login.address)
    raise Unprocessable("send one of login, api_key and code")


@router.post("/page/code", response_model=PageCode)
def page_code(gateway: Context, caller: WithWallet) -> Response:
    code, expires_at = auth.issue_page_code(gateway.db, address=caller.address)
    return to_json(PageCode(code=code, expires_at=expires_at))


@router.post("/page/leave", status_code=NO_CONTENT)
async def leave_page(request: Request, gateway: Context, caller: SignedIn) -> Response:
    """The page signs out: its session is over, also for whoever has a copy of the cookie."""
    del caller
    token = request.cookies.get(COOKIE, "")
    gateway.forget(token)
    await in_thread(auth.sign_out, gateway.db, token)
    answer = Response(status_code=NO_CONTENT)
    answer.delete_cookie(COOKIE, path="/")
    return answer


@router.get("/keys", response_model=list[ApiKeyView])
def list_keys(gateway: Context, caller: SignedIn) -> Response:
    with gateway.db.read() as session:
        return to_json(auth.key_views(session, caller.address, now=gateway.db.now()))


@router.post("/keys", response_model=ApiKeyCreated)
def create_key(
    gateway: Context, caller: WithWallet, body: Annotated[CreateApiKey, from_caller(CreateApiKey)]
) -> Response:
    return to_json(auth.create_key(gateway.db, owner=caller.address, body=body))


@router.post("/keys/{key_id}/revoke", response_model=ApiKeyView)
def revoke_key(gateway: Context, caller: WithWallet, key_id: KeyId) -> Response:
    return to_json(auth.revoke_key(gateway.db, owner=caller.address, key_id=key_id))
