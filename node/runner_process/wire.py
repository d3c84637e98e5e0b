"""Reading what a runner writes. It is a stranger's program: nothing here trusts a length, a rate or a shape."""

from __future__ import annotations

import json
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NoReturn

__all__ = ["MAX_LINE_BYTES", "LineReader", "StderrTail", "parse_line"]

MAX_LINE_BYTES = 1024**2
_MAX_LINES_PER_SECOND = 2000
_WAITING_LINES = 256
_TAIL_LINES = 200
_TAIL_LINE_BYTES = 2000
_CHUNK = 65536


def parse_line(line: bytes) -> dict[str, object]:
    """One JSON object, with finite numbers only. Raises ValueError with what is wrong."""
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {_shown(line)} ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object: {_shown(line)}")
    return value


class LineReader(threading.Thread):
    """Takes lines off a pipe into a bounded queue: dicts, then one exception (protocol) or None (end of file).

    Lines `{"event": "alive"}` are dropped here: they would fill the queue of a runner that nobody talks to.
    """

    def __init__(self, descriptor: int, *, on_broken: Callable[[], None]) -> None:
        super().__init__(name="runner-stdout", daemon=True)
        self._descriptor = descriptor
        self._on_broken = on_broken
        self.lines: queue.Queue[dict[str, object] | ValueError | None] = queue.Queue(maxsize=_WAITING_LINES)
        self._window_start = time.monotonic()
        self._window_lines = 0

    def run(self) -> None:
        pending = bytearray()
        try:
            while chunk := os.read(self._descriptor, _CHUNK):
                pending += chunk
                *lines, rest = pending.split(b"\n")
                for line in lines:
                    self._take(line)
                pending = bytearray(rest)
                if len(pending) > MAX_LINE_BYTES:
                    raise ValueError(f"a line is longer than {MAX_LINE_BYTES:,} bytes")
        except ValueError as error:
            self.lines.put(error)
            self._on_broken()
        except OSError:
            self.lines.put(None)
        else:
            self.lines.put(None)

    def _take(self, line: bytes | bytearray) -> None:
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"a line is longer than {MAX_LINE_BYTES:,} bytes")
        self._count()
        if not line.strip():
            return
        value = parse_line(bytes(line))
        if value.get("event") != "alive":
            self.lines.put(value)

    def _count(self) -> None:
        now = time.monotonic()
        if now - self._window_start > 1:
            self._window_start, self._window_lines = now, 0
        self._window_lines += 1
        if self._window_lines > _MAX_LINES_PER_SECOND:
            raise ValueError(f"more than {_MAX_LINES_PER_SECOND} lines in a second")


class StderrTail(threading.Thread):
    """Keeps the last 200 lines of what a runner says, each cut at 2,000 bytes and made printable, for the operator."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(name="runner-stderr", daemon=True)
        self._descriptor = descriptor
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)

    def tail(self) -> tuple[str, ...]:
        return tuple(self._lines)

    def run(self) -> None:
        pending = b""
        try:
            while chunk := os.read(self._descriptor, _CHUNK):
                *lines, pending = (pending + chunk).split(b"\n")
                self._lines.extend(map(_printable, lines))
                if len(pending) > _TAIL_LINE_BYTES:
                    pending = pending[:_TAIL_LINE_BYTES]
        except OSError:
            pass
        if pending:
            self._lines.append(_printable(pending))


def finite(value: object) -> float | None:
    """`value` as a float if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _shown(line: bytes) -> str:
    return ascii(line[:60].decode("utf-8", errors="replace"))


def _printable(line: bytes) -> str:
    # Terminal escapes in a log that an operator reads could rewrite what is on the screen.
    text = line[:_TAIL_LINE_BYTES].decode("utf-8", errors="replace")
    return "".join(
        character if character.isprintable() or character == "\t" else "\N{REPLACEMENT CHARACTER}" for character in text
    )
