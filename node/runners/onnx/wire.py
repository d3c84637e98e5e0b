"""JSON lines on a private copy of stdout, progress, and signs of life."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any, BinaryIO

__all__ = ["PROTOCOL", "RequestError", "Work", "send", "start_alive_thread", "take_stdout"]

PROTOCOL = 1
_PROGRESS_SECONDS = 0.5
_ALIVE_SECONDS = 2.0

_out: BinaryIO | None = None
_lock = threading.Lock()
_working_on: int | None = None


class RequestError(Exception):
    """Ends one request; the runner lives on. `scene_fault`: the model or its inputs would fail on every machine."""

    def __init__(self, code: str, message: str, *, scene_fault: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.scene_fault = scene_fault

    def as_json(self) -> dict[str, object]:
        return {"code": self.code, "message": self.message[:2000], "scene_fault": self.scene_fault}


def take_stdout() -> None:
    """Keep stdout for the protocol and point descriptor 1 at stderr, where a library's chatter may go."""
    global _out
    if _out is None:
        sys.stdout.flush()
        _out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)


def send(message: dict[str, Any]) -> None:
    """Write one line; when nobody reads any more, end."""
    assert _out is not None, "take_stdout first"
    line = json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    with _lock:
        try:
            _out.write(line)
        except OSError:
            os._exit(0)


class Work:
    """The request in hand, which signs of life speak of while it is entered. Progress is sent twice a second."""

    def __init__(self, request: int) -> None:
        self.request = request
        self._sent = 0.0

    def __enter__(self) -> Work:
        global _working_on
        _working_on = self.request
        return self

    def __exit__(self, *_: object) -> None:
        global _working_on
        _working_on = None

    def progress(self, done: float, detail: str) -> None:
        """`done` of 1."""
        now = time.monotonic()
        if now - self._sent >= _PROGRESS_SECONDS:
            self._sent = now
            send(
                {"id": self.request, "event": "progress", "done": round(min(max(done, 0.0), 1.0), 4), "detail": detail}
            )


def start_alive_thread() -> None:
    """While a request runs, say every two seconds how much processor time was used."""

    def beat() -> None:
        while True:
            time.sleep(_ALIVE_SECONDS)
            request = _working_on
            if request is not None:
                send({"id": request, "event": "alive", "cpu_seconds": round(time.process_time(), 2)})

    threading.Thread(target=beat, name="alive", daemon=True).start()
