"""From what went wrong here to what the gateway is told."""

from __future__ import annotations

from jobs.errors import KilnetError
from jobs.wire import Fail
from node.agent.work import WorkFailed
from node.gateway import NotFound
from node.runner_process import (
    RunnerCrashed,
    RunnerDeadlineExceeded,
    RunnerError,
    RunnerHung,
    RunnerLimitExceeded,
    RunnerOutOfMemory,
    RunnerProtocolError,
)
from verification.commitment import MalformedResult

__all__ = ["SUSPECT", "failure_of"]

SUSPECT = frozenset({"crash", "hang", "timeout", "out_of_memory", "limit"})
"""Codes after which the scene may be at fault as well as the machine."""

_CODES: tuple[tuple[type[Exception], str], ...] = (
    (RunnerCrashed, "crash"),
    (RunnerHung, "hang"),
    (RunnerDeadlineExceeded, "timeout"),
    (RunnerOutOfMemory, "out_of_memory"),
    (RunnerLimitExceeded, "limit"),
    (RunnerProtocolError, "runner_protocol"),
    (MalformedResult, "malformed_result"),
    (NotFound, "missing_asset"),
    (OSError, "node_fault"),
)


def failure_of(token: int, error: Exception, log_tail: str) -> Fail:
    """The report for any error that work can end with; codes are those of docs/node-protocol.md or the runner's own."""
    code, fault = "agent_fault", False
    if isinstance(error, RunnerError | WorkFailed):
        code, fault = error.code, error.scene_fault
    else:
        for kind, name in _CODES:
            if isinstance(error, kind):
                code = name
                break
        else:
            if isinstance(error, KilnetError):
                code = error.code
    message = error.message if isinstance(error, RunnerError) else str(error) or type(error).__name__
    return Fail(token=token, code=code[:100], message=message[:2000], scene_fault=fault, log=log_tail[-20_000:])
