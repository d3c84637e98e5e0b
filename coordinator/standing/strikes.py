"""Strikes: what counts against a worker, with the evidence, until a second auditor has spoken and after."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.standing.counters import blame, pardon, review
from coordinator.store.models import Node, Strike
from coordinator.tasks import hint_after_commit
from jobs.states import StrikeKind, StrikeState

__all__ = ["confirm", "count", "overturn", "stand_alone", "strike"]

_AUDITING = (StrikeKind.GOLDEN, StrikeKind.RECHECK)
"""What a worker did as an auditor: it audits no more."""
_UNDENIABLE = (StrikeKind.TWO_COMMITMENTS, *_AUDITING)
"""One of these is enough: it is in the worker's own signature, or was known beforehand."""


def strike(
    session: Session,
    *,
    node: str,
    kind: StrikeKind,
    key: str,
    job: str,
    lease: str,
    tile: int,
    reason: str,
    evidence: dict[str, Any],
    now: float,
    lane: str | None = None,
    auditor: str | None = None,
    state: StrikeState = StrikeState.ALONE,
    counts: bool = True,
    slashable: bool = False,
) -> Strike | None:
    """Write a strike down, once for each key, and draw what follows from it at once: more cells, and no paid work (or
    no audits) where it is undeniable or makes a pattern. None where it is known already.

    `counts` False: the word of a stranger alone raises nobody's suspicion until it is confirmed."""
    if session.scalar(select(Strike.id).where(Strike.key == key)) is not None:
        return None
    row = session.get_one(Node, node, populate_existing=True)
    made = Strike(
        node=node, owner=row.owner, kind=str(kind), key=key, job_id=job, lease_id=lease, tile=tile, lane=lane,
        reason=reason, evidence=evidence, auditor=auditor, state=str(state), counted=False, slashable=slashable,
        created_at=now, decided_at=None if state is StrikeState.OPEN else now,
        # The chain can check this one by itself; whatever else counts here is never slashed for.
        dispute="wanted" if kind is StrikeKind.TWO_COMMITMENTS and slashable else None,
    )  # fmt: skip
    session.add(made)
    session.flush()
    if made.dispute:
        hint_after_commit(session, "dispute", str(made.id))
    if kind in _AUDITING and row.barred is None:
        row.barred = reason
    if kind in _UNDENIABLE and not row.trusted and row.suspended is None:
        row.suspended = f"{reason}; ask the operator to look at it"
    session.flush()
    if counts:
        count(session, made)
    return made


def count(session: Session, found: Strike) -> None:
    """Let a strike raise its worker's suspicion, once."""
    if not found.counted:
        found.counted = True
        session.flush()
        blame(session, found.node)
    review(session, found.node)


def confirm(session: Session, found: Strike, by: str, now: float, *, slashable: bool) -> None:
    """A second auditor of the class came to the same end."""
    if found.state not in (StrikeState.OPEN, StrikeState.ALONE):
        return
    found.state, found.confirmed_by, found.decided_at = str(StrikeState.CONFIRMED), by, now
    found.slashable = found.slashable or slashable
    session.flush()
    count(session, found)


def stand_alone(session: Session, found: Strike, now: float) -> None:
    """Nobody came to confirm it: it stands on one audit."""
    if found.state == StrikeState.OPEN:
        found.state, found.decided_at = str(StrikeState.ALONE), now
        session.flush()
        if found.counted:
            review(session, found.node)


def overturn(session: Session, found: Strike, by: str, now: float) -> None:
    """The second auditor came to what the worker had claimed: nothing counts any more."""
    if found.state not in (StrikeState.OPEN, StrikeState.ALONE):
        return
    found.state, found.confirmed_by, found.decided_at = str(StrikeState.OVERTURNED), by, now
    found.slashable = False
    counted, found.counted = found.counted, False
    session.flush()
    if counted:
        pardon(session, found.node)
