"""Audits that nobody comes for: another auditor is looked for."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.events import wake_after_commit
from coordinator.judging.asking import choose
from coordinator.leasing.held import Held
from coordinator.states import JOB_OPEN, change_work, lock_job, set_work
from coordinator.store.database import Database, Stale
from coordinator.store.models import Job, Lease, Node, Work
from jobs.states import AuditPurpose, WorkKind, WorkState

__all__ = ["redraw"]

_BATCH = 200


def redraw(db: Database, settings: Settings) -> int:
    """Look anew for who does audits that have waited longer than Settings.audits.patience_seconds: a stranger who was
    drawn and did not come is barred from this one, and strangers help where no trusted worker comes to it. How many
    were given to somebody else."""
    before = db.now() - settings.audits.patience_seconds
    with db.read() as session:
        waiting = session.scalars(
            select(Work.id)
            .join(Job, Job.id == Work.job_id)
            .where(
                Work.kind == str(WorkKind.AUDIT), Work.state == str(WorkState.PENDING), Work.not_before < before,
                Job.state.in_([str(state) for state in JOB_OPEN]),
            )
            .order_by(Work.not_before)
            .limit(_BATCH)
        ).all()  # fmt: skip
    moved = 0
    for work_id in waiting:
        try:
            moved += db.transact(lambda session, work_id=work_id: _redraw(db, session, settings, work_id, before))  # type: ignore[misc]
        except Stale:
            continue
    return moved


def _redraw(db: Database, session: Session, settings: Settings, work_id: int, before: float) -> bool:
    now = db.now()
    work = session.get_one(Work, work_id)
    job = lock_job(session, work.job_id)
    session.refresh(work)
    if work.state != WorkState.PENDING or work.not_before >= before or work.audited_lease is None:
        return False
    if work.purpose == AuditPurpose.GOLDEN:
        change_work(session, work, WorkState.CANCELLED, finished_at=now)  # who does not come is not tested by it
        return False
    barred = set(work.excluded)
    if work.for_node is not None:
        barred |= {work.for_node, session.get_one(Node, work.for_node).owner}
    lease = session.get_one(Lease, work.audited_lease)
    held = Held(lease, session.get_one(Work, lease.work_id), job)
    purpose = AuditPurpose(work.purpose or AuditPurpose.FIRST)
    first = purpose is AuditPurpose.FIRST
    found = choose(session, settings, held, purpose, barred, now, strangers_first=work.for_node is None and first)
    if found is None or (found.node, found.numerics_class) == (work.for_node, work.numerics_class):
        set_work(session, work, not_before=now, for_node=None, trusted=True, excluded=sorted(barred))
        return False
    set_work(
        session, work, not_before=now, for_node=found.node, trusted=found.node is None, excluded=sorted(barred),
        numerics_class=found.numerics_class,
    )  # fmt: skip
    wake_after_commit(session)
    return True
