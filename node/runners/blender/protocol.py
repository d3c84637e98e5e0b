# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON lines on a private copy of stdout, and the signs of life between request and answer.

Blender prints to file descriptor 1 whenever it likes. `take_stdout` keeps the real one for the protocol and points 1
at 2.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

PROTOCOL = 1
PROGRESS_EVERY_S = 0.5
ALIVE_EVERY_S = 2.0
_MOST_UNTOLD = 0.98
"""Of a render's samples: that they are all taken only Cycles says."""

_out: BinaryIO | None = None
_lock = threading.Lock()


def take_stdout() -> None:
    """Keep stdout for the protocol; whatever else is printed goes to stderr. Once per process."""
    global _out
    if _out is None:
        sys.stdout.flush()
        _out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)


def give_back_stdout() -> None:
    """Before this process becomes another program: descriptor 1 is the protocol's again."""
    assert _out is not None
    os.dup2(_out.fileno(), 1)


def send(message: dict[str, Any]) -> None:
    """Write one line. A reader that has gone away ends the process: nobody is left to work for."""
    assert _out is not None, "take_stdout first"
    line = json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    with _lock:
        try:
            _out.write(line)
        except OSError:
            os._exit(0)


class Work:
    """What is being done for one request: turns Blender's status lines into progress and into sync time.

    `sync_seconds` is the time Cycles spent getting the scene ready (every status before `Sample n/m`), which is the
    part of a call that does not depend on pixels and samples; `sampling_seconds` is the time it then took samples.

    Without a window Cycles tells of its first sample and then often of none until the last, so that between the two
    `pass_time` goes on at the rate of the samples told of.
    """

    def __init__(self, request: int | str | None) -> None:
        self.request = request
        self.sync_seconds = 0.0
        self.sampling_seconds = 0.0
        self.base, self.share = 0.0, 1.0
        self._last_sent = self._most_sent = 0.0
        self._part, self._part_seconds = 0.0, 0.0
        self._mark = time.perf_counter()
        self._phase = "idle"

    def step(self, base: float, share: float) -> None:
        """From here on a render counts as `share` of the request, beginning at `base` (both of 1)."""
        self.base, self.share = base, share

    def begin_render(self) -> None:
        self._mark, self._phase = time.perf_counter(), "sync"
        self._part = self._part_seconds = 0.0

    def status(self, text: str) -> None:
        """A line of Blender's render statistics."""
        now = time.perf_counter()
        if self._phase == "sync":
            self.sync_seconds += now - self._mark
        elif self._phase == "sampling":
            self.sampling_seconds += now - self._mark
            self._part_seconds += now - self._mark
        self._mark = now
        head, found, rest = text.rpartition("Sample ")
        ended = text.endswith("Finished") or text.startswith("Time:")
        self._phase = "sampling" if found else "idle" if ended else "sync"
        if found:
            done, _, total = rest.split(",")[0].partition("/")
            with contextlib.suppress(ValueError, ZeroDivisionError):
                self._part = min(1.0, int(done) / int(total))
        detail = (found + rest) if found else head or text
        part = self._part if found else 0.0
        self.progress(self.base + self.share * part, detail.split(" | ", 1)[-1][:120], now=now)

    def pass_time(self) -> None:
        """Tell how far the samples should be by now. From another thread: it may be a status behind, no more."""
        now = time.perf_counter()
        if self._phase == "sampling" and self._part and self._part_seconds:
            part = min(_MOST_UNTOLD, self._part * (1 + (now - self._mark) / self._part_seconds))
            self.progress(self.base + self.share * part, "Sampling", now=now)

    def progress(self, done: float, detail: str, *, now: float | None = None) -> None:
        now = time.perf_counter() if now is None else now
        if now - self._last_sent >= PROGRESS_EVERY_S:
            self._last_sent, self._most_sent = now, min(1.0, max(done, self._most_sent))
            send({"id": self.request, "event": "progress", "done": round(self._most_sent, 4), "detail": detail})


_current: Work | None = None


def current() -> Work:
    """The work in progress; a throw-away one outside a request, so that callers need not ask."""
    return _current or Work(None)


@contextlib.contextmanager
def working(request: int | str | None) -> Iterator[Work]:
    global _current
    _current = work = Work(request)
    try:
        yield work
    finally:
        _current = None


def start_alive_thread() -> None:
    """CPU seconds and progress at a low rate while a request runs: tells a watcher a long silent phase from a hang."""

    def beat() -> None:
        while True:
            time.sleep(ALIVE_EVERY_S)
            work = _current
            if work is not None:
                work.pass_time()
                send({"id": work.request, "event": "alive", "cpu_seconds": round(time.process_time(), 2)})

    threading.Thread(target=beat, name="alive", daemon=True).start()
