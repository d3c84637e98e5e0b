"""A worker's own lease, found and held for the time of one transaction."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.errors import Conflict, NotFound
from coordinator.states import JOB_OPEN, LEASE_LIVE, change_lease, change_work, lock_job
from coordinator.store.models import Job, Lease, Node, Work
from jobs.states import JobState, LeaseState, WorkKind, WorkState

__all__ = ["COMMITTING", "Held", "clean", "hold", "lease_lost", "live_leases", "revive"]

COMMITTING = (WorkKind.TILE, WorkKind.AUDIT)
"""Kinds whose result is committed to before it is uploaded."""


class Held(NamedTuple):
    """A lease with its work and its job; the job's row is locked, so that nothing of the job moves meanwhile."""

    lease: Lease
    work: Work
    job: Job


def clean(text: str, limit: int) -> str:
    """Text from outside as a database can hold it."""
    return text.replace("\0", "")[:limit]


def lease_lost(lease: Lease) -> Conflict:
    """What a worker is told that comes with an older token, or for a lease that has ended."""
    why = f": {lease.reason}" if lease.reason else ""
    return Conflict(f"the lease {lease.id} is {lease.state}{why}; drop it", code="lease_lost")


def hold(session: Session, node: str, lease_id: str, token: int | None = None) -> Held:
    """The lease, work and job, with the job locked. Raises NotFound; Conflict `lease_lost` for another token."""
    lease = session.get(Lease, lease_id)
    if lease is None or lease.node != node:
        raise NotFound(f"there is no lease {lease_id[:40]!r} of {node}")
    if token is not None and lease.token != token:
        raise Conflict(f"the fencing token of lease {lease.id} is {lease.token}, not {token}", code="lease_lost")
    job = lock_job(session, lease.job_id)
    session.refresh(lease)  # what was read before the lock may be old
    work = session.get_one(Work, lease.work_id, populate_existing=True)
    return Held(lease, work, job)


def live_leases(session: Session, work: Work, but: Lease | None = None) -> list[Lease]:
    """Leases of this work that have not ended, but for one."""
    rows = session.scalars(
        select(Lease)
        .where(Lease.work_id == work.id, Lease.state.in_([str(state) for state in LEASE_LIVE]))
        .order_by(Lease.created_at)
    )
    return [lease for lease in rows if but is None or lease.id != but.id]


def revive(session: Session, held: Held, now: float, expiry_seconds: float) -> bool:
    """Give an expired lease back to its worker if nobody has had the work since: an outage of the gateway, in which no
    heartbeat could arrive, costs nothing. No newer token exists then, so nobody else can hold a result."""
    lease, work, job = held
    node = session.get_one(Node, lease.node)
    if (
        lease.state != LeaseState.EXPIRED
        or work.state != WorkState.PENDING
        or work.next_token != lease.token + 1
        or job.state not in JOB_OPEN | {JobState.ADMITTING}
        or lease.node in work.excluded
        or node.suspended is not None
    ):
        return False
    told = {"node": lease.node, "attempt": lease.attempt, "lease": lease.id}
    change_work(session, work, WorkState.LEASED, attempts=max(0, work.attempts - 1), not_before=0, tell=told)
    change_lease(
        session, lease, LeaseState.COMMITTED if lease.root is not None else LeaseState.ACTIVE, reason=None,
        finished_at=None, expires_at=now + expiry_seconds, last_expiry=max(lease.last_expiry, now + expiry_seconds),
    )  # fmt: skip
    return True
