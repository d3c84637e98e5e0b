"""What is remembered of a worker: passed, refused, suspicion, and when it gets no more work."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from coordinator.store.models import Node
from verification.policy import REFUSAL, Standing, after_accept, standing

__all__ = ["blame", "praise"]


def praise(session: Session, address: str, cells: int) -> None:
    """A tile of this worker passed, of which `cells` cells came out again."""
    node = session.get_one(Node, address, populate_existing=True, with_for_update=True)
    node.accepted, node.suspicion = node.accepted + 1, after_accept(node.suspicion, cells)
    session.flush()


def blame(session: Session, address: str) -> None:
    """A tile of this worker was refused: more of its cells are redone from now on; after a pattern it is suspended."""
    session.execute(
        update(Node)
        .where(Node.address == address)
        .values(rejected=Node.rejected + 1, suspicion=Node.suspicion + REFUSAL)
        .execution_options(synchronize_session=False)
    )
    node = session.get_one(Node, address, populate_existing=True)
    if standing(node.suspicion) is Standing.PATTERN and node.suspended is None:
        node.suspended = (
            f"{node.rejected} of its {node.rejected + node.accepted} tiles were refused; ask the operator to look at it"
        )
        session.flush()
