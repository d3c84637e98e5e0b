"""Looks at a sandbox several times a second and kills it when it takes more than it was given."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

from node.runner_process.usage import measure_scratch, measure_tree
from node.sandbox import SandboxSpec

__all__ = ["Breach", "Watchdog", "kill_tree"]

_LOOK_SECONDS = 0.2
_SCRATCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Breach:
    """`limit` names a field of `node.sandbox.Limits`."""

    limit: str
    used: int
    allowed: int


class Watchdog(threading.Thread):
    """Runs until the process ends or a limit is passed; then `breach` says which, and the process is dead."""

    def __init__(self, process: subprocess.Popen[bytes], spec: SandboxSpec) -> None:
        super().__init__(name=f"watchdog-{process.pid}", daemon=True)
        self._process = process
        self._spec = spec
        self._lock = threading.Lock()
        self._memory_peak = 0
        self.memory_bytes = 0
        self.cpu_seconds = 0.0
        self.breach: Breach | None = None

    def run(self) -> None:
        next_scratch = 0.0
        while self._process.poll() is None and self.breach is None:
            self.look()
            if self.breach is None and time.monotonic() >= next_scratch:
                started = time.monotonic()
                self._look_at_scratch()
                # A folder of many files takes long to walk: never spend more than a tenth of the time on it.
                next_scratch = started + max(_SCRATCH_SECONDS, 10 * (time.monotonic() - started))
            time.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Measure now, and act on it."""
        limits = self._spec.limits
        use = measure_tree(self._process.pid)
        with self._lock:
            self.memory_bytes = use.memory_bytes
            self._memory_peak = max(self._memory_peak, use.memory_bytes)
            self.cpu_seconds = max(self.cpu_seconds, use.cpu_seconds)
        if use.memory_bytes > limits.memory_bytes:
            self._end("memory_bytes", use.memory_bytes, limits.memory_bytes)
        elif use.processes > limits.processes + 2:  # bwrap itself is two
            self._end("processes", use.processes, limits.processes)

    def take_memory_peak(self) -> int:
        """The most memory seen since this was last asked, in bytes."""
        with self._lock:
            peak, self._memory_peak = self._memory_peak, self.memory_bytes
            return peak

    def _look_at_scratch(self) -> None:
        limits = self._spec.limits
        use = measure_scratch(
            self._spec.scratch, stop_at_bytes=limits.scratch_bytes, stop_at_files=limits.scratch_files
        )
        if use.bytes > limits.scratch_bytes:
            self._end("scratch_bytes", use.bytes, limits.scratch_bytes)
        elif use.files > limits.scratch_files:
            self._end("scratch_files", use.files, limits.scratch_files)

    def _end(self, limit: str, used: int, allowed: int) -> None:
        self.breach = Breach(limit, used, allowed)
        kill_tree(self._process)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group; a sandbox's own init dies with it, and with that init everything in its pid namespace."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
