"""Leases that their workers give up: in good order (release), or because it did not work (fail)."""

from __future__ import annotations

from typing import Any

from eth_utils.address import to_checksum_address
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.events import wake_after_commit
from coordinator.leasing.held import Held, clean, hold, lease_lost, live_leases
from coordinator.leasing.losing import give_back, lose
from coordinator.leasing.workers import seen
from coordinator.states import change_lease, change_work
from coordinator.store.database import Database
from coordinator.store.models import Lease, Node, Work
from coordinator.tasks import hint_after_commit
from jobs.states import LeaseState, WorkKind, WorkState
from jobs.wire import Completed, Fail, Release

__all__ = ["CRASHES", "fail", "release"]

CRASHES = frozenset({"crash", "hang", "out_of_memory", "limit", "timeout"})
"""Codes after which the scene may be at fault as well as the worker: a runner that ended, stood still or took more
than it was given."""
_TRUSTED_CRASHES = 2
"""So many crashes of trusted workers at the same work are the scene's fault."""
_REPRODUCE_PRIORITY = 20
_OPEN = (LeaseState.ACTIVE, LeaseState.COMMITTED)


def fail(db: Database, settings: Settings, *, node: str, lease_id: str, body: Fail) -> Completed:
    """The worker could not do it. Raises NotFound, Conflict `lease_lost`."""
    node = to_checksum_address(node)
    return db.transact(lambda session: _fail(session, settings, node, lease_id, body, db.now()))


def _fail(session: Session, settings: Settings, node: str, lease_id: str, body: Fail, now: float) -> Completed:
    seen(session, node, now)
    held = hold(session, node, lease_id, body.token)
    lease, work, _ = held
    if lease.state == LeaseState.FAILED:
        return Completed(state=lease.state)
    if lease.state not in _OPEN:
        raise lease_lost(lease)
    trusted = session.get_one(Node, node).trusted
    code, message = clean(body.code, 100), clean(body.message, 2000)
    columns: dict[str, Any] = {
        "evidence": {"code": code, "scene_fault": body.scene_fault, "log": clean(body.log, 20_000)}
    }
    suspected = body.scene_fault or code in CRASHES
    if work.kind == WorkKind.REPRODUCE and suspected:
        # It crashed here too: that is what was to be found out.
        change_lease(session, lease, LeaseState.ACCEPTED, reason=message, finished_at=now, **columns)
        change_work(
            session, work, WorkState.DONE, accepted_lease=lease.id, finished_at=now,
            result={"reproduced": True, "message": message, "code": code},
        )  # fmt: skip
        hint_after_commit(session, "judge", str(work.audited_lease))
    elif work.kind == WorkKind.TILE and suspected and not trusted:
        _ask_a_trusted_worker(session, held, message, now, columns)
    else:
        fatal = (code, message) if _fatal(session, held, body.scene_fault, trusted, code) else None
        lose(session, settings.leases, held, LeaseState.FAILED, f"{code}: {message}", now, fatal=fatal, **columns)
    return Completed(state=lease.state)


def _fatal(session: Session, held: Held, scene_fault: bool, trusted: bool, code: str) -> bool:
    """Whether the scene (or model) is at fault for certain, so that trying again would only cost."""
    if not trusted:
        return False
    if scene_fault:
        return True
    if code not in CRASHES:
        return False
    before = session.scalar(
        select(func.count())
        .select_from(Lease)
        .join(Node, Node.address == Lease.node)
        .where(Lease.work_id == held.work.id, Lease.state == str(LeaseState.FAILED), Node.trusted)
    )
    return (before or 0) + 1 >= _TRUSTED_CRASHES


def _ask_a_trusted_worker(session: Session, held: Held, message: str, now: float, columns: dict[str, Any]) -> None:
    """Hold the tile back until a trusted worker has tried it: the scene is not handed from crash to crash, and nobody
    is blamed before."""
    lease, work, job = held
    change_lease(session, lease, LeaseState.FAILED, reason=message, finished_at=now, **columns)
    if live_leases(session, work, lease):
        return  # a second worker is at it: how that ends says more
    change_work(session, work, WorkState.CHECKING, tell={"reason": message, "node": lease.node})
    session.add(
        Work(
            job_id=job.id, kind=str(WorkKind.REPRODUCE), index=work.index, key=lease.id, state=str(WorkState.PENDING),
            priority=_REPRODUCE_PRIORITY, trusted=True, runtime=work.runtime, payload=work.payload,
            expected_seconds=work.expected_seconds, audited_lease=lease.id, created_at=now,
        )
    )  # fmt: skip
    session.flush()
    wake_after_commit(session)


def release(db: Database, settings: Settings, *, node: str, lease_id: str, body: Release) -> Completed:
    """The worker gives the lease back in good order. Raises NotFound, Conflict `lease_lost`."""
    del settings
    node = to_checksum_address(node)

    def write(session: Session) -> Completed:
        held = hold(session, node, lease_id, body.token)
        if held.lease.state in _OPEN:
            give_back(session, held, "given back by its worker", db.now())
        elif held.lease.state not in (LeaseState.RELEASED, LeaseState.EXPIRED):
            raise lease_lost(held.lease)
        return Completed(state=held.lease.state)

    return db.transact(write)
