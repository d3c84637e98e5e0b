"""What can go wrong with a runner.

    RunnerFailure
    ├── RunnerError             it answered: ok is false (the only one after which the runner goes on working)
    ├── RunnerCrashed           its process ended on its own
    ├── RunnerHung              nothing moved: no progress, and its processor time stood still
    ├── RunnerDeadlineExceeded  it worked, but longer than it was given
    ├── RunnerCancelled         the caller's event was set
    ├── RunnerLimitExceeded     it took more than it was given, and was killed for it
    │   └── RunnerOutOfMemory
    └── RunnerProtocolError     what it wrote is not the protocol, or points outside its scratch folder

After every one but RunnerError (and a RunnerOutOfMemory with `killed` False) the sandbox is gone; start a new
RunnerProcess.
"""

from __future__ import annotations

import signal

__all__ = [
    "RunnerCancelled",
    "RunnerCrashed",
    "RunnerDeadlineExceeded",
    "RunnerError",
    "RunnerFailure",
    "RunnerHung",
    "RunnerLimitExceeded",
    "RunnerOutOfMemory",
    "RunnerProtocolError",
]


class RunnerFailure(Exception):
    """A request was not answered with a result."""


class RunnerError(RunnerFailure):
    """The runner answered that it could not do it. `scene_fault` is its own opinion of whose fault that is."""

    def __init__(self, code: str, message: str, scene_fault: bool, details: dict[str, object] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.scene_fault = scene_fault
        self.details = details or {}


class RunnerCrashed(RunnerFailure):
    """The process ended without an answer. One of `signal` and `returncode` is set."""

    def __init__(self, *, returncode: int | None, killed_by: int | None, stderr_tail: tuple[str, ...]) -> None:
        how = f"by {_signal_name(killed_by)}" if killed_by is not None else f"with exit code {returncode}"
        last = f"; its last line: {stderr_tail[-1]}" if stderr_tail else ""
        super().__init__(f"the runner ended {how}{last}")
        self.returncode = returncode
        self.signal = killed_by
        self.stderr_tail = stderr_tail


class RunnerHung(RunnerFailure):
    """Neither progress nor processor time for `silent_seconds`."""

    def __init__(self, silent_seconds: float) -> None:
        super().__init__(f"the runner stood still for {silent_seconds:.0f} s and was killed")
        self.silent_seconds = silent_seconds


class RunnerDeadlineExceeded(RunnerFailure):
    """The request took longer than the caller allowed."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the runner did not finish within {seconds:.0f} s and was killed")
        self.seconds = seconds


class RunnerCancelled(RunnerFailure):
    """The caller gave up; the sandbox was killed at once."""


class RunnerLimitExceeded(RunnerFailure):
    """`limit` is the field of `node.sandbox.Limits` that was passed."""

    def __init__(self, limit: str, used: int, allowed: int, *, killed: bool = True) -> None:
        super().__init__(
            f"the runner used {used:,} of {allowed:,} {limit.replace('_', ' ')}" + (" and was killed" if killed else "")
        )
        self.limit = limit
        self.used = used
        self.allowed = allowed
        self.killed = killed


class RunnerOutOfMemory(RunnerLimitExceeded):
    """More memory than `Limits.memory_bytes`. `killed` is False where the runner itself reported it and lives on."""


class RunnerProtocolError(RunnerFailure):
    """What a runner wrote cannot be trusted: garbage, an over-long line, a wrong id, a misplaced file."""


def _signal_name(number: int | None) -> str:
    try:
        return signal.Signals(number).name if number is not None else "nothing"
    except ValueError:
        return f"signal {number}"
