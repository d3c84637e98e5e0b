"""Heartbeats keep a lease; its worker asks here how it ended."""

from __future__ import annotations

from typing import Any, cast

from eth_utils.address import to_checksum_address
from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.errors import NotFound
from coordinator.events import record
from coordinator.leasing.held import clean, hold, lease_lost, revive
from coordinator.leasing.workers import seen
from coordinator.store.database import Database
from coordinator.store.models import Lease, Receipt, Work
from jobs.states import LeaseState, WorkKind
from jobs.wire import Heartbeat, HeartbeatReply

__all__ = ["heartbeat", "status"]

_RENEWED = (LeaseState.ACTIVE, LeaseState.COMMITTED)
_TOLD_EVERY = 0.04
"""Watchers are told of progress in steps of this size."""


def heartbeat(db: Database, settings: Settings, *, node: str, lease_id: str, body: Heartbeat) -> HeartbeatReply:
    """Renew a lease for `expiry_seconds`, at most until three times its expected time.

    `cancel` where the job ended or another was first. Raises NotFound, Conflict `lease_lost`."""
    node = to_checksum_address(node)
    return db.transact(lambda session: _heartbeat(session, settings, node, lease_id, body, db.now()))


def _heartbeat(
    session: Session, settings: Settings, node: str, lease_id: str, body: Heartbeat, now: float
) -> HeartbeatReply:
    seen(session, node, now)
    before = session.get(Lease, lease_id)
    if before is None or before.node != node:
        raise NotFound(f"there is no lease {lease_id[:40]!r} of {node}")
    if before.token != body.token:
        raise lease_lost(before)
    if before.state == LeaseState.EXPIRED:
        held = hold(session, node, lease_id, body.token)
        if not revive(session, held, now, settings.leases.expiry_seconds):
            raise lease_lost(held.lease)
        return HeartbeatReply(cancel=False, expires_at=held.lease.expires_at)
    if before.state in _RENEWED:
        expires_at = max(before.expires_at, min(now + settings.leases.expiry_seconds, before.last_expiry))
        told_at = now if body.progress != before.progress else before.progress_at
        # Not a change of state: a commitment at the same moment is not to be turned away for it.
        result = session.execute(
            update(Lease)
            .where(Lease.id == lease_id, Lease.state.in_([str(state) for state in _RENEWED]))
            .values(expires_at=expires_at, progress=body.progress, progress_at=told_at, detail=clean(body.detail, 200))
            .execution_options(synchronize_session=False)
        )
        if cast("CursorResult[Any]", result).rowcount == 1:
            if before.kind == WorkKind.TILE and _step(before.progress) != _step(body.progress):
                _tell(session, before, body.progress)
            return HeartbeatReply(cancel=now > before.last_expiry, expires_at=expires_at)
        session.refresh(before)
    if before.state in (LeaseState.RELEASED, LeaseState.FAILED):
        return HeartbeatReply(cancel=True, expires_at=before.expires_at)
    return HeartbeatReply(cancel=False, expires_at=before.expires_at)


def _step(progress: float) -> int:
    return int(progress / _TOLD_EVERY)


def _tell(session: Session, lease: Lease, progress: float) -> None:
    index = session.scalar(select(Work.index).where(Work.id == lease.work_id))
    data = {"index": index, "state": "leased", "node": lease.node, "attempt": lease.attempt, "progress": progress}
    record(session, lease.job_id, "tile", data)


def status(db: Database, *, node: str, lease_id: str) -> dict[str, Any]:
    """State of a lease and, once there is a verdict, what it says: reason, evidence, drawn cells, receipt.

    Raises NotFound."""
    node = to_checksum_address(node)
    with db.read() as session:
        lease = session.get(Lease, lease_id)
        if lease is None or lease.node != node:
            raise NotFound(f"there is no lease {lease_id[:40]!r} of {node}")
        decided = lease.state in (LeaseState.ACCEPTED, LeaseState.REJECTED)
        receipt = session.scalars(select(Receipt).where(Receipt.lease_id == lease.id)).one_or_none()
        return {
            "state": lease.state,
            "reason": lease.reason,
            "evidence": lease.evidence if decided else None,
            "cells": lease.cells if decided else None,
            "receipt": None if receipt is None else _receipt(receipt),
        }


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {
        "job": receipt.job_id,
        "tile": receipt.tile,
        "attempt": receipt.attempt,
        "node": receipt.node,
        "commitment": receipt.commitment,
        "price": str(receipt.price),
        "signature": receipt.signature,
        "leaf": receipt.leaf,
    }
