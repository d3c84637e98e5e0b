"""What comes in and goes out: bodies read within a limit, only after the caller is known, and answers as JSON.

FastAPI would read and parse any body, of any size, before it asks who sends it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from fastapi import Depends, Request, Response
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from coordinator.errors import TooLarge, TryLater
from coordinator.gateway.context import SignedIn, in_thread
from coordinator.gateway.errors import bad_input

__all__ = ["MEBIBYTE", "NO_CONTENT", "from_caller", "parse", "read_limited", "to_json"]

M = TypeVar("M", bound=BaseModel)
MEBIBYTE = 1 << 20
_PATIENCE_SECONDS = 120.0
"""A body that has not arrived by then is given up: a slow sender holds memory."""
_DRAIN_SECONDS = 5.0
_DRAIN_BYTES = 64 * MEBIBYTE
_IN_LOOP = 64 << 10
"""Bodies up to this size are parsed where they are; a thread would take longer."""
_ANY: TypeAdapter[Any] = TypeAdapter(Any)
NO_CONTENT = 204


async def read_limited(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes. Raises TooLarge, TryLater where it does not arrive."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await _read(request, limit)
    except (TimeoutError, ClientDisconnect) as error:
        raise TryLater("the body did not arrive in time; send it again") from error


async def _read(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "")
    body = bytearray()
    too_large = announced.isdigit() and int(announced) > limit
    if not too_large:
        async for part in request.stream():
            body += part
            if len(body) > limit:
                too_large = True
                break
    if too_large:
        await _drain(request, announced)
        raise TooLarge(f"the body has more than {limit} bytes; send less at a time")
    return bytes(body)


async def _drain(request: Request, announced: str) -> None:
    """Read what is still on its way, within reason: a sender that is cut off never sees why."""
    if announced.isdigit() and int(announced) > _DRAIN_BYTES:
        return
    left = _DRAIN_BYTES
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await request.receive()
                left -= len(message.get("body", b"")) + 1
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


async def parse(model: type[M], raw: bytes) -> M:
    """The body as `model`. Raises Unprocessable in one line."""
    try:
        if len(raw) <= _IN_LOOP:
            return model.model_validate_json(raw)
        return await in_thread(model.model_validate_json, raw)
    except ValidationError as error:
        raise bad_input(error) from None


def from_caller(model: type[M], limit: int = MEBIBYTE) -> Any:
    """A dependency: the body of a call of somebody who is signed in, as `model`."""

    async def read(request: Request, caller: SignedIn) -> M:
        del caller
        return await parse(model, await read_limited(request, limit))

    read.__kilnet_body__ = model  # type: ignore[attr-defined]  # for coordinator.gateway.openapi

    reader: Callable[..., Awaitable[M]] = read
    return Depends(reader)


def to_json(value: BaseModel | Sequence[BaseModel] | dict[str, Any], status: int = 200) -> Response:
    """An answer. Made in the handler's own thread, since a long list takes its time."""
    if isinstance(value, BaseModel):
        content = value.model_dump_json().encode()
    elif isinstance(value, dict):
        content = json.dumps(value, separators=(",", ":"), allow_nan=False, default=str).encode()
    else:
        content = _ANY.dump_json(list(value))
    return Response(content, status, media_type="application/json", headers={"Cache-Control": "no-store"})
