"""Keeps the parts of a stack running: starts them in order, starts again what dies, stops them all at the end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from coordinator.stack.layout import Layout
from coordinator.stack.part import Part, PartState, RunningPart
from jobs.errors import KilnetError, Unavailable

__all__ = ["STACK_READY", "Supervisor", "write_json"]

STACK_READY = "ready"
_GIVE_UP_DEATHS = 6
"""A part that dies this often in a row before the stack was ready for the first time will not come up."""
_START_SECONDS = 120.0
_ROTATE_SECONDS = 10.0


def write_json(path: Path, value: object, *, mode: int = 0o600) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never half of one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
    aside.replace(path)


class Supervisor:
    """The parts of one stack. All of it runs in one thread: `step` does what there is to do and returns."""

    def __init__(self, layout: Layout, parts: Sequence[Part], facts: dict[str, Any]) -> None:
        """`facts` (ports, addresses) are published in the status file beside what runs."""
        self.layout = layout
        self.facts = facts
        self.parts = {part.name: RunningPart(part, layout.logs / f"{part.name}.log") for part in parts}
        self.was_ready = False
        self._created = time.monotonic()
        self._rotated = 0.0
        self._published: dict[str, Any] | None = None

    def step(self) -> bool:
        """Looks at every part and starts what can be started; True where something changed.

        Raises Unavailable, with the end of its log, for a part that never comes up.
        """
        changed = False
        for running in self.parts.values():
            changed |= running.look()
            if running.state is PartState.WAITING and self._may_start(running.part):
                running.start()
                changed |= running.state is not PartState.WAITING
        self.was_ready |= self.ready
        if not self.was_ready:
            self._check_start()
        if time.monotonic() - self._rotated > _ROTATE_SECONDS:
            self._rotated = time.monotonic()
            for running in self.parts.values():
                running.rotate_log()
        self.publish()
        return changed

    @property
    def ready(self) -> bool:
        """Whether all parts that are awaited do their work: jobs can be sent."""
        return all(running.state is PartState.READY for running in self.parts.values() if running.part.awaited)

    def run(self, should_stop: Callable[[float], bool], on_change: Callable[[Supervisor], None]) -> None:
        """Until `should_stop`, which waits for up to the seconds it is given. Does not stop the parts."""
        while True:
            if self.step():
                on_change(self)
            if should_stop(0.2 if self.ready else 0.03):
                return

    def stop(self) -> None:
        """Ends everything, what works on jobs first, so that it can still give back what it holds."""
        self.publish("stopping")
        ranks = sorted({running.part.stop_rank for running in self.parts.values()})
        for rank in ranks:
            together = [running for running in self.parts.values() if running.part.stop_rank == rank]
            for running in together:
                running.ask_to_stop()
            for running in together:
                running.stop()
        self.layout.status.unlink(missing_ok=True)

    def publish(self, state: str | None = None) -> None:
        """Writes the status file where it would say something new."""
        status = {
            **self.facts,
            "state": state or (STACK_READY if self.was_ready else "starting"),
            "pid": os.getpid(),
            "parts": {
                name: {"state": running.state.value, "pid": running.pid, "restarts": running.restarts}
                for name, running in self.parts.items()
            },
        }
        if status != self._published:
            write_json(self.layout.status, status)
            self._published = status

    def _may_start(self, part: Part) -> bool:
        # What a part stands on is asked for once: later it has to live with that part dying and coming back.
        first = self.parts[part.name].last_status is None
        return not first or all(self.parts[name].state is PartState.READY for name in part.after)

    def _check_start(self) -> None:
        for running in self.parts.values():
            if running.young_deaths >= _GIVE_UP_DEATHS:
                raise self._failure(running, f"ended with status {running.last_status} each time it was started")
        if time.monotonic() - self._created > _START_SECONDS:
            late = next(one for one in self.parts.values() if one.part.awaited and one.state is not PartState.READY)
            raise self._failure(late, f"was not ready after {_START_SECONDS:.0f} s")

    @staticmethod
    def _failure(running: RunningPart, what: str) -> KilnetError:
        lines = [line.strip() for line in running.last_lines() if line.strip()]
        said = f": {lines[-1]}" if lines else ""
        return Unavailable(f"{running.part.name} {what}{said} ; see {running.log}", code="stack_failed")
