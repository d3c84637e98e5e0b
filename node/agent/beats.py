"""Heartbeats for every lease that is being worked on or still has something to send."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.wire import Heartbeat
from node.gateway import Away, GatewayClient, GatewayError, LeaseLost, NotFound
from node.outbox import LeaseRef

__all__ = ["Beat", "Beats"]

log = logging.getLogger("kilnet.node")


@dataclass(slots=True)
class Beat:
    """What is told about one lease, and whether it is still wanted."""

    ref: LeaseRef
    cancel: threading.Event = field(default_factory=threading.Event)
    """Set when the gateway does not want the result any more."""
    progress: float = 0.0
    detail: str = ""
    due: float = 0.0

    def report(self, progress: float, detail: str) -> None:
        self.progress, self.detail = min(max(progress, 0.0), 1.0), detail


class Beats(threading.Thread):
    """One thread for all leases.

    `on_lost(ref, error)` is called once for a lease that is not wanted any more, with None where the gateway
    cancelled it.
    """

    def __init__(self, client: GatewayClient, on_lost: Callable[[LeaseRef, GatewayError | None], None]) -> None:
        super().__init__(name="heartbeats", daemon=True)
        self._client, self._on_lost = client, on_lost
        self._beats: dict[str, Beat] = {}
        self._changed = threading.Condition()
        self._ended = False

    def add(self, ref: LeaseRef) -> Beat:
        """Begin, with the first heartbeat after one interval: the offer itself was the first sign of life."""
        beat = Beat(ref, due=time.monotonic() + ref.heartbeat_seconds)
        with self._changed:
            self._beats[ref.lease] = beat
            self._changed.notify()
        return beat

    def remove(self, lease: str) -> None:
        with self._changed:
            self._beats.pop(lease, None)

    def stop(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def run(self) -> None:
        while True:
            with self._changed:
                if self._ended:
                    return
                beat = min(self._beats.values(), key=lambda b: b.due, default=None)
                wait = None if beat is None else beat.due - time.monotonic()
                if beat is None or (wait is not None and wait > 0):
                    self._changed.wait(wait)
                    continue
            beat.due = time.monotonic() + beat.ref.heartbeat_seconds
            self._send(beat)

    def _send(self, beat: Beat) -> None:
        body = Heartbeat(token=beat.ref.token, progress=beat.progress, detail=beat.detail[:200])
        error: GatewayError | None = None
        try:
            if not self._client.heartbeat(beat.ref.lease, body).cancel:
                return
        except (LeaseLost, NotFound) as lost:
            error = lost
        except Away as away:
            # The work goes on: its result waits in the outbox until the gateway is back.
            log.debug("no heartbeat for %s: %s", beat.ref.title, away)
            return
        except GatewayError as other:
            log.warning("heartbeat of %s: %s", beat.ref.title, other)
            return
        self.remove(beat.ref.lease)
        beat.cancel.set()
        self._on_lost(beat.ref, error)
