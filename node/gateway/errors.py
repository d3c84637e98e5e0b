"""What a call to the gateway can end with, by what the worker does next (docs/node-protocol.md, first table).

GatewayError
├── Away                no connection or 5xx for as long as the caller was patient: the same call may work later
├── Stopping            the agent stops; the call was given up
└── Denied              an answer of 400 or more that waiting does not change
    ├── BadSignIn       the gateway does not take this key's signature, or asks to sign for another origin
    ├── Forbidden       403: not for this address; stop asking
    ├── NotFound        404: no such lease, blob or job; drop the lease
    ├── LeaseLost       409 lease_lost: drop the lease and all that belongs to it
    ├── CommittedAlready 409 committed_already: another commitment of this token stands
    ├── Conflict        409, any other code
    ├── BadRequest      422: a rule of the protocol is broken; a fault in the agent
    └── UpgradeNeeded   426: this version of the protocol is not spoken there
"""

from __future__ import annotations

from jobs.errors import KilnetError, Refused, Unavailable

__all__ = [
    "Away",
    "BadRequest",
    "BadSignIn",
    "CommittedAlready",
    "Conflict",
    "Denied",
    "Forbidden",
    "GatewayError",
    "LeaseLost",
    "NotFound",
    "Stopping",
    "UpgradeNeeded",
    "denied",
]


class GatewayError(KilnetError):
    """A call did not end with what was asked for."""

    code = "gateway"


class Away(GatewayError, Unavailable):
    """Nobody answers, or only with 5xx; everything that waits to be sent stays in the outbox."""

    code = "away"


class Stopping(GatewayError):
    """The agent was told to stop while the call waited."""

    code = "stopping"


class Denied(GatewayError, Refused):
    """The gateway said no. `status` is the HTTP status, `code` and the text are the gateway's own."""

    def __init__(self, status: int, code: str, message: str, *, upload_offset: int | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.upload_offset = upload_offset
        """Where an upload that was refused has to go on, if the gateway said so."""


class BadSignIn(Denied):
    """Signing in failed in a way that trying again does not mend."""


class Forbidden(Denied):
    """Signed in, but not allowed this."""


class NotFound(Denied):
    """No such thing, or none that this address may see."""


class LeaseLost(Denied):
    """The lease ended or a newer fencing token exists: nothing of it is wanted any more."""


class Conflict(Denied):
    """The state of things forbids it; `code` says which."""


class CommittedAlready(Conflict):
    """The first commitment of a token is final, and it was another one."""


class BadRequest(Denied):
    """The body breaks a rule; the message names it."""


class UpgradeNeeded(Denied):
    """Another version of kilnet is needed to speak with this gateway."""


_BY_STATUS: dict[int, type[Denied]] = {
    401: BadSignIn,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: BadRequest,
    426: UpgradeNeeded,
}
_BY_CODE: dict[str, type[Denied]] = {"lease_lost": LeaseLost, "committed_already": CommittedAlready}


def denied(status: int, code: str, message: str, *, upload_offset: int | None = None) -> Denied:
    """The error for an answer of 400..499."""
    kind = _BY_CODE.get(code, _BY_STATUS.get(status, Denied))
    return kind(status, code, message, upload_offset=upload_offset)
