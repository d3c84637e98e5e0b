"""Golden cells: audits whose right answer is known beforehand, so that it is the auditor who is tested.

The right answer is a trusted worker's own, of an audit in the same job and numerics class; to the auditor it is an
audit like any other. It catches who returns anything but what it computed: the lazy, and who repeats what a worker told
it.
"""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.blobs import BlobStore
from coordinator.config import Settings
from coordinator.judging.asking import ask_golden, chance
from coordinator.judging.bytes import audit_cells
from coordinator.leasing.held import Held, hold
from coordinator.leasing.offers import contract_of, tile_of
from coordinator.standing import strike
from coordinator.states import change_lease, change_work
from coordinator.store.database import Database
from coordinator.store.models import Job, Lease, Node, Work
from jobs.states import AuditPurpose, LeaseState, StrikeKind, StrikeState, WorkKind, WorkState
from jobs.wire import AuditCells
from verification.commitment import MalformedResult, cells_length

__all__ = ["judge_golden", "perhaps_golden"]


def perhaps_golden(
    session: Session, settings: Settings, job: Job, auditor: Node, numerics_class: str, now: float
) -> bool:
    """Give a stranger who audits in this job, at the configured rate, an audit whose right answer is known."""
    if auditor.trusted or not chance(settings.audits.golden_share):
        return False
    tile = Lease.__table__.alias("tile")
    rows = session.execute(
        select(Lease.id, Work.audited_lease)
        .join(Work, Work.accepted_lease == Lease.id)
        .join(Node, Node.address == Lease.node)
        .join(tile, tile.c.id == Work.audited_lease)
        .where(
            Work.job_id == job.id, Work.kind == str(WorkKind.AUDIT), Work.state == str(WorkState.DONE),
            Work.purpose != str(AuditPurpose.GOLDEN), Node.trusted, Lease.numerics_class == numerics_class,
            tile.c.node != auditor.address,
        )
    ).all()  # fmt: skip
    done = set(
        session.scalars(select(Work.audited_lease).where(Work.job_id == job.id, Work.for_node == auditor.address))
    )
    rows = [row for row in rows if row.audited_lease not in done]  # the same cells twice would tell it
    if not rows:
        return False
    known, audited = secrets.SystemRandom().choice(rows)
    lease = session.get_one(Lease, audited)
    held = Held(lease, session.get_one(Work, lease.work_id), job)
    ask_golden(session, held, list(lease.cells or ()), auditor.address, numerics_class, known, now)
    return True


def judge_golden(db: Database, settings: Settings, audit: str) -> None:
    """Hold a golden audit, handed in, against the right answer."""
    store = BlobStore.of(settings)
    with db.read() as session:
        redone = session.get_one(Lease, audit)
        work, job = session.get_one(Work, redone.work_id), session.get_one(Job, redone.job_id)
        known = session.get_one(Lease, str((work.result or {})["known"]))
        contract, asked = contract_of(job), AuditCells.model_validate(work.payload)
    tile, cells = tile_of(work.payload["tile"]), sorted(asked.cells)
    length = cells_length(contract, tile, cells)
    assert redone.blob and redone.root and known.blob and known.root
    right = audit_cells(store, known.blob, known.id, known.root, contract, tile, cells, length)
    try:
        found = audit_cells(store, redone.blob, redone.id, redone.root, contract, tile, cells, length)
        wrong = [index for index in cells if found[index] != right[index]]
        reason = f"as an auditor it got {len(wrong)} of {len(cells)} cells wrong whose right answer was known"
    except MalformedResult as error:
        wrong, reason = cells, f"as an auditor: {error}"
    evidence = {
        "cells": cells, "wrong": wrong, "known_audit": known.id, "known_auditor": known.node, "root": redone.root,
        "signature": redone.node_signature, "token": redone.token,
    }  # fmt: skip
    db.transact(lambda session: _close(db, session, audit, wrong, reason, evidence))


def _close(db: Database, session: Session, audit: str, wrong: list[int], reason: str, evidence: dict[str, Any]) -> None:
    now = db.now()
    held = hold(session, session.get_one(Lease, audit).node, audit)
    if held.lease.state != LeaseState.UPLOADED:
        return
    if not wrong:
        said = f"all {len(evidence['cells'])} cells as known"
        change_work(
            session, held.work, WorkState.DONE, accepted_lease=audit, finished_at=now,
            result={**(held.work.result or {}), "right": True},
        )  # fmt: skip
        change_lease(session, held.lease, LeaseState.ACCEPTED, reason=said, finished_at=now, verdict="accept")
        return
    change_work(
        session, held.work, WorkState.FAILED, finished_at=now, result={**(held.work.result or {}), "right": False}
    )
    change_lease(
        session, held.lease, LeaseState.REJECTED, reason=reason, finished_at=now, verdict="reject", evidence=evidence
    )
    strike(
        session, node=held.lease.node, kind=StrikeKind.GOLDEN, key=f"golden:{audit}", job=held.job.id, lease=audit,
        tile=held.work.index, reason=reason, evidence=evidence, now=now, auditor=str(evidence["known_auditor"]),
        state=StrikeState.CONFIRMED, counts=False,
    )  # fmt: skip
