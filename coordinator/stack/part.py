"""One process of the stack: what it is, and how it is started, looked at and stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

__all__ = ["Part", "PartState", "RunningPart"]

_LEASH = Path(__file__).with_name("leash.py")
_LOG_LIMIT_BYTES = 8 << 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds before a dead part is started again; doubled each time it dies young."""
_YOUNG_SECONDS = 10.0
_SETTLE_SECONDS = 0.5
_ASK_SECONDS = 0.1


@dataclass(frozen=True)
class Part:
    """What is to run. Names are those of the log files and of `kilnet up`'s table."""

    name: str
    command: Sequence[str]
    title: str = ""
    """For people."""
    ready: Callable[[float], bool] | None = None
    """Whether it does its work by now, told when it was started (Unix seconds); asked often, so it answers at once.
    Exceptions mean no. None where there is nothing to ask: it counts as ready when it has lived for a moment."""
    awaited: bool = True
    """Whether the stack is not up before this part is."""
    after: tuple[str, ...] = ()
    """Parts that must be ready before this one is started for the first time."""
    once: bool = False
    """A step that ends by itself; ready when it ended with 0."""
    environment: Mapping[str, str] = field(default_factory=dict)
    end_signal: signal.Signals = signal.SIGKILL
    """What it gets when the supervisor is killed: everything here survives that."""
    stop_seconds: float = 5.0
    """How long it may take to end after SIGTERM."""
    stop_rank: int = 0
    """Lower ranks are stopped first."""
    nice: int = 0


class PartState(StrEnum):
    WAITING = "waiting"
    """For what it stands on, or before it is started again."""
    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"


class RunningPart:
    """A part and its process. Every method returns at once but `stop`."""

    def __init__(self, part: Part, log: Path) -> None:
        self.part = part
        self.log = log
        self.state = PartState.WAITING
        self.restarts = 0
        self.young_deaths = 0
        """Deaths in a row, each within a few seconds of its start."""
        self.last_status: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._longest_young_life = 0.0
        self._started_at = 0.0
        self._started_time = 0.0
        self._asked_at = 0.0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Starts it on its leash, if its pause is over."""
        if time.monotonic() < self._not_before:
            return
        part = self.part
        leash = [sys.executable, "-I", "-S", str(_LEASH), str(int(part.end_signal)), str(part.nice), str(os.getpid())]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*leash, *part.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **part.environment},
                start_new_session=True,  # Ctrl-C at the terminal is for the supervisor, which stops them in order
            )
        self._started_at, self._started_time = time.monotonic(), time.time()
        self.state = PartState.STARTING

    def look(self) -> bool:
        """Notices what happened to it; True where its state changed."""
        before = self.state
        if self._process is not None and (status := self._process.poll()) is not None:
            self._ended(status)
        elif self.state is PartState.STARTING and not self.part.once and self._is_ready():
            self.state = PartState.READY
        return self.state is not before

    def _ended(self, status: int) -> None:
        self._process = None
        self.last_status = status
        if self.part.once and status == 0:
            self.state = PartState.READY
            return
        life = time.monotonic() - self._started_at
        if life < _YOUNG_SECONDS:
            self.young_deaths += 1
            self._longest_young_life = max(life, self._longest_young_life)
        else:
            self.young_deaths, self._longest_young_life = 1, 0.0
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self.young_deaths - 1))
        self._not_before = time.monotonic() + pause
        self.restarts += 1
        self.state = PartState.WAITING

    def _is_ready(self) -> bool:
        # One that has died young is believed again when it has lived clearly longer than that.
        life = time.monotonic() - self._started_at
        if life < 2 * self._longest_young_life or time.monotonic() - self._asked_at < _ASK_SECONDS:
            return False
        self._asked_at = time.monotonic()
        try:
            return life > _SETTLE_SECONDS if self.part.ready is None else self.part.ready(self._started_time)
        except Exception:  # whatever a part that is not up yet makes its probe raise
            return False

    def ask_to_stop(self) -> None:
        """SIGTERM, once; `stop` then waits."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self) -> None:
        """Ends it: SIGTERM, and SIGKILL for its whole process group when that takes too long."""
        process, self._process = self._process, None
        self.state = PartState.STOPPED
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self.part.stop_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def rotate_log(self) -> None:
        """Moves what is in a large log aside. Processes append, so cutting the file under them is safe."""
        try:
            if self.log.stat().st_size > _LOG_LIMIT_BYTES:
                shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
                os.truncate(self.log, 0)
        except FileNotFoundError:
            pass

    def last_lines(self, count: int = 5) -> list[str]:
        """The end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 8192))
                return file.read().decode(errors="replace").splitlines()[-count:]
        except OSError:
            return []
