"""How long a request may take, be silent, and what it used meanwhile."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from node.runner_process.errors import RunnerCancelled, RunnerDeadlineExceeded, RunnerHung
from node.runner_process.watchdog import Watchdog

__all__ = ["Usage", "Watch"]

_MOVING_CPU_SECONDS = 0.05
"""Less processor time than this in a whole silence is a thread that says "alive", not work."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the last request took, measured from outside."""

    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    """Looked at five times a second: a peak shorter than that can be missed."""


class Watch:
    """The clocks of one request."""

    def __init__(
        self, dog: Watchdog, *, silence: float, deadline: float | None, cancel: threading.Event | None, cpu_counts: bool
    ) -> None:
        self._dog = dog
        self._silence, self._deadline, self._cancel, self._cpu_counts = silence, deadline, cancel, cpu_counts
        dog.look()
        dog.take_memory_peak()
        self._started = self._moved = time.monotonic()
        self._cpu_at_start = self._cpu_at_move = dog.cpu_seconds

    def moved(self) -> None:
        self._moved, self._cpu_at_move = time.monotonic(), self._dog.cpu_seconds

    def check_cancel(self) -> None:
        if self._cancel is not None and self._cancel.is_set():
            raise RunnerCancelled("cancelled; the runner was killed")

    def check(self) -> None:
        self.check_cancel()
        now = time.monotonic()
        if self._deadline is not None and now - self._started > self._deadline:
            raise RunnerDeadlineExceeded(self._deadline)
        if self._cpu_counts and self._dog.cpu_seconds - self._cpu_at_move > _MOVING_CPU_SECONDS:
            self.moved()
        if now - self._moved > self._silence:
            raise RunnerHung(now - self._moved)

    def usage(self) -> Usage:
        self._dog.look()
        cpu = max(0.0, self._dog.cpu_seconds - self._cpu_at_start)
        return Usage(time.monotonic() - self._started, cpu, self._dog.take_memory_peak())
