"""Drawing: the upload matches the root, so now, and not before, the cells to be redone are drawn."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.blobs import BlobStore
from coordinator.config import Settings
from coordinator.judging.asking import ask, choose
from coordinator.judging.bytes import RootMismatch, tile_bytes
from coordinator.judging.suspicion import grounds, reference_frame
from coordinator.leasing.held import Held, hold
from coordinator.leasing.losing import lose
from coordinator.leasing.offers import contract_of, tile_of
from coordinator.standing import strike
from coordinator.states import JOB_OPEN, set_lease
from coordinator.store.database import Database
from coordinator.store.models import Job, Lease, Node, Work
from jobs.contract import InferContract, Lane, RenderContract
from jobs.states import AuditPurpose, LeaseState, StrikeKind, StrikeState, WorkKind
from jobs.tiles import InferTile, RenderTile
from verification.challenge import draw_cells, draw_frames
from verification.commitment import MalformedResult
from verification.policy import TOLERANT_FLOOR, frames_again, probes

__all__ = ["draw"]


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
        kind = StrikeKind.UPLOAD_MISMATCH if isinstance(error, RootMismatch) else StrikeKind.MALFORMED
        reason = str(error)
        db.transact(lambda session: _refuse(session, settings, lease, kind, reason, db.now()))
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
    if job.state not in JOB_OPEN:
        return None
    first = session.scalars(
        select(Lease.id).where(
            Lease.work_id == work.id, Lease.id != lease.id, Lease.state == str(LeaseState.UPLOADED),
            Lease.cells.is_not(None),
        )
    ).first()  # fmt: skip
    return None if first is not None else Held(lease, work, job)


def _refuse(session: Session, settings: Settings, lease: Lease, kind: StrikeKind, reason: str, now: float) -> None:
    """The upload is not what was signed, which its worker cannot deny, or no result at all: no pay."""
    held = hold(session, lease.node, lease.id)
    if held.lease.state != LeaseState.UPLOADED or held.lease.cells is not None:
        return
    signed = {
        "token": lease.token, "root": lease.root, "signature": lease.node_signature, "upload": lease.blob,
        "completion_signature": held.lease.completion_signature,
        "cells": tile_of(held.work.payload).cell_count(), "found": reason,
    }  # fmt: skip
    evidence = {**(held.lease.evidence or {}), "contradiction": signed}
    strike(
        session, node=lease.node, kind=kind, key=f"{kind}:{lease.id}", job=lease.job_id, lease=lease.id,
        tile=held.work.index, reason=reason, evidence=signed, now=now, state=StrikeState.CONFIRMED,
        # Only what it signed twice: leases of an older version were completed without a signature.
        slashable=kind is StrikeKind.UPLOAD_MISMATCH and held.lease.completion_signature is not None,
    )  # fmt: skip
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
    kinds, now = len({ground["ground"] for ground in odd}), db.now()
    if isinstance(tile, RenderTile) and not contract.in_cells:
        again = len(tile.frames)
        if contract.lane is not Lane.PERCEPTUAL:  # which is weak enough without leaving frames out
            again = frames_again(node.suspicion, frames=again, grounds=kinds)
        drawn = draw_frames(root, lease.id, lease.secret, tile, frames=again)
    else:
        cells = tile.cell_count()
        floor = int(((held.job.cost or {}).get("plan") or {}).get("probes", settings.probes))
        least = _least(session, settings, held, now)
        wanted = probes(node.suspicion, cells=cells, floor=floor, grounds=kinds, least=least)
        drawn = draw_cells(root, lease.id, lease.secret, cells=cells, probes=wanted)
    set_lease(session, lease, cells=drawn, evidence=evidence or None)
    ask(session, settings, Held(lease, held.work, held.job), drawn, AuditPurpose.FIRST, [], now)


def _least(session: Session, settings: Settings, held: Held, now: float) -> int:
    """Cells that the audit needs whoever the worker is: where another class will redo a render, a share is compared."""
    if not isinstance(contract_of(held.job), RenderContract):
        return 1
    found = choose(session, settings, held, AuditPurpose.FIRST, [], now)
    return TOLERANT_FLOOR if found is not None and found.lane is Lane.TOLERANT else 1
