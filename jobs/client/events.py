"""Following a job: server-sent events, resumed after the last one seen when the connection breaks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from httpx_sse import EventSource

from jobs.client.transport import Transport
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


def follow(transport: Transport, job: str, *, after: str | None = None) -> Iterator[JobEvent]:
    """Events of `job` after the one with the id `after` (None: from its first), each once, until the job has ended.

    Raises Unavailable when the gateway stays away for `transport.patience` seconds, Refused for no such job.
    """
    last, delay, give_up = after, 0.25, time.monotonic() + transport.patience
    while True:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last is not None:
            headers["Last-Event-ID"] = last
        try:
            with transport.stream(f"/v1/jobs/{job}/events", headers, timeout=_SILENCE_SECONDS) as response:
                for sent in EventSource(response).iter_sse():
                    delay, give_up = 0.25, time.monotonic() + transport.patience
                    last = sent.id or last
                    if sent.data:
                        yield JobEvent(id=sent.id, type=sent.event, data=json.loads(sent.data))
                return
        except Unavailable:
            if time.monotonic() + delay > give_up:
                raise
            time.sleep(delay)
            delay = min(2 * delay, 15.0)
