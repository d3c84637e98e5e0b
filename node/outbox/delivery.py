"""The thread that sends what the outbox holds."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from jobs.errors import Refused
from jobs.manifest import Asset
from jobs.wire import Acknowledgement, Commit, Complete, Fail, Release
from node.gateway import (
    Away,
    Conflict,
    Denied,
    GatewayClient,
    GatewayError,
    LeaseLost,
    NotFound,
    Stopping,
    UpgradeNeeded,
    upload,
)
from node.outbox.acknowledgements import sound
from node.outbox.store import Entry, LeaseRef, Outbox, Step, StepKind

__all__ = ["Delivery"]

log = logging.getLogger("kilnet.node")

_PATIENCE_SECONDS = 15.0
_POSTPONE_SECONDS = 2.0


class Delivery(threading.Thread):
    """Sends one step after the other, as long as it takes; what the gateway does not want any more is dropped.

    `on_sent(ref, kind)` is called after the last step of a lease, `on_lost(ref, error)` when a lease is dropped.
    `fatal` is what no waiting mends (a protocol that is not spoken there, a fault of ours): the agent stops with it,
    and what it holds is sent by the next start.
    """

    def __init__(
        self,
        outbox: Outbox,
        client: GatewayClient,
        *,
        on_sent: Callable[[LeaseRef, StepKind], None],
        on_lost: Callable[[LeaseRef, GatewayError], None],
    ) -> None:
        super().__init__(name="delivery", daemon=True)
        self._outbox, self._client = outbox, client
        self._on_sent, self._on_lost = on_sent, on_lost
        self._stop_event = threading.Event()
        self._not_before: dict[str, float] = {}
        self.fatal: Exception | None = None

    def stop(self) -> None:
        """Give up what is being sent; it stays in the outbox for the next start."""
        self._stop_event.set()

    def run(self) -> None:
        try:
            self._deliver()
        except sqlite3.Error as error:
            self.fatal = Refused(
                f"the outbox cannot be read or written ({error}): make room on its disk and start again; what is in it "
                "is sent then"
            )
        except Exception as error:  # whatever it is: an agent whose results do not leave must not go on working
            log.exception("nothing more is sent from here")
            self.fatal = error

    def _deliver(self) -> None:
        while not self._stop_event.is_set():
            entry = self._outbox.next(wait_seconds=0.5, skip=self._postponed())
            if entry is None:
                continue
            try:
                self._send(entry)
            except Stopping:
                return
            except (Away, sqlite3.OperationalError) as error:
                # Others first: if only this lease meets an error of the gateway, the rest must not wait for it. A disk
                # that is full is no reason to forget what was done: the same call again has the same answer.
                log.warning("%s waits to be sent: %s", entry.ref.title, error)
                self._not_before[entry.ref.lease] = time.monotonic() + _POSTPONE_SECONDS
            except UpgradeNeeded as error:
                self.fatal = error
                return
            except (GatewayError, OSError, ValueError) as error:
                self._give_up(entry, error)
            else:
                self._outbox.done(entry)
                if entry.step.kind in (StepKind.COMPLETE, StepKind.FAIL, StepKind.RELEASE):
                    self._on_sent(entry.ref, entry.step.kind)

    def _postponed(self) -> set[str]:
        now = time.monotonic()
        self._not_before = {lease: at for lease, at in self._not_before.items() if at > now}
        return set(self._not_before)

    def _send(self, entry: Entry) -> None:
        lease, body = entry.ref.lease, entry.step.body
        patiently: dict[str, Any] = {"stop": self._stop_event, "patience": _PATIENCE_SECONDS}
        match entry.step.kind:
            case StepKind.COMMIT:
                self._client.commit(lease, Commit.model_validate_json(body), **patiently)
            case StepKind.UPLOAD:
                assert entry.step.file is not None
                source = self._outbox.folder(lease) / entry.step.file
                upload(self._client.transport, Asset.model_validate_json(body), source, **patiently)
            case StepKind.COMPLETE:
                done = self._client.complete(lease, Complete.model_validate_json(body), **patiently)
                if done.acknowledgement is not None:
                    self._keep(entry.ref, done.acknowledgement)
            case StepKind.FAIL:
                self._client.fail(lease, Fail.model_validate_json(body), **patiently)
            case StepKind.RELEASE:
                self._client.release(lease, Release.model_validate_json(body), **patiently)

    def _keep(self, ref: LeaseRef, told: Acknowledgement) -> None:
        """The coordinator's word, where it is one: a bad one costs the tile nothing, and is worth nothing."""
        if (told.lease, told.job, told.node) == (ref.lease, ref.job, self._client.transport.address) and sound(told):
            self._outbox.acknowledgements.keep(told, ref.title)
        else:
            log.warning("%s: the gateway's acknowledgement is not signed as it says, and was thrown away", ref.title)

    def _give_up(self, entry: Entry, error: Exception) -> None:
        """What cannot be sent: a lost lease goes quietly, anything else is reported as this worker's failure."""
        ref, kind = entry.ref, entry.step.kind
        self._outbox.drop(ref.lease)
        known = error if isinstance(error, GatewayError) else GatewayError(f"{type(error).__name__}: {error}")
        final = isinstance(error, LeaseLost | NotFound | Conflict) or kind in (StepKind.FAIL, StepKind.RELEASE)
        if not final:
            code = "not_sent" if not isinstance(error, Denied) else f"refused_{error.code}"
            fail = Fail(token=ref.token, code=code[:100], message=f"{kind}: {known}"[:2000])
            self._outbox.put(ref, [Step(StepKind.FAIL, fail.model_dump_json())])
        self._on_lost(ref, known)
