"""Leases that nobody renews, and classes that nobody has any more."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.events import wake_after_commit
from coordinator.leasing.held import hold
from coordinator.leasing.losing import lose
from coordinator.store.database import Database, Stale
from coordinator.store.models import Lease, Node, Work
from jobs.states import LeaseState, WorkKind, WorkState

__all__ = ["reap", "unfix_classes"]

_LIVE = (LeaseState.ACTIVE, LeaseState.COMMITTED)
_BATCH = 500
CLASS_PATIENCE_SECONDS = 300
"""A frame waits this long for a worker of the class it was begun in, before another class goes on with it."""


def reap(db: Database, settings: Settings) -> int:
    """End leases whose time is over and queue their work again; how many there were."""
    now = db.now()
    with db.read() as session:
        rows = session.execute(
            select(Lease.id, Lease.node)
            .where(Lease.state.in_([str(state) for state in _LIVE]), Lease.expires_at < now)
            .order_by(Lease.expires_at)
            .limit(_BATCH)
        ).all()

    def end(session: Session, lease_id: str, node: str) -> bool:
        held = hold(session, node, lease_id)
        if held.lease.state not in _LIVE or held.lease.expires_at >= now:
            return False
        late = held.lease.expires_at >= held.lease.last_expiry
        reason = "took longer than three times the expected time" if late else "no heartbeat in time"
        lose(session, settings.leases, held, LeaseState.EXPIRED, reason, now)
        return True

    ended = 0
    for row in rows:
        try:
            ended += db.transact(lambda session, row=row: end(session, row.id, row.node))  # type: ignore[misc]
        except Stale:
            continue
    return ended


def unfix_classes(db: Database) -> int:
    """Let another class take tiles that wait for one which nobody online has had for CLASS_PATIENCE_SECONDS.

    A frame may then hold two classes: better than none. How many tiles there were."""
    now = db.now()
    with db.read() as session:
        wanted = session.scalars(
            select(Work.numerics_class)
            .where(
                Work.state == str(WorkState.PENDING), Work.kind == str(WorkKind.TILE), Work.numerics_class.is_not(None)
            )
            .distinct()
        ).all()
        if not wanted:
            return 0
        nodes = session.scalars(
            select(Node).where(Node.last_seen > now - CLASS_PATIENCE_SECONDS, Node.suspended.is_(None))
        )
        there = {c["numerics_class"] for node in nodes for c in node.registration["runtimes"]}
    gone = [name for name in wanted if name not in there]
    if not gone:
        return 0
    with db.begin() as session:
        ids = session.scalars(
            select(Work.id).where(
                Work.state == str(WorkState.PENDING), Work.kind == str(WorkKind.TILE), Work.numerics_class.in_(gone)
            )
        ).all()
        session.execute(
            update(Work)
            .where(Work.state == str(WorkState.PENDING), Work.kind == str(WorkKind.TILE), Work.numerics_class.in_(gone))
            .values(numerics_class=None)
            .execution_options(synchronize_session=False)
        )
        wake_after_commit(session)
    return len(ids)
