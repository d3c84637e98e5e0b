"""Commitments: the signed root over a worker's cells. The first of a fencing token is final."""

from __future__ import annotations

from typing import Any

from eth_utils.address import to_checksum_address
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.errors import ApiError, Conflict, Unprocessable
from coordinator.leasing.held import COMMITTING, Held, hold, lease_lost, revive
from coordinator.leasing.losing import lose
from coordinator.leasing.offers import tile_of
from coordinator.leasing.workers import seen
from coordinator.standing import strike
from coordinator.states import change_lease, set_lease
from coordinator.store.database import Database
from jobs.states import LeaseState, StrikeKind, StrikeState, WorkKind
from jobs.typed_data import Domain, commitment_message, recover
from jobs.wire import AuditCells, Commit, Committed

__all__ = ["commit"]

_CONTRADICTIONS_KEPT = 4


def commit(db: Database, settings: Settings, domain: Domain, *, node: str, lease_id: str, body: Commit) -> Committed:
    """Record a worker's commitment; the same again is answered the same.

    Raises NotFound, Conflict `lease_lost` or `committed_already`, and Unprocessable `bad_signature`, `wrong_cells` or
    `wrong_class`, which cost the worker the lease."""
    node = to_checksum_address(node)
    answer = db.transact(lambda session: _commit(session, settings, domain, node, lease_id, body, db.now()))
    # A refusal is itself a decision that is to be committed: so it is raised only here.
    if isinstance(answer, ApiError):
        raise answer
    return answer


def _commit(
    session: Session, settings: Settings, domain: Domain, node: str, lease_id: str, body: Commit, now: float
) -> Committed | ApiError:
    seen(session, node, now)
    held = hold(session, node, lease_id, body.token)
    lease = held.lease
    if lease.kind not in COMMITTING:
        return Unprocessable(f"a lease of kind {lease.kind} has no commitment", code="wrong_kind")
    if lease.root is not None:
        if lease.state == LeaseState.EXPIRED and not revive(session, held, now, settings.leases.expiry_seconds):
            return lease_lost(lease)
        return (
            Committed(root=lease.root) if lease.root == body.root else _contradiction(session, held, domain, body, now)
        )
    if lease.state == LeaseState.EXPIRED and not revive(session, held, now, settings.leases.expiry_seconds):
        return lease_lost(lease)
    if lease.state != LeaseState.ACTIVE:
        return lease_lost(lease)
    refusal = _refusal(held, domain, body)
    if refusal is not None:
        lose(session, settings.leases, held, LeaseState.FAILED, f"{refusal.code}: {refusal}", now)
        return refusal
    change_lease(
        session, lease, LeaseState.COMMITTED, root=body.root, node_signature=body.signature, committed_at=now,
        seconds=body.seconds, progress=1.0,
        # The upload has its own time: what was rendered in time is not lost to a slow line.
        expires_at=now + settings.leases.expiry_seconds,
        last_expiry=max(lease.last_expiry, now + settings.leases.longest_factor * settings.leases.minimum_seconds),
    )  # fmt: skip
    return Committed(root=body.root)


def _signed_by(domain: Domain, held: Held, body: Commit) -> str | None:
    message = commitment_message(
        domain, lease=held.lease.id, token=body.token, root=bytes.fromhex(body.root[2:]), cells=body.cells
    )
    return recover(message, body.signature)


def _cell_count(held: Held) -> int:
    if held.lease.kind == WorkKind.AUDIT:
        return len(AuditCells.model_validate(held.work.payload).cells)
    return tile_of(held.work.payload).cell_count()


def _refusal(held: Held, domain: Domain, body: Commit) -> Unprocessable | None:
    expected = _cell_count(held)
    if body.cells != expected:
        return Unprocessable(f"the commitment is over {body.cells} cells, the lease has {expected}", code="wrong_cells")
    if body.numerics_class != held.lease.numerics_class:
        return Unprocessable(
            f"worked in class {body.numerics_class!r}, the lease is for {held.lease.numerics_class!r}",
            code="wrong_class",
        )
    if _signed_by(domain, held, body) != held.lease.node:
        return Unprocessable(f"the commitment is not signed by {held.lease.node}", code="bad_signature")
    return None


def _contradiction(session: Session, held: Held, domain: Domain, body: Commit, now: float) -> Conflict:
    """Two roots for one token: kept with both signatures, since each of them is the worker's own."""
    lease = held.lease
    if _signed_by(domain, held, body) == lease.node:
        evidence: dict[str, Any] = dict(lease.evidence or {})
        known: list[dict[str, Any]] = list(evidence.get("contradictions", []))
        if all(other["root"] != body.root for other in known) and len(known) < _CONTRADICTIONS_KEPT:
            cells = _cell_count(held)
            first = {"root": lease.root, "signature": lease.node_signature, "token": lease.token, "cells": cells}
            known.append({"root": body.root, "signature": body.signature, "token": body.token, "cells": body.cells})
            evidence |= {"first_commitment": first, "contradictions": known}
            set_lease(session, lease, evidence=evidence)
            strike(
                session, node=lease.node, kind=StrikeKind.TWO_COMMITMENTS,
                key=f"{StrikeKind.TWO_COMMITMENTS}:{lease.id}:{body.root}", job=lease.job_id, lease=lease.id,
                tile=held.work.index, reason=f"it signed two commitments for token {lease.token} of lease {lease.id}",
                evidence={"lease": lease.id, "token": lease.token, "first": first, "second": known[-1]},
                state=StrikeState.CONFIRMED, slashable=True, now=now,
            )  # fmt: skip
    return Conflict(f"the first commitment of token {lease.token} is final: {lease.root}", code="committed_already")
