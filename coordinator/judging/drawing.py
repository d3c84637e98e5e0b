"""Drawing: the upload matches the root, so now, and not before, the cells to be redone are drawn."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.blobs import BlobStore
from coordinator.config import Settings
from coordinator.events import wake_after_commit
from coordinator.judging.bytes import tile_bytes
from coordinator.judging.counters import blame
from coordinator.judging.suspicion import grounds, reference_frame
from coordinator.leasing.held import Held, hold
from coordinator.leasing.losing import lose
from coordinator.leasing.offers import contract_of, tile_of
from coordinator.states import set_lease
from coordinator.store.database import Database
from coordinator.store.models import Job, Lease, Node, Work
from jobs.contract import InferContract, RenderContract
from jobs.states import JobState, LeaseState, WorkKind, WorkState
from jobs.tiles import InferTile, RenderTile
from verification.challenge import draw_cells, draw_frames
from verification.commitment import MalformedResult
from verification.policy import frames_again, probes

__all__ = ["AUDIT_PRIORITY", "add_audit", "draw"]

AUDIT_PRIORITY = 10


def draw(db: Database, settings: Settings, lease_id: str) -> None:
    """Check an uploaded tile against its commitment, draw its challenge and ask for the audit.

    Does nothing where that is done or no longer wanted."""
    store = BlobStore.of(settings)
    with db.read() as session:
        found = _undrawn(session, lease_id)
        if found is None:
            return
        lease, work, job = found
        contract, tile = contract_of(job), tile_of(work.payload)
        reference = reference_frame(session, store, job.id) if isinstance(contract, RenderContract) else None
    assert lease.blob is not None and lease.root is not None
    try:
        data = tile_bytes(store, lease.blob, lease.id, lease.root, contract, tile)
    except MalformedResult as error:
        reason = str(error)
        db.transact(lambda session: _refuse(session, settings, lease, reason, db.now()))
        return
    odd: list[dict[str, Any]] = []
    if isinstance(contract, RenderContract) and isinstance(tile, RenderTile):
        odd = grounds(contract, tile, data, reference)
    db.transact(lambda session: _challenge(db, session, settings, lease, contract, tile, odd))


def _undrawn(session: Session, lease_id: str) -> Held | None:
    """The lease if its turn to be drawn has come: of two uploads for one tile the second waits for the first."""
    lease = session.get(Lease, lease_id)
    if lease is None or lease.kind != WorkKind.TILE or lease.state != LeaseState.UPLOADED or lease.cells is not None:
        return None
    job, work = session.get_one(Job, lease.job_id), session.get_one(Work, lease.work_id)
    if job.state not in (JobState.RUNNING, JobState.PAUSED):
        return None
    first = session.scalars(
        select(Lease.id).where(
            Lease.work_id == work.id, Lease.id != lease.id, Lease.state == str(LeaseState.UPLOADED),
            Lease.cells.is_not(None),
        )
    ).first()  # fmt: skip
    return None if first is not None else Held(lease, work, job)


def _refuse(session: Session, settings: Settings, lease: Lease, reason: str, now: float) -> None:
    """The upload is not what was signed: a contradiction that its worker cannot deny, and no pay."""
    held = hold(session, lease.node, lease.id)
    if held.lease.state != LeaseState.UPLOADED or held.lease.cells is not None:
        return
    evidence = {
        **(held.lease.evidence or {}),
        "contradiction": {"root": lease.root, "signature": lease.node_signature, "upload": lease.blob, "found": reason},
    }
    blame(session, lease.node)
    lose(
        session, settings.leases, held, LeaseState.REJECTED, reason, now, exclude=True, evidence=evidence,
        verdict="reject", cells=[],
    )  # fmt: skip


def _challenge(
    db: Database,
    session: Session,
    settings: Settings,
    lease: Lease,
    contract: RenderContract | InferContract,
    tile: RenderTile | InferTile,
    odd: list[dict[str, Any]],
) -> None:
    hold(session, lease.node, lease.id)
    held = _undrawn(session, lease.id)
    if held is None:
        return
    lease = held.lease
    assert lease.root is not None
    root, node = bytes.fromhex(lease.root[2:]), session.get_one(Node, lease.node)
    evidence = {**(lease.evidence or {}), **({"suspicion": odd} if odd else {})}
    kinds = len({ground["ground"] for ground in odd})
    if isinstance(tile, RenderTile) and not contract.in_cells:
        again = frames_again(node.suspicion, frames=len(tile.frames), grounds=kinds)
        drawn = draw_frames(root, lease.id, lease.secret, tile, frames=again)
    else:
        cells = tile.cell_count()
        wanted = probes(node.suspicion, cells=cells, floor=settings.probes, grounds=kinds)
        drawn = draw_cells(root, lease.id, lease.secret, cells=cells, probes=wanted)
    set_lease(session, lease, cells=drawn, evidence=evidence or None)
    add_audit(session, held, node, drawn, lease.id, [], db.now())


def add_audit(
    session: Session, held: Held, node: Node, cells: list[int], key: str, excluded: list[str], now: float
) -> None:
    """Ask a trusted worker, never of the worker's own owner, to redo these cells; once for each key."""
    lease, work, job = held
    known = select(Work.id).where(Work.job_id == job.id, Work.kind == str(WorkKind.AUDIT), Work.key == key)
    if session.scalar(known) is not None:
        return
    same_class = any(
        device["numerics_class"] == lease.numerics_class
        for registration in session.scalars(
            select(Node.registration).where(Node.trusted, Node.address.not_in([*excluded, node.address]))
        )
        for device in registration["runtimes"]
    )
    cost = job.cost or {}
    seconds = (
        float(cost.get("load_seconds", 0)) + float(cost.get("sync_seconds", 0))
        + len(cells) * float(cost.get("cell_seconds", 0.02))
    )  # fmt: skip
    session.add(
        Work(
            job_id=job.id, kind=str(WorkKind.AUDIT), index=work.index, key=key, state=str(WorkState.PENDING),
            priority=AUDIT_PRIORITY, trusted=True, runtime=work.runtime, expected_seconds=seconds,
            # Bits are compared within one class; across classes, where nobody trusted has the worker's, by tolerance.
            numerics_class=lease.numerics_class if same_class else None,
            payload={"tile": work.payload, "cells": cells}, audited_lease=lease.id,
            excluded=list(dict.fromkeys([lease.node, node.owner, *excluded])), created_at=now,
        )
    )  # fmt: skip
    session.flush()
    wake_after_commit(session)
