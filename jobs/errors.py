"""The errors a person can cause or meet, as types.

KilnetError
├── BadInput            what was given cannot be used: exit code 2, nothing was charged, nothing is left behind
├── Unavailable         a part (gateway, chain, broker, runner) does not answer: worth another try
├── Refused             the other side said no and will say so again (signature, quota, state)
└── JobFailed           the job itself ended without what was asked for
"""

from __future__ import annotations

__all__ = ["BadInput", "JobFailed", "KilnetError", "Refused", "Unavailable"]


class KilnetError(Exception):
    """A failure with one line that says what was wrong, where, and what to do.

    `code` is a stable machine word (snake_case) for programs; `str(error)` is the line for people.
    """

    exit_code = 1
    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class BadInput(KilnetError):
    """What was given cannot be used; the message names the field, the limit and the remedy."""

    exit_code = 2
    code = "bad_input"


class Unavailable(KilnetError):
    """A part that must answer does not; the same call may work later."""

    exit_code = 3
    code = "unavailable"


class Refused(KilnetError):
    """The other side refused, and will again unless something changes."""

    exit_code = 4
    code = "refused"


class JobFailed(KilnetError):
    """The job ended without what was asked for; what was not spent is refunded."""

    exit_code = 5
    code = "job_failed"
