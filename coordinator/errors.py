"""What the gateway answers instead of a result: docs/node-protocol.md, "Rules for every call", as types.

ApiError (500)
├── NotSignedIn (401)      no session, or a signature that does not fit
├── PaymentNeeded (402)    it would cost more than the caller's key may spend
├── Forbidden (403)        signed in, but not allowed this
├── NotFound (404)         no such thing, or none that this account may see
├── Conflict (409)         true a moment ago or for another; `code` says what
├── TooLarge (413)         a body, a chunk, a blob or an account over its limit
├── Unprocessable (422)    the body breaks a rule, which the message names
├── UpgradeNeeded (426)    a protocol version that is not spoken here
├── SlowDown (429)         too many calls; `retry_after` in seconds
└── TryLater (503)         a part does not answer or is full; the same call may work later
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from jobs.errors import KilnetError

__all__ = [
    "ApiError", "Conflict", "Forbidden", "NotFound", "NotSignedIn", "PaymentNeeded", "SlowDown", "TooLarge", "TryLater",
    "Unprocessable", "UpgradeNeeded",
]  # fmt: skip


class ApiError(KilnetError):
    """An answer with a status of 400 or above; its body is jobs.wire.Error(code, message)."""

    status = 500
    code = "internal"

    def __init__(self, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, code=code)
        self.headers: dict[str, str] = dict(headers or {})


class NotSignedIn(ApiError):
    """The caller signs in (again) and repeats the call."""

    status = 401
    code = "not_signed_in"

    def __init__(self, message: str = "sign in first: no session, or it has ended", *, code: str | None = None) -> None:
        super().__init__(message, code=code, headers={"WWW-Authenticate": "Bearer"})


class PaymentNeeded(ApiError):
    """The caller asks for less, or comes with a key that may spend more."""

    status = 402
    code = "spend_limit"


class Forbidden(ApiError):
    """The caller stops asking for it."""

    status = 403
    code = "forbidden"


class NotFound(ApiError):
    """There is none, or none that this account may see: the two are not told apart."""

    status = 404
    code = "not_found"


class Conflict(ApiError):
    """The state does not allow it (any more): lease_lost, committed_already, quote_lapsed, wrong_offset, ..."""

    status = 409
    code = "conflict"


class TooLarge(ApiError):
    """Over a limit that the message names."""

    status = 413
    code = "too_large"


class Unprocessable(ApiError):
    """The body breaks a rule: bad_input, bad_signature, wrong_cells, wrong_class, wrong_cap, wrong_hash, ..."""

    status = 422
    code = "bad_input"


class UpgradeNeeded(ApiError):
    """The caller speaks another version of the protocol and has to be replaced."""

    status = 426
    code = "upgrade"


class SlowDown(ApiError):
    """Too many calls."""

    status = 429
    code = "slow_down"

    def __init__(self, message: str, *, retry_after: float = 1, code: str | None = None) -> None:
        super().__init__(message, code=code, headers={"Retry-After": str(max(1, math.ceil(retry_after)))})
        self.retry_after = retry_after
        """Seconds."""


class TryLater(ApiError):
    """A part that must answer does not, or has no room; the caller waits and repeats."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after: float = 1, code: str | None = None) -> None:
        super().__init__(message, code=code, headers={"Retry-After": str(max(1, math.ceil(retry_after)))})
        self.retry_after = retry_after
        """Seconds."""
