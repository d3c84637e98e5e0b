"""Judging an audit: the auditor's cells against the claimed ones, and what follows for lease, tile and worker."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from coordinator.blobs import BlobStore
from coordinator.config import Settings
from coordinator.judging.acceptance import Decision, accept, signed
from coordinator.judging.bytes import audit_cells, claimed_cells, unpack
from coordinator.judging.counters import blame
from coordinator.judging.drawing import add_audit
from coordinator.judging.reproduction import judge_crash
from coordinator.leasing.held import Held, hold
from coordinator.leasing.losing import lose
from coordinator.leasing.offers import contract_of, tile_of
from coordinator.leasing.workers import online_workers
from coordinator.settlement import SignedReceipt
from coordinator.states import change_lease, change_work
from coordinator.store.database import Database
from coordinator.store.models import Job, Lease, Node, Work
from jobs.contract import Lane
from jobs.states import JobState, LeaseState, Verdict, WorkKind, WorkState
from verification.commitment import MalformedResult, cells_length
from verification.compare import Comparison, compare_cells
from verification.policy import lane_between

__all__ = ["judge"]

_MOST_AUDITS = 2
"""Audits of one tile: where the second is undecided too, nobody is blamed and another worker does the tile."""


class _Audit(NamedTuple):
    """An audit that has been handed in."""

    lease: str
    node: str


def judge(db: Database, settings: Settings, lease_id: str) -> None:
    """Decide about a worker's lease if its audit (or the trusted try after its crash) is here.

    Does nothing where there is nothing to decide (yet, or any more)."""
    with db.read() as session:
        lease = session.get(Lease, lease_id)
        if lease is None or lease.kind != WorkKind.TILE:
            return
        audit = _handed_in(session, lease)
    if lease.state == LeaseState.FAILED:
        db.transact(lambda session: judge_crash(session, settings.leases, lease_id, db.now()))
    elif lease.state == LeaseState.UPLOADED and audit is not None:
        _judge(db, settings, lease_id, audit)


def _handed_in(session: Session, lease: Lease) -> _Audit | None:
    row = session.execute(
        select(Lease.id, Lease.node)
        .join(Work, Work.id == Lease.work_id)
        .where(
            Work.audited_lease == lease.id, Work.kind == str(WorkKind.AUDIT), Work.state == str(WorkState.CHECKING),
            Lease.state == str(LeaseState.UPLOADED),
        )
    ).first()  # fmt: skip
    return None if row is None else _Audit(row.id, row.node)


def _judge(db: Database, settings: Settings, lease_id: str, audit: _Audit) -> None:
    store = BlobStore.of(settings)
    with db.read() as session:
        lease, redone = session.get_one(Lease, lease_id), session.get_one(Lease, audit.lease)
        work, job = session.get_one(Work, lease.work_id), session.get_one(Job, lease.job_id)
        contract, tile = contract_of(job), tile_of(work.payload)
    if lease.cells is None or lease.blob is None or lease.root is None or redone.blob is None or redone.root is None:
        return
    length = cells_length(contract, tile, lease.cells)
    try:
        recomputed = audit_cells(store, redone.blob, redone.id, redone.root, contract, tile, lease.cells, length)
    except MalformedResult as error:
        reason = str(error)
        db.transact(lambda session: _refuse_audit(session, settings, audit, reason, db.now()))
        return
    # That it matches the root was checked before the cells were drawn.
    data = unpack(store, lease.blob, tile.result_bytes(contract))  # type: ignore[arg-type]
    claimed = claimed_cells(contract, tile, data, lease.cells)
    lane = lane_between(contract.lane, lease.numerics_class, redone.numerics_class)
    comparison = compare_cells(contract, tile, lane, claimed, recomputed)
    receipt = signed(settings, Held(lease, work, job)) if comparison.verdict is Verdict.ACCEPT else None
    db.transact(lambda session: _decide(db, session, settings, lease_id, audit, lane, comparison, receipt))


def _refuse_audit(session: Session, settings: Settings, audit: _Audit, reason: str, now: float) -> None:
    """The auditor's upload is not what it committed to: its own fault, somebody else redoes the cells."""
    held = hold(session, audit.node, audit.lease)
    if held.lease.state == LeaseState.UPLOADED:
        lose(session, settings.leases, held, LeaseState.REJECTED, reason, now, verdict="reject")


