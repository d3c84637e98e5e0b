"""What happens to work whose lease came to nothing: it is queued again, elsewhere where it must be, but not forever."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.config import LeaseSettings
from coordinator.leasing.held import Held, live_leases
from coordinator.states import change_lease, change_work, end_job
from coordinator.store.models import Lease, Node
from coordinator.tasks import hint_after_commit
from jobs.states import JobState, LeaseState, WorkKind, WorkState

__all__ = ["give_back", "lose", "requeue"]

_LOST = (LeaseState.FAILED, LeaseState.EXPIRED, LeaseState.REJECTED)
_AGAIN_AFTER = 2
"""Failures of one worker at one tile after which it does not get it again."""
_LONGEST_PAUSE = 60.0


def lose(
    session: Session,
    settings: LeaseSettings,
    held: Held,
    to: LeaseState,
    reason: str,
    now: float,
    *,
    exclude: bool = False,
    fatal: tuple[str, str] | None = None,
    **columns: Any,
) -> None:
    """End a lease that came to nothing and queue its work again, with one attempt more on the count.

    `exclude`: its node (and all of the same owner) never get this work again, at once instead of after the second
    failure. `fatal` (code, message) ends the job instead. After max_attempts the job ends with the last reason."""
    change_lease(session, held.lease, to, reason=reason, finished_at=now, **columns)
    requeue(session, settings, held, reason, now, exclude=exclude, fatal=fatal)


def requeue(
    session: Session,
    settings: LeaseSettings,
    held: Held,
    reason: str,
    now: float,
    *,
    exclude: bool = False,
    fatal: tuple[str, str] | None = None,
) -> None:
    """Queue the work of an ended lease again, as `lose` does."""
    lease, work, job = held
    # A stranger who does not audit is no reason to give the job up.
    attempts = work.attempts + (work.for_node is None)
    exclude = exclude or work.for_node is not None
    if fatal is None and attempts >= settings.max_attempts:
        fatal = ("too_many_attempts", f"{_name(held)}: {reason} (after {attempts} attempts)")
    if fatal is not None:
        change_work(session, work, WorkState.FAILED, attempts=attempts, finished_at=now, tell={"reason": reason})
        if end_job(session, job, JobState.FAILED, now, error_code=fatal[0], error=fatal[1]):
            hint_after_commit(session, "settle", job.id)
        return
    excluded = list(work.excluded)
    if exclude or (work.kind == WorkKind.TILE and _failures(session, lease) >= _AGAIN_AFTER):
        owner = session.get_one(Node, lease.node).owner
        excluded = list(dict.fromkeys([*excluded, lease.node, owner]))
    others = live_leases(session, work, lease)
    told = {"reason": reason, "node": lease.node, "attempt": lease.attempt, "lease": lease.id, "lost": lease.state}
    if others:
        uploaded = [other for other in others if other.state == LeaseState.UPLOADED]
        to = WorkState.CHECKING if uploaded else WorkState.LEASED
        if work.state == WorkState.CHECKING and uploaded:
            # Its state stays; the second upload is looked at now.
            work.attempts, work.excluded = attempts, excluded
            session.flush()
        else:
            change_work(session, work, to, attempts=attempts, excluded=excluded, tell=told)
        for other in uploaded[:1]:
            hint_after_commit(session, "draw", other.id)
        return
    pause = min(_LONGEST_PAUSE, 2.0 ** (attempts - 2)) if attempts > 1 else 0.0
    change_work(
        session, work, WorkState.PENDING, attempts=attempts, excluded=excluded, not_before=now + pause, tell=told
    )  # fmt: skip


def give_back(session: Session, held: Held, reason: str, now: float) -> None:
    """End a lease in good order: nobody is blamed, no attempt is counted, others may have the work at once."""
    lease, work, _ = held
    change_lease(session, lease, LeaseState.RELEASED, reason=reason, finished_at=now)
    if work.state == WorkState.LEASED and not live_leases(session, work, lease):
        change_work(session, work, WorkState.PENDING, not_before=0, tell={"reason": reason})


def _failures(session: Session, lease: Lease) -> int:
    """How often this node has failed this work, the present time included."""
    return (
        session.scalar(
            select(func.count())
            .select_from(Lease)
            .where(
                Lease.work_id == lease.work_id,
                Lease.node == lease.node,
                Lease.state.in_([str(state) for state in _LOST]),
            )
        )
        or 0
    )


def _name(held: Held) -> str:
    return f"tile {held.work.index}" if held.work.kind == WorkKind.TILE else f"the step {held.work.kind}"
