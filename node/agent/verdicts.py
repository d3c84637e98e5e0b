"""How delivered tiles were judged, for the operator's log."""

from __future__ import annotations

import logging
import threading
import time

from jobs.pricing import display_kiln
from jobs.states import LeaseState
from node.gateway import Denied, GatewayClient, GatewayError, LeaseStatus
from node.outbox import LeaseRef, Outbox

__all__ = ["Verdicts", "tell"]

log = logging.getLogger("kilnet.node")

_ASK_SECONDS = 3.0
_LONGEST_SECONDS = 60.0
_FORGET_SECONDS = 24 * 3600.0
_FINAL = {str(state) for state in (
    LeaseState.ACCEPTED, LeaseState.REJECTED, LeaseState.FAILED, LeaseState.EXPIRED, LeaseState.RELEASED,
)}  # fmt: skip


class Verdicts(threading.Thread):
    """Asks for every delivered tile until it is judged; says what came of it in one line."""

    def __init__(self, outbox: Outbox, client: GatewayClient) -> None:
        super().__init__(name="verdicts", daemon=True)
        self._outbox, self._client = outbox, client
        self._next: dict[str, tuple[float, float]] = {}
        self._since: dict[str, float] = {}
        self._ended = threading.Event()
        self.accepted = self.rejected = 0

    def stop(self) -> None:
        self._ended.set()

    def run(self) -> None:
        while not self._ended.wait(0.5):
            for ref in self._outbox.sent():
                if self._ended.is_set():
                    return
                self._look(ref)

    def _look(self, ref: LeaseRef) -> None:
        now = time.monotonic()
        due, pause = self._next.get(ref.lease, (now, _ASK_SECONDS))
        if now < due:
            return
        self._next[ref.lease] = (now + pause, min(pause * 1.5, _LONGEST_SECONDS))
        try:
            status = self._client.lease(ref.lease)
        except Denied:
            self._forget(ref)
            return
        except GatewayError:
            return
        if status.state in _FINAL:
            tell(ref, status)
            self.accepted += status.state == LeaseState.ACCEPTED
            self.rejected += status.state == LeaseState.REJECTED
            if status.state == LeaseState.REJECTED:
                # What passed is kept: it is paid only once its job is, and the coordinator may vanish before. So is
                # what was withdrawn without a verdict.
                self._outbox.acknowledgements.drop(ref.lease)
            self._forget(ref)
        elif now - self._since.setdefault(ref.lease, now) > _FORGET_SECONDS:
            self._forget(ref)

    def _forget(self, ref: LeaseRef) -> None:
        self._outbox.drop(ref.lease)
        self._next.pop(ref.lease, None)
        self._since.pop(ref.lease, None)


def tell(ref: LeaseRef, status: LeaseStatus) -> None:
    """One line for people; a refusal with its reason and evidence."""
    checked = f", {len(status.cells)} cells checked" if status.cells else ""
    if status.state == LeaseState.ACCEPTED:
        price = (status.receipt or {}).get("price")
        worth = f", {display_kiln(int(price))} KILN burned for it" if isinstance(price, str) and price.isdigit() else ""
        log.info("accepted: %s%s%s", ref.title, checked, worth)
    elif status.state == LeaseState.REJECTED:
        log.warning("REFUSED: %s%s: %s; evidence: %s", ref.title, checked, status.reason, status.evidence)
    else:
        log.info("%s: %s%s", status.state, ref.title, f": {status.reason}" if status.reason else "")
