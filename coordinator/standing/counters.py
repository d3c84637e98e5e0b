"""A worker's counts and its sequential test (verification.policy), and when it gets no more paid work."""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from coordinator.store.models import Lease, Node, Strike
from jobs.states import LeaseState, StrikeState, WorkKind
from verification.policy import GOOD, REFUSAL, REMEMBERED, Standing, after_accept, repeats, standing

__all__ = ["blame", "pardon", "praise", "review"]


def praise(session: Session, address: str, cells: int) -> None:
    """A tile of this worker passed, of which `cells` cells came out again."""
    node = session.get_one(Node, address, populate_existing=True, with_for_update=True)
    node.accepted, node.suspicion = node.accepted + 1, after_accept(node.suspicion, cells)
    session.flush()


def blame(session: Session, address: str) -> None:
    """A tile of this worker was refused: more of its cells are redone from now on."""
    session.execute(
        update(Node)
        .where(Node.address == address)
        .values(rejected=Node.rejected + 1, suspicion=Node.suspicion + REFUSAL)
        .execution_options(synchronize_session=False)
    )


def pardon(session: Session, address: str) -> None:
    """A refusal turned out to be its auditor's fault: as if it had not been."""
    node = session.get_one(Node, address, populate_existing=True, with_for_update=True)
    node.rejected = max(0, node.rejected - 1)
    node.suspicion = max(GOOD, node.suspicion - REFUSAL)
    session.flush()


def review(session: Session, address: str) -> None:
    """Suspend the worker if its refusals are a pattern, by the test or by their number among its last tiles; those that
    a second auditor is still asked about do not count towards one."""
    node = session.get_one(Node, address, populate_existing=True)
    open_ones = session.scalar(
        select(func.count()).where(
            Strike.node == address, Strike.state == str(StrikeState.OPEN), Strike.counted.is_(True)
        )
    )
    decided = node.suspicion - REFUSAL * (open_ones or 0)
    if node.suspended is None and (standing(decided) is Standing.PATTERN or repeats(_recent(session, address))):
        node.suspended = (
            f"{node.rejected} of its {node.rejected + node.accepted} tiles were refused; ask the operator to look at it"
        )
        session.flush()


def _recent(session: Session, address: str) -> int:
    """How many of a worker's last REMEMBERED judged tiles were refused, and count against it."""
    judged = (str(LeaseState.ACCEPTED), str(LeaseState.REJECTED))
    last = (
        select(Lease.id)
        .where(Lease.node == address, Lease.kind == str(WorkKind.TILE), Lease.state.in_(judged))
        .order_by(Lease.created_at.desc(), Lease.id)
        .limit(REMEMBERED)
        .subquery()
    )
    return session.scalar(
        select(func.count(func.distinct(Strike.lease_id))).where(
            Strike.node == address, Strike.counted.is_(True), Strike.state != str(StrikeState.OPEN),
            Strike.lease_id.in_(select(last.c.id)),
        )
    ) or 0  # fmt: skip
