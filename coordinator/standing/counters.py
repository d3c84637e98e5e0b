"""A worker's counts and its sequential test (verification.policy), and when it gets no more paid work."""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from coordinator.store.models import Node, Strike
from jobs.states import StrikeState
from verification.policy import GOOD, REFUSAL, Standing, after_accept, standing

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
    """Suspend the worker if its refusals are a pattern; those that a second auditor is still asked about do not count
    towards one."""
    node = session.get_one(Node, address, populate_existing=True)
    open_ones = session.scalar(
        select(func.count()).where(
            Strike.node == address, Strike.state == str(StrikeState.OPEN), Strike.counted.is_(True)
        )
    )
    decided = node.suspicion - REFUSAL * (open_ones or 0)
    if standing(decided) is Standing.PATTERN and node.suspended is None:
        node.suspended = (
            f"{node.rejected} of its {node.rejected + node.accepted} tiles were refused; ask the operator to look at it"
        )
        session.flush()
