"""Live progress on stderr: a bar on a terminal, plain lines elsewhere, nothing of it on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from coordinator.cli.report import seconds_text, short
from jobs.states import JobState
from jobs.wire import JobView

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Display", "TransferPace", "make_display"]

_PLAIN_SECONDS = 10.0
_PATIENT_SECONDS = 20.0
"""Before a job is quoted, waiting is only told when it lasts: a worker that has just been started is no news."""


class Display(Protocol):
    """Where a command says how far it is."""

    def step(self, line: str) -> None:
        """What is being done before there is a job; only a terminal shows it."""

    def note(self, line: str) -> None:
        """A line that stays."""

    def transfer(self, what: str, done: int, total: int) -> None: ...

    def job(self, job: JobView, look: str = "") -> None:
        """How far it is; `look`: what is seen of a still by now."""

    def show(self, table: Table) -> None: ...

    def close(self) -> None:
        """Leave the terminal as it is; what is shown after this begins anew."""


def make_display() -> Display:
    return TerminalDisplay() if sys.stderr.isatty() else PlainDisplay()


def cost_so_far(job: JobView) -> str:
    """About what has been earned by now: the quote's share of the tiles that passed."""
    if job.quote is None or not job.tiles:
        return ""
    return f"{float(job.quote.price_usd) * job.tiles_passed / job.tiles:.6f} USD"


class _Refusals:
    """The refusals that were not told yet."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int, int]] = set()

    def new(self, job: JobView) -> list[str]:
        lines = []
        for one in job.rejections:
            key = (one.node, one.tile, one.attempt)
            if key not in self._seen:
                self._seen.add(key)
                lines.append(f"refused: tile {one.tile} of {short(one.node)}: {one.reason}")
        return lines


class PlainDisplay:
    """A line when something changed, at most every ten seconds for mere progress."""

    def __init__(self, prefix: str = "") -> None:
        """`prefix` begins every line: which of several jobs it is of."""
        self._prefix = prefix
        self._refusals = _Refusals()
        self._last: tuple[Any, ...] = ()
        self._told_at = 0.0
        self._admitting_since = time.monotonic()

    def step(self, line: str) -> None:
        pass

    def note(self, line: str) -> None:
        print(self._prefix + line, file=sys.stderr, flush=True)

    def transfer(self, what: str, done: int, total: int) -> None:
        pass

    def job(self, job: JobView, look: str = "") -> None:
        if job.state is JobState.FAILED:
            return  # how is the command's last line
        if job.state is JobState.ADMITTING:
            if not self._last:
                self._last, self._admitting_since = (job.state,), time.monotonic()
            if not job.waiting_for or time.monotonic() - self._admitting_since < _PATIENT_SECONDS:
                return
        for line in self._refusals.new(job):
            self.note(line)
        now = (job.state, job.waiting_for, job.tiles_passed)
        changed = now[:2] != self._last[:2]
        if changed or (now != self._last and time.monotonic() - self._told_at > _PLAIN_SECONDS):
            self._last, self._told_at = now, time.monotonic()
            self.note(_line(job, look))

    def show(self, table: Table) -> None:
        from rich.console import Console

        Console(stderr=True).print(table)

    def close(self) -> None:
        pass


class TransferPace:
    """How long an upload or download still takes, at the pace it had since it began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._what = ""
        self._began, self._from = 0.0, 0

    def left(self, what: str, done: int, total: int) -> float | None:
        """Seconds; None in the first second, and where all is there. What was there already when it began (an upload
        that broke off goes on) says nothing about the pace."""
        now = self._clock()
        if what != self._what or done < self._from:
            self._what, self._began, self._from = what, now, done
        moved, took = done - self._from, now - self._began
        if moved <= 0 or took < 1 or done >= total:
            return None
        return (total - done) * took / moved


class TerminalDisplay:
    """One bar that is redrawn; notes and refusals stay above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

        self._refusals, self._pace = _Refusals(), TransferPace()
        self._console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, detail="")
        self._live = False

    def _begin(self) -> None:
        if not self._live:
            self._progress.start()
            self._live = True

    def step(self, line: str) -> None:
        self._begin()
        self._move(line, None, "")

    def note(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)

    def transfer(self, what: str, done: int, total: int) -> None:
        self._begin()
        left = self._pace.left(what, done, total)
        detail = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB" + (f", {seconds_text(left)} left" if left else "")
        self._move(what, done / total if total else 1.0, detail)

    def job(self, job: JobView, look: str = "") -> None:
        self._begin()
        for line in self._refusals.new(job):
            self.note(line)
        self._move(str(job.state), job.progress or None, _detail(job, look))

    def _move(self, what: str, done: float | None, detail: str) -> None:
        """`done` of 1; None where how long it will take is not known: then the bar swings."""
        total = None if done is None else 1.0
        # A task's total cannot be set back to unknown by update().
        self._progress.tasks[0].total = total
        # At 1 rich would take the task for finished and stop its clock, and another step follows.
        self._progress.update(self._task, description=what, completed=min(done or 0.0, 0.999), detail=detail)

    def show(self, table: Table) -> None:
        self._console.print(table)

    def close(self) -> None:
        if self._live:
            self._progress.stop()
            self._live = False


def _detail(job: JobView, look: str = "") -> str:
    if job.waiting_for and job.state in (JobState.ADMITTING, JobState.RUNNING):
        return f"waits for {job.waiting_for}"
    if job.state in (JobState.QUOTED, JobState.OPENING):
        return ""
    parts = [f"{job.tiles_passed}/{job.tiles} tiles"] if job.tiles else []
    if job.eta_seconds:
        parts.append(f"{seconds_text(job.eta_seconds)} left")
    if job.tiles_passed:
        parts.append(cost_so_far(job))
    if look:
        parts.append(look)
    return ", ".join(parts)


def _line(job: JobView, look: str = "") -> str:
    detail = _detail(job, look)
    return f"{job.state}: {detail}" if detail else str(job.state)
