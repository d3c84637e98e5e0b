"""Following a job: server-sent events, resumed after the last one seen when the connection breaks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jobs.client.calls import Calls
from jobs.client.effects import Close, Program, Sleep, Tell
from jobs.errors import Unavailable

__all__ = ["JobEvent", "follow"]

_SILENCE_SECONDS = 45.0
"""The gateway says something at least every 15 s; after this long the connection is taken for dead."""


@dataclass(frozen=True)
class JobEvent:
    """One step of a job."""

    id: str
    """What to resume after."""
    type: str
    """`job`, `tile` or `output`."""
    data: dict[str, Any]


class _Lines:
    """Server-sent events out of pieces of a body (the WHATWG's HTML standard, 9.2.6, without `retry`)."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, str] = {}

    def take(self, piece: bytes) -> Iterator[dict[str, str]]:
        """The events that `piece` completes, each as its fields."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for raw in lines:
            line = raw.removesuffix(b"\r").decode("utf-8", "replace")
            if line:
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if name == "data" and "data" in self._fields:
                    value = f"{self._fields['data']}\n{value}"
                if name:
                    self._fields[name] = value
            elif self._fields:
                yield self._fields
                self._fields = {}


def follow(calls: Calls, job: str, *, after: str | None = None) -> Program[None]:
    """Tells the events of `job` after the one with the id `after` (None: from its first), each once, until the job has
    ended.

    Raises Unavailable when the gateway stays away for the client's patience, Refused for no such job.
    """
    last, delay, give_up = after, 0.25, time.monotonic() + calls.patience
    while True:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        if last is not None:
            headers["Last-Event-ID"] = last
        lines = _Lines()
        try:
            response = yield from calls.open(f"/v1/jobs/{job}/events", headers, timeout=_SILENCE_SECONDS)
            while (piece := (yield from calls.next(response))) is not None:
                for sent in lines.take(piece):
                    delay, give_up = 0.25, time.monotonic() + calls.patience
                    last = sent.get("id") or last
                    if sent.get("data"):
                        yield Tell(JobEvent(last or "", sent.get("event", ""), json.loads(sent["data"])))
            yield Close(response)
            return
        except Unavailable:
            if time.monotonic() + delay > give_up:
                raise
            yield Sleep(delay)
            delay = min(2 * delay, 15.0)
