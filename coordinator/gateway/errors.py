"""Every failure as the body {code, message}: one line for people, never a trace, never what was sent in."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from redis import RedisError
from sqlalchemy.exc import DataError, DBAPIError, StatementError
from starlette.exceptions import HTTPException

from contracts.errors import ChainError
from coordinator.errors import ApiError, Conflict, TryLater, Unprocessable
from coordinator.store.database import Stale
from jobs.errors import BadInput, KilnetError, Refused, Unavailable
from jobs.spec import explain
from jobs.wire import Error

__all__ = ["answer", "as_api_error", "bad_input", "install", "internal"]

_LONGEST = 500
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 503: "unavailable"}
_log = structlog.get_logger(__name__)


def answer(error: ApiError) -> JSONResponse:
    """The response that says what went wrong."""
    message = " ".join(str(error).split())[:_LONGEST]
    return _response(error.status, error.code, message, error.headers)


def as_api_error(error: Exception) -> ApiError | None:
    """What a failure from below means to the caller; None where it is a fault of ours."""
    match error:
        case ApiError():
            return error
        case BadInput():
            return Unprocessable(str(error), code=error.code)
        case Unavailable():
            return TryLater(str(error), code=error.code)
        case Refused():
            return Conflict(str(error), code=error.code)
        case Stale():
            return TryLater("this changed in the same moment; send it again")
        case ChainError():
            return TryLater("the chain cannot be reached; try again later", retry_after=5)
        case RedisError():
            return TryLater("the broker cannot be reached; try again later")
        case OverflowError() | DataError():
            return Unprocessable("a number is too large or a text holds a character that cannot be kept; change it")
        case StatementError() if isinstance(error.orig, OverflowError):
            return Unprocessable("a number is too large to be kept; send a smaller one")
        case DBAPIError():
            return TryLater("the database cannot be reached or is busy; try again later")
    return None


def bad_input(error: ValidationError | RequestValidationError) -> Unprocessable:
    """One line that names the first field at fault, and why."""
    faults = error.errors() if isinstance(error, RequestValidationError) else error.errors(include_url=False)
    if faults and faults[0].get("type") == "json_invalid":
        return Unprocessable("the body is not JSON; send one object with Content-Type: application/json")
    return Unprocessable(explain(_Faults(faults)))  # type: ignore[arg-type]


class _Faults:
    """FastAPI's report, in the shape of pydantic's: without the word `body` in front of each field."""

    def __init__(self, faults: Sequence[Mapping[str, Any]]) -> None:
        self._faults = [{**fault, "loc": self._inside(fault["loc"])} for fault in faults]

    @staticmethod
    def _inside(place: Sequence[Any]) -> tuple[Any, ...]:
        # A fault of the body as a whole keeps its name: "body: Field required".
        return tuple(place[1:]) if len(place) > 1 and place[0] in ("body", "path", "query", "header") else tuple(place)

    def errors(self, *, include_url: bool) -> list[dict[str, Any]]:
        del include_url
        return self._faults


def install(app: FastAPI) -> None:
    """Let `app` answer every failure this way."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answer(bad_input(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == 400:
            return answer(Unprocessable("the body cannot be read as JSON; send one object"))
        code = _CODES.get(error.status_code, f"http_{error.status_code}")
        message = {
            404: f"there is no {request.url.path} here; docs/node-protocol.md lists all calls",
            405: f"{request.method} is not for {request.url.path}",
        }.get(error.status_code, str(error.detail))
        return _response(error.status_code, code, message[:_LONGEST], error.headers)

    async def known(_: Request, error: Exception) -> JSONResponse:
        converted = as_api_error(error)
        assert converted is not None
        if converted.status >= 500:
            _log.warning("part_away", error=str(error), kind=type(error).__name__)
        return answer(converted)

    for kind in (KilnetError, Stale, ChainError, RedisError, OverflowError, DBAPIError):
        app.add_exception_handler(kind, known)


def internal(error: Exception) -> JSONResponse:
    """The answer to a fault of ours: a reference that finds the trace in the log."""
    reference = secrets.token_hex(4)
    _log.error("internal_error", reference=reference, exc_info=error)
    return _response(
        500, "internal", f"the gateway failed; its log tells more under {reference}. Try again later", None
    )


def _response(status: int, code: str, message: str, headers: Mapping[str, str] | None) -> JSONResponse:
    return JSONResponse(Error(code=code, message=message).model_dump(), status, dict(headers or {}))