def _decide(
    db: Database,
    session: Session,
    settings: Settings,
    lease_id: str,
    audit: _Audit,
    lane: Lane,
    comparison: Comparison,
    receipt: SignedReceipt | None,
) -> None:
    now = db.now()
    redone = hold(session, audit.node, audit.lease)
    lease = session.get_one(Lease, lease_id, populate_existing=True)
    work = session.get_one(Work, lease.work_id, populate_existing=True)
    held = Held(lease, work, redone.job)
    if (
        lease.state != LeaseState.UPLOADED
        or redone.lease.state != LeaseState.UPLOADED
        or held.job.state not in (JobState.RUNNING, JobState.PAUSED)
    ):
        return
    seconds = min(redone.lease.seconds or 0, (redone.lease.committed_at or now) - redone.lease.created_at)
    _close_audit(session, redone, comparison, now)
    evidence = {
        **(lease.evidence or {}), **comparison.evidence, "auditor": audit.node, "audit_lease": audit.lease,
        "auditor_class": redone.lease.numerics_class, "worker_class": lease.numerics_class,
    }  # fmt: skip
    decision = Decision(lane, comparison.reason, evidence, audit.node, seconds)
    if comparison.verdict is Verdict.ACCEPT:
        assert receipt is not None
        accept(session, held, decision, receipt, now)
        return
    session.execute(
        update(Job)
        .where(Job.id == held.job.id)
        .values(audit_seconds=Job.audit_seconds + seconds)
        .execution_options(synchronize_session=False)
    )
    if comparison.verdict is Verdict.ESCALATE and _ask_another(session, held, now):
        return
    if comparison.verdict is Verdict.REJECT:
        blame(session, lease.node)
    lose(
        session, settings.leases, held, LeaseState.REJECTED, decision.reason, now, exclude=True,
        evidence=evidence, lane=str(lane), verdict=str(comparison.verdict),
    )  # fmt: skip


def _close_audit(session: Session, redone: Held, comparison: Comparison, now: float) -> None:
    """The auditor has done its part, whatever the verdict on the worker is."""
    change_work(
        session, redone.work, WorkState.DONE, accepted_lease=redone.lease.id, finished_at=now,
        result={"verdict": str(comparison.verdict), "reason": comparison.reason},
    )  # fmt: skip
    change_lease(
        session, redone.lease, LeaseState.ACCEPTED, reason=comparison.reason, finished_at=now,
        verdict=str(comparison.verdict),
    )  # fmt: skip


def _ask_another(session: Session, held: Held, now: float) -> bool:
    """A second audit by somebody else; False where there is nobody or it was the second."""
    lease, work, _ = held
    done = session.execute(
        select(Lease.node, Node.owner)
        .join(Work, Work.accepted_lease == Lease.id)
        .join(Node, Node.address == Lease.node)
        .where(Work.audited_lease == lease.id, Work.kind == str(WorkKind.AUDIT))
    ).all()
    asked = session.scalar(select(func.count()).where(Work.audited_lease == lease.id, Work.kind == str(WorkKind.AUDIT)))
    if (asked or 0) >= _MOST_AUDITS:
        return False
    node = session.get_one(Node, lease.node)
    barred = {name for row in done for name in (row.node, row.owner)} | {node.address, node.owner}
    others = [
        worker
        for worker in online_workers(session, now)
        if worker.trusted and not {worker.address, worker.owner} & barred and worker.classes_for(work.runtime, None)
    ]
    if not others:
        return False
    assert lease.cells is not None
    add_audit(session, held, node, lease.cells, f"{lease.id}:2", sorted(barred), now)
    return True
