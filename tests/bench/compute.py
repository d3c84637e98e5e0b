"""What tiles and audits compute: CPU time of the runners while they are at them.

By the clock an audit that shares its cores with the next tile takes several times as long, and slows that one; CPU time
shows what is computed, whoever else is computing.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from pathlib import Path

import psutil

__all__ = ["Meter"]

_LOOK_SECONDS = 0.2
_SEARCH_SECONDS = 1.0
_TRUSTED, _NODE = "trusted", "node-1"


class Meter(threading.Thread):
    """Counts, while it is entered, the CPU seconds of the runners of a stack that this process started."""

    def __init__(self, data: Path) -> None:
        """`data`: the stack's folder."""
        super().__init__(name="meter", daemon=True)
        self._data = data
        self._runners: dict[psutil.Process, str] = {}
        self._used: dict[psutil.Process, float] = {}
        self._looks: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._ended = threading.Event()

    def __enter__(self) -> Meter:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        searched = 0.0
        while not self._ended.wait(_LOOK_SECONDS):
            if time.monotonic() - searched >= _SEARCH_SECONDS:
                self._search()
                searched = time.monotonic()
            totals: dict[str, float] = defaultdict(float)
            for runner, owner in self._runners.items():
                try:
                    times = runner.cpu_times()
                    self._used[runner] = times.user + times.system
                except psutil.Error:
                    pass  # it has ended: what it had used by the last look counts
                totals[owner] += self._used.get(runner, 0.0)
            for owner, used in totals.items():
                self._looks[owner].append((time.time(), used))

    def _search(self) -> None:
        for process in psutil.Process().children(recursive=True):
            try:
                if process in self._runners or not _is_runner(process):
                    continue
                above = " ".join(" ".join(parent.cmdline()) for parent in process.parents())
            except psutil.Error:
                continue
            for owner in (_TRUSTED, _NODE):
                if f"nodes/{owner}" in above:
                    self._runners[process] = owner

    def shares(self, job: str) -> tuple[float, float]:
        """CPU seconds of the job's tiles at the one node, and of its audits at the trusted worker."""
        tiles = self._leases(job, "tile", "committed_at")
        audits = self._leases(job, "audit", "finished_at")
        return self._used_in(_NODE, tiles), self._used_in(_TRUSTED, audits)

    def _leases(self, job: str, kind: str, end: str) -> list[tuple[float, float]]:
        with sqlite3.connect(f"file:{self._data / 'kilnet.sqlite'}?mode=ro", uri=True) as database:
            rows = database.execute(
                f"SELECT created_at, {end} FROM leases WHERE job_id = ? AND kind = ? AND {end} IS NOT NULL "
                "ORDER BY created_at",
                (job, kind),
            ).fetchall()
        return [(float(begin), float(end)) for begin, end in rows]

    def _used_in(self, owner: str, spans: list[tuple[float, float]]) -> float:
        """In the union of these spans of Unix time."""
        used, reached = 0.0, 0.0
        for begin, end in spans:
            begin = max(begin, reached)
            if end > begin:
                used += self._used_by(owner, end) - self._used_by(owner, begin)
                reached = end
        return used

    def _used_by(self, owner: str, at: float) -> float:
        looks = self._looks[owner]
        after = bisect_left(looks, (at, 0.0))
        if after == 0:
            return 0.0
        if after == len(looks):
            return looks[-1][1]
        (t0, u0), (t1, u1) = looks[after - 1], looks[after]
        return u0 + (u1 - u0) * (at - t0) / (t1 - t0)


def _is_runner(process: psutil.Process) -> bool:
    command = process.cmdline()
    return (
        any(part.endswith(("/runner/blender", "/runner/node/runners/onnx")) for part in command)
        and "python" in command[0]
    )
