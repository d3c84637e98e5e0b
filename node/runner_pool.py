"""Warm runners: one sandboxed process for each job, because a job's sandbox sees that job's files and no others."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.runner_process import RunnerFailure, RunnerProcess, open_result
from node.runner_programs import BLENDER, RunnerSettings, runner_spec
from node.sandbox import SCRATCH, Launcher

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

__all__ = ["RunnerPool", "WarmRunner"]

log = logging.getLogger("kilnet.node")

_START_SECONDS = 300.0
_SILENCE_SECONDS = 600.0
_BETWEEN_SPARES = 10.0
"""Seconds between two starts ahead: one that dies at once must not be started for ever."""


class WarmRunner:
    """A started runner and its scratch folder. Every result is taken out of the folder as soon as it is there."""

    def __init__(self, process: RunnerProcess, runtime: str, job: str, slot: Path | None = None) -> None:
        self.process, self.runtime, self.job = process, runtime, job
        self._slot = slot
        self.holder: int | None = None
        """Ident of the thread that works with it; None while it is idle."""
        self.retired = False
        self.scratch = process.spec.scratch
        self.version = str(process.ready.get("version", ""))
        self.used_at = time.monotonic()

    def request(
        self,
        op: str,
        payload: Mapping[str, object],
        *,
        cancel: threading.Event | None = None,
        on_progress: Callable[[float], None] | None = None,
        deadline: float | None = None,
    ) -> dict[str, Any]:
        """As RunnerProcess.request. Raises RunnerFailure."""
        try:
            return dict(
                self.process.request(
                    op,
                    payload,
                    cancel=cancel,
                    on_progress=on_progress,
                    silence_timeout=_SILENCE_SECONDS,
                    deadline=deadline,
                )
            )
        finally:
            self.used_at = time.monotonic()

    def take(self, name: object, into: memoryview) -> None:
        """Read the result `name`, which must have exactly the length of `into`, and remove it. Raises RunnerFailure."""
        with open_result(self.scratch, name, size=len(into)) as (file, _):
            got = 0
            while got < len(into):
                count = file.readinto(into[got:])  # type: ignore[attr-defined]
                if not count:
                    raise RunnerFailure(f"the result {name} shrank while it was read")
                got += count
        self.clear()

    def give(self, name: str, data: Buffer) -> str:
        """Put `data` into a new file `name` of the scratch folder; returns its path inside.

        Never through a link that the runner may have left there.
        """
        path = self.scratch / name
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        return f"{SCRATCH}/{name}"

    def clear(self) -> None:
        """Empty the scratch folder."""
        for entry in os.scandir(self.scratch):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink()

    def show(self, folder: Path) -> None:
        """Let a runner that was started before its job was known see the job's files (hard links) at /job."""
        if self._slot is None:
            return
        for path in folder.rglob("*"):
            target = self._slot / path.relative_to(folder)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            elif not target.exists():
                os.link(path, target)

    @property
    def alive(self) -> bool:
        return self.process.alive

    def close(self) -> None:
        self.process.stop(grace=0.5)
        shutil.rmtree(self.scratch, ignore_errors=True)
        if self._slot is not None:
            shutil.rmtree(self._slot, ignore_errors=True)


