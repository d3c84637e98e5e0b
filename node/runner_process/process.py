"""The host's side of a runner: one process, one request at a time."""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from node.runner_process.clocks import Usage, Watch
from node.runner_process.errors import (
    RunnerCrashed,
    RunnerError,
    RunnerFailure,
    RunnerLimitExceeded,
    RunnerOutOfMemory,
    RunnerProtocolError,
)
from node.runner_process.watchdog import Watchdog, kill_tree
from node.runner_process.wire import LineReader, StderrTail, finite
from node.sandbox import Bubblewrap, Launcher, SandboxSpec

__all__ = ["RunnerProcess", "Usage"]

_LOOK_SECONDS = 0.1
_MAX_REQUEST_BYTES = 1024**2


class RunnerProcess:
    """A runner in its sandbox, answering JSON lines.

    `start()`, then `request()` as often as wanted, one at a time (a second caller waits), then `stop()`; or use it
    as a context manager. Paths in requests are the inside ones, `/job/...` and `/scratch/...`, whatever the
    launcher. All methods are safe to call from any thread; `kill()` and `cancel` work while another thread waits in
    `request()`.
    """

    def __init__(self, spec: SandboxSpec, *, launcher: Launcher | None = None) -> None:
        self.spec = spec
        self.ready: dict[str, object] = {}
        """The runner's first line: protocol, runtime, version and what else it says. Its own word: check it."""
        self.last_usage: Usage | None = None
        self._launcher = launcher or Bubblewrap()
        self._process: subprocess.Popen[bytes] | None = None
        self._one_at_a_time = threading.Lock()
        self._next_id = 1

    def start(self, *, timeout: float = 120.0, cancel: threading.Event | None = None) -> dict[str, object]:
        """Start the process and wait for its ready line, which is returned. `timeout` in seconds.

        Raises RunnerCrashed, RunnerHung (no ready line in time), RunnerLimitExceeded, RunnerProtocolError,
        RunnerCancelled.
        """
        if self._process is not None:
            raise RuntimeError("this runner was started before; make a new RunnerProcess")
        pipe = subprocess.PIPE
        try:
            self._process = self._launcher.start(self.spec, stdin=pipe, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise RunnerCrashed(returncode=None, killed_by=None, stderr_tail=(str(error),)) from error
        assert self._process.stdin and self._process.stdout and self._process.stderr
        os.set_blocking(self._process.stdin.fileno(), False)
        self._stderr = StderrTail(self._process.stderr.fileno())
        self._reader = LineReader(self._process.stdout.fileno(), on_broken=self.kill)
        self._watchdog = Watchdog(self._process, self.spec)
        for thread in (self._stderr, self._reader, self._watchdog):
            thread.start()
        watch = Watch(self._watchdog, silence=timeout, deadline=None, cancel=cancel, cpu_counts=False)
        with self._one_at_a_time, self._killing_on_failure():
            line = self._next_line(watch)
            if line.get("event") != "ready":
                raise RunnerProtocolError("the runner's first line is not its ready line")
            self.ready = line
        return line

    def request(
        self,
        op: str,
        payload: Mapping[str, object] | None = None,
        *,
        on_progress: Callable[[float], None] | None = None,
        silence_timeout: float = 300.0,
        deadline: float | None = None,
        cancel: threading.Event | None = None,
    ) -> dict[str, object]:
        """Send `{"id", "op", **payload}` and wait for its result.

        `on_progress` is called in this thread with a share between 0 and 1. `silence_timeout` and `deadline` are
        seconds from now: the first is how long there may be neither progress nor processor time used, the second
        how long the whole request may take (None: as long as it moves). Raises the errors of
        `node.runner_process.errors`; the result is the runner's own word, with nothing in it checked beyond being
        JSON.
        """
        with self._one_at_a_time:
            if self._process is None or not self.ready:
                raise RuntimeError("start() the runner first")
            number, self._next_id = self._next_id, self._next_id + 1
            body = self._launcher.translate(self.spec, {**(payload or {}), "id": number, "op": op})
            data = json.dumps(body, allow_nan=False).encode() + b"\n"
            if len(data) > _MAX_REQUEST_BYTES:
                raise ValueError(f"a request of {len(data):,} bytes: put long lists into a file under the job's assets")
            watch = Watch(self._watchdog, silence=silence_timeout, deadline=deadline, cancel=cancel, cpu_counts=True)
            try:
                with self._killing_on_failure():
                    self._write(data, watch)
                    return self._answer(number, watch, on_progress)
            finally:
                self.last_usage = watch.usage()

    @property
    def alive(self) -> bool:
        """The process runs; whether it would answer is another matter."""
        return self._process is not None and self._process.poll() is None

    @property
    def stderr_tail(self) -> tuple[str, ...]:
        """The last 200 lines of its stderr, made printable."""
        return self._stderr.tail() if self._process is not None else ()

    def kill(self) -> None:
        """End the sandbox and everything in it, now."""
        if self._process is not None:
            kill_tree(self._process)

    def stop(self, *, grace: float = 2.0) -> None:
        """Close its stdin, which asks a runner to end, and kill it after `grace` seconds. Safe to call twice."""
        process = self._process
        if process is None:
            return
        if process.stdin and not process.stdin.closed:
            process.stdin.close()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            kill_tree(process)
            process.wait()
        self._finish()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(grace=2.0 if kind is None else 0.0)

    def _answer(self, number: int, watch: Watch, on_progress: Callable[[float], None] | None) -> dict[str, object]:
        while True:
            line = self._next_line(watch)
            if line.get("id") != number or isinstance(line.get("id"), bool):
                raise RunnerProtocolError(
                    f"the runner answered request {ascii(line.get('id'))[:20]} where {number} was asked"
                )
            if line.get("event") == "progress":
                done = finite(line.get("done"))
                if done is None or not 0 <= done <= 1:
                    raise RunnerProtocolError("progress must be a number between 0 and 1")
                watch.moved()
                if on_progress is not None:
                    on_progress(done)
            elif line.get("ok") is True:
                result = line.get("result")
                if not isinstance(result, dict):
                    raise RunnerProtocolError("a result must be a JSON object")
                return result
            elif line.get("ok") is False:
                raise self._reported(line.get("error"))
            else:
                raise RunnerProtocolError("a line that is neither progress nor an answer")

    def _reported(self, error: object) -> RunnerFailure:
        if (
            not isinstance(error, dict)
            or not isinstance(error.get("code"), str)
            or not isinstance(error.get("message"), str)
        ):
            return RunnerProtocolError("an error must have a code and a message")
        code, message = error["code"][:64], error["message"][:2000]
        if code == "out_of_memory":
            allowed = self.spec.limits.memory_bytes
            return RunnerOutOfMemory("memory_bytes", self._watchdog.take_memory_peak(), allowed, killed=False)
        details = error.get("details")
        known = details if isinstance(details, dict) else None
        return RunnerError(code, message, error.get("scene_fault") is True, known)

    def _next_line(self, watch: Watch) -> dict[str, object]:
        while True:
            try:
                line = self._reader.lines.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                watch.check()
                continue
            if isinstance(line, ValueError):
                raise RunnerProtocolError(str(line))
            if line is None:
                raise self._ended()
            watch.check_cancel()
            return line

    def _write(self, data: bytes, watch: Watch) -> None:
        assert self._process and self._process.stdin
        left = memoryview(data)
        if not self.alive:
            # The sandbox has ended; what was inside may live for a moment longer, and even answer.
            raise self._ended()
        try:
            descriptor = self._process.stdin.fileno()
            while left:
                if select.select([], [descriptor], [], _LOOK_SECONDS)[1]:
                    left = left[os.write(descriptor, left) :]
                else:
                    watch.check()  # it does not read: then it may hang like anything else
        except (BrokenPipeError, ValueError):
            raise self._ended() from None

    def _ended(self) -> RunnerFailure:
        """Why the process is no more, or, if only its pipe is closed, why it will not be."""
        assert self._process
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            kill_tree(self._process)
            return RunnerProtocolError("the runner closed its output and went on running; it was killed")
        self._watchdog.join(2.0)
        self._stderr.join(1.0)
        breach = self._watchdog.breach
        if breach is not None:
            kind = RunnerOutOfMemory if breach.limit == "memory_bytes" else RunnerLimitExceeded
            return kind(breach.limit, breach.used, breach.allowed)
        killed_by = -code if code < 0 else code - 128 if 128 < code <= 128 + 64 else None
        return RunnerCrashed(
            returncode=None if killed_by else code, killed_by=killed_by, stderr_tail=self._stderr.tail()
        )

    def _killing_on_failure(self) -> _KillOnFailure:
        return _KillOnFailure(self)

    def _finish(self) -> None:
        assert self._process
        for thread in (self._watchdog, self._reader, self._stderr):
            # A reader may wait for room in its queue; whatever it holds is of no interest any more.
            while thread.is_alive():
                with_room = self._reader.lines
                while not with_room.empty():
                    with_room.get_nowait()
                thread.join(0.1)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream and not stream.closed:
                stream.close()


class _KillOnFailure:
    """After anything but a result or a well-formed error, nothing that the runner says could be believed."""

    def __init__(self, runner: RunnerProcess) -> None:
        self._runner = runner

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        survived = isinstance(error, RunnerError) or (isinstance(error, RunnerOutOfMemory) and not error.killed)
        if error is not None and not survived:
            self._runner.stop(grace=0.0)
