"""What the gateway answers instead of a result, as errors of jobs.errors."""

from __future__ import annotations

import httpx
from pydantic import ValidationError

from jobs.errors import BadInput, KilnetError, Refused
from jobs.wire import Error

__all__ = ["GatewayBadInput", "GatewayRefused", "error_of", "refusal"]

_INPUT = {400, 413, 422}


class GatewayRefused(Refused):
    """The gateway said no: not signed in, not allowed, no such thing, or not in this state. `code` says which."""

    status = 0
    upload_offset: int | None = None
    """Where an upload goes on, with `wrong_offset`."""


class GatewayBadInput(BadInput):
    """The gateway found the body of a call wrong; the message names the field, the limit and the remedy."""

    status = 0


def error_of(response: httpx.Response) -> Error | None:
    """What the gateway says in the body of an answer of 400 or above."""
    try:
        return Error.model_validate_json(response.content)
    except ValidationError:
        return None


def refusal(response: httpx.Response) -> KilnetError:
    """The error for an answer with a status of 400..499."""
    status = response.status_code
    error = error_of(response)
    if error is None:
        where = response.request.url.path
        error = Error(code=f"http_{status}", message=f"the gateway answered {status} to {where}; check its address")
    if status in _INPUT:
        bad = GatewayBadInput(error.message, code=error.code)
        bad.status = status
        return bad
    refused = GatewayRefused(error.message, code=error.code)
    refused.status = status
    offset = response.headers.get("Upload-Offset", "")
    refused.upload_offset = int(offset) if offset.isdigit() else None
    return refused
