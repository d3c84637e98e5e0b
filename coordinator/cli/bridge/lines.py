"""The lines themselves: requests in, events out, from several threads, and a word that stops a request."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any

from jobs.errors import BadInput, KilnetError

__all__ = ["Request", "Stopped", "Talk", "read_requests"]

_LONGEST_LINE = 1 << 20


class Stopped(KilnetError):
    """The program asked this request to end."""

    code = "stopped"


class Talk:
    """Writes events, each a line of its own. The command's stdout belongs to it alone."""

    def __init__(self, out: IO[str]) -> None:
        self._out, self._lock = out, threading.Lock()

    def send(self, request: object, event: str, **fields: Any) -> None:
        """One event of the request with this id."""
        line = json.dumps({"id": request, "event": event, **fields}, ensure_ascii=False)
        with self._lock:
            try:
                self._out.write(line + "\n")
                self._out.flush()
            except (BrokenPipeError, ValueError):
                # Whoever listened is gone; the end of stdin says so too.
                return


class Request:
    """One request while it is worked on."""

    def __init__(self, talk: Talk, message: dict[str, Any]) -> None:
        self.id = message.get("id")
        self.do = str(message.get("do", ""))
        self._fields, self._talk, self._stop = message, talk, threading.Event()

    def text(self, name: str, default: str | None = None) -> str:
        """A field that must be text. Raises BadInput."""
        value = self._fields.get(name, default)
        if not isinstance(value, str) or (default is None and not value):
            raise BadInput(f"{self.do}: {name} must be text")
        return value

    def number(self, name: str) -> int | None:
        """A field that may be left out and must be a whole number. Raises BadInput."""
        value = self._fields.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise BadInput(f"{self.do}: {name} must be a whole number")
        return value

    def options(self) -> dict[str, Any]:
        """The field `options`: what a person would type after the command, by name. Raises BadInput."""
        value = self._fields.get("options", {})
        if not isinstance(value, dict):
            raise BadInput(f"{self.do}: options must be an object")
        return value

    def say(self, event: str, **fields: Any) -> None:
        """Raises Stopped where the program has asked for the end of this request."""
        self.check()
        self._talk.send(self.id, event, **fields)

    def end(self, event: str, **fields: Any) -> None:
        self._talk.send(self.id, event, **fields)

    def stop(self) -> None:
        self._stop.set()

    def check(self) -> None:
        """Raises Stopped."""
        if self._stop.is_set():
            raise Stopped(f"{self.do}: stopped")

    def wait(self, seconds: float) -> None:
        """Raises Stopped."""
        self._stop.wait(seconds)
        self.check()


def read_requests(source: IO[str] | None = None) -> Iterator[dict[str, Any] | str]:
    """What the program asks for, until it closes the pipe; a line that is no request as the reason why."""
    source = source or sys.stdin
    while line := source.readline(_LONGEST_LINE):
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield f"a line that is no JSON: {error}"
            continue
        yield message if isinstance(message, dict) else "a line that is no JSON object"