class RunnerPool:
    """The runners of an agent.

    A thread that gets one holds it until it calls `rest`; an idle one stays warm for whoever comes next with the same
    job, and the least recently used idle one goes when there are more than `keep`.

    Safe to use from several threads.
    """

    def __init__(self, root: Path, settings: RunnerSettings, launcher: Launcher, *, keep: int = 1) -> None:
        self.settings, self.launcher = settings, launcher
        self.scratch_root, self._keep = root, max(1, keep)
        shutil.rmtree(root, ignore_errors=True)  # what an earlier process left
        root.mkdir(parents=True)
        self._lock = threading.Lock()
        self._runners: list[WarmRunner] = []
        self._spare: WarmRunner | None = None
        self._preparing = threading.Lock()
        self._next_spare = 0.0
        self._count = 0

    def get(self, runtime: str, job: str, folder: Path, *, cancel: threading.Event | None = None) -> WarmRunner:
        """A runner of the job for this thread: the one it holds, an idle one, or a new one. Raises RunnerFailure where
        none starts."""
        me = threading.get_ident()
        with self._sorting_out():
            mine = [r for r in self._of(job) if r.runtime == runtime and r.holder in (me, None)]
            runner = next((r for r in mine if r.holder == me), mine[0] if mine else None)
            if runner is not None:
                runner.holder = me
        if runner is None:
            runner = self._take_spare(runtime, job) or self._start(runtime, job, folder, cancel)
            runner.holder = me
            with self._sorting_out():
                self._runners.append(runner)
        runner.show(folder)
        return runner

    def prepare(self) -> None:
        """Start a Blender for whatever job comes next, unless one waits already: opening it takes longer than many a
        tile. To be called by a thread that has nothing to do. A start that fails is told, and met again by a job."""
        if not self._preparing.acquire(blocking=False):
            return
        try:
            if (self._spare is not None and self._spare.alive) or time.monotonic() < self._next_spare:
                return
            self._next_spare = time.monotonic() + _BETWEEN_SPARES
            slot = self.scratch_root / f"slot-{time.monotonic_ns()}"
            slot.mkdir(mode=0o755)
            try:
                self._spare = self._start(BLENDER, "", slot, None, slot=slot)
            except RunnerFailure as error:
                shutil.rmtree(slot, ignore_errors=True)
                log.warning("no runner could be started ahead: %s", error)
        finally:
            self._preparing.release()

    def _take_spare(self, runtime: str, job: str) -> WarmRunner | None:
        if runtime != BLENDER:
            return None
        with self._sorting_out(room_for=1):
            spare, self._spare = self._spare, None
        if spare is None or not spare.alive:
            if spare is not None:
                spare.close()
            return None
        spare.job, spare.used_at = job, time.monotonic()
        return spare

    def rest(self) -> None:
        """This thread's runners are idle from here on."""
        me = threading.get_ident()
        with self._sorting_out():
            for runner in self._runners:
                if runner.holder == me:
                    runner.holder, runner.used_at = None, time.monotonic()

    def jobs(self) -> tuple[str, ...]:
        """Jobs whose files are loaded, the warmest first."""
        with self._lock:
            return tuple(dict.fromkeys(r.job for r in sorted(self._runners, key=lambda r: -r.used_at)))[:16]

    def discard(self, job: str) -> None:
        """Stop the runners of a job that nobody else holds: it failed, or is over."""
        me = threading.get_ident()
        with self._sorting_out():
            for runner in self._of(job):
                if runner.holder in (me, None):
                    runner.retired = True

    def discard_idle(self, seconds: float) -> None:
        """Stop runners that nobody used for so long: their memory is worth more than their warmth."""
        with self._sorting_out():
            for runner in self._runners:
                if runner.holder is None and time.monotonic() - runner.used_at > seconds:
                    runner.retired = True

    def log_tail(self, job: str) -> str:
        """The last lines that the job's runners wrote to stderr."""
        with self._lock:
            lines = [line for runner in self._of(job) for line in runner.process.stderr_tail]
        return "\n".join(lines[-60:])[-8000:]

    def close(self) -> None:
        """Stop all of them, whoever holds them."""
        with self._sorting_out():
            for runner in self._runners:
                runner.retired = True
        with self._preparing:
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()
        shutil.rmtree(self.scratch_root, ignore_errors=True)

    def _of(self, job: str) -> list[WarmRunner]:
        return [runner for runner in self._runners if runner.job == job]

    @contextmanager
    def _sorting_out(self, *, room_for: int = 0) -> Iterator[None]:
        """A look at the runners, alone; those that are dead, retired or too many are stopped after it."""
        with self._lock:
            for runner in self._runners:
                if runner.holder in (None, threading.get_ident()) and not runner.alive:
                    runner.retired = True
            self._runners, gone = _parted(self._runners)
            yield
            idle = sorted((r for r in self._runners if r.holder is None and not r.retired), key=lambda r: r.used_at)
            busy = sum(r.holder is not None for r in self._runners)
            for runner in idle[: max(0, len(idle) + busy + room_for - self._keep)]:
                runner.retired = True
            self._runners, more = _parted(self._runners)
        for runner in (*gone, *more):
            runner.close()

    def _start(
        self, runtime: str, job: str, folder: Path, cancel: threading.Event | None, *, slot: Path | None = None
    ) -> WarmRunner:
        with self._sorting_out(room_for=1):
            self._count += 1
            scratch = self.scratch_root / f"{runtime}-{self._count}"
        scratch.mkdir(mode=0o700)
        process = RunnerProcess(
            runner_spec(self.settings, runtime, scratch=scratch, folder=folder), launcher=self.launcher
        )
        started = time.monotonic()
        try:
            process.start(timeout=_START_SECONDS, cancel=cancel)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        log.debug("%s runner started in %.1f s", runtime, time.monotonic() - started)
        return WarmRunner(process, runtime, job, slot)


def _parted(runners: list[WarmRunner]) -> tuple[list[WarmRunner], list[WarmRunner]]:
    return [r for r in runners if not r.retired], [r for r in runners if r.retired]
