# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors a request can end with.

RunnerError
  a code a program decides by, one sentence a person can act on, and whether the scene itself is at fault: a scene's
  fault repeats on every node and ends the job; anything else only sends the lease elsewhere.
"""

from __future__ import annotations

from typing import Any


class RunnerError(Exception):
    """Ends one request; the runner lives on."""

    def __init__(self, code: str, message: str, *, scene_fault: bool = False, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.scene_fault = scene_fault
        self.details = details
        self.restart = False
        """Whether Blender itself is in no state to go on: a process of its own must take the next request."""

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"code": self.code, "message": self.message, "scene_fault": self.scene_fault}
        if self.details:
            body["details"] = self.details
        return body


def request_error(message: str) -> RunnerError:
    """The request itself is malformed: the caller's fault, not the scene's."""
    return RunnerError("bad_request", message)
