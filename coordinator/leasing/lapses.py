"""Workers that take leases and let them lapse: a low ask alone must not fill the market with promises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.store.models import Lease
from jobs.states import LeaseState, WorkKind
from verification.policy import keeps_its_word

__all__ = ["WINDOW_SECONDS", "lapsing"]

WINDOW_SECONDS = 24 * 3600.0
_KEPT = (LeaseState.UPLOADED, LeaseState.ACCEPTED, LeaseState.REJECTED)
_LAPSED = (LeaseState.EXPIRED,)


def lapsing(session: Session, addresses: Iterable[str], now: float) -> set[str]:
    """Those of the workers that let too many of their tile leases of the last day lapse: their asks set no price, and
    they get no tiles until the day is over."""
    rows = session.execute(
        select(Lease.node, Lease.state, func.count())
        .where(
            Lease.node.in_(list(addresses)), Lease.kind == str(WorkKind.TILE), Lease.created_at > now - WINDOW_SECONDS,
            Lease.state.in_([str(state) for state in (*_KEPT, *_LAPSED)]),
        )
        .group_by(Lease.node, Lease.state)
    )  # fmt: skip
    kept: defaultdict[str, int] = defaultdict(int)
    lapsed: defaultdict[str, int] = defaultdict(int)
    for node, state, count in rows:
        (lapsed if state in _LAPSED else kept)[node] += count
    return {node for node in lapsed if not keeps_its_word(kept[node], lapsed[node])}
