"""What is remembered of a worker: passed, refused, suspicion, and when it gets no more work."""

from __future__ import annotations

from sqlalchemy import case, update
from sqlalchemy.orm import Session

from coordinator.store.models import Node

__all__ = ["blame", "praise"]

_CALM_EVERY = 8
"""Accepted tiles that take away one step of suspicion."""
_SUSPENDED_AFTER = 3
"""Refusals after which a worker gets no more paid work, where they are more than a tenth of its tiles."""


def praise(session: Session, address: str) -> None:
    """A tile of this worker passed."""
    calm = (Node.suspicion > 0) & ((Node.accepted + 1) % _CALM_EVERY == 0)
    session.execute(
        update(Node)
        .where(Node.address == address)
        .values(accepted=Node.accepted + 1, suspicion=case((calm, Node.suspicion - 1), else_=Node.suspicion))
        .execution_options(synchronize_session=False)
    )


def blame(session: Session, address: str) -> None:
    """A tile of this worker was refused: more of its cells are redone from now on; after a pattern it is suspended."""
    session.execute(
        update(Node)
        .where(Node.address == address)
        .values(rejected=Node.rejected + 1, suspicion=Node.suspicion + 1)
        .execution_options(synchronize_session=False)
    )
    node = session.get_one(Node, address, populate_existing=True)
    if node.rejected >= _SUSPENDED_AFTER and node.rejected * 10 > node.accepted and node.suspended is None:
        node.suspended = (
            f"{node.rejected} of its {node.rejected + node.accepted} tiles were refused; ask the operator to look at it"
        )
        session.flush()
