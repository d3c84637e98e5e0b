"""Judging an audit: the auditor's cells against the claimed ones, and what follows for lease, tile, worker, auditor.

A refusal takes the pay at once and sends the tile elsewhere. Whether it counts against the worker's name is another
question, which a second auditor of the same class answers (coordinator.judging.confirming).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from coordinator.blobs import BlobStore
from coordinator.config import Settings
from coordinator.judging.acceptance import Decision, accept, signed
from coordinator.judging.asking import ask, auditors_of, chance
from coordinator.judging.bytes import audit_cells, claimed_cells, unpack
from coordinator.judging.confirming import confirmed, contradicted, note_refusal
from coordinator.judging.golden import judge_golden, perhaps_golden
from coordinator.judging.reproduction import judge_crash
from coordinator.leasing.held import Held, hold
from coordinator.leasing.losing import lose
from coordinator.leasing.offers import contract_of, tile_of
from coordinator.leasing.workers import repeats_itself
from coordinator.settlement import SignedReceipt
from coordinator.states import JOB_OPEN, change_lease, change_work
from coordinator.store.database import Database
from coordinator.store.models import Job, Lease, Node, Work
from jobs.contract import Lane
from jobs.states import AuditPurpose, LeaseState, Verdict, WorkKind, WorkState
from verification.commitment import MalformedResult, cells_length
from verification.compare import Comparison
from verification.judgement import judge_cells
from verification.lanes import bits_decide
from verification.limits import limits_for

__all__ = ["judge"]

_MOST_OPINIONS = 2
"""Audits that may end undecided: where the second does too, nobody is blamed and another worker does the tile."""


class _Audit(NamedTuple):
    """An audit that has been handed in."""

    lease: str
    node: str
    purpose: AuditPurpose


def judge(db: Database, settings: Settings, lease_id: str) -> None:
    """Decide about a worker's lease if an audit of it (or the trusted try after its crash) is here.

    Does nothing where there is nothing to decide (yet, or any more)."""
    with db.read() as session:
        lease = session.get(Lease, lease_id)
        if lease is None or lease.kind != WorkKind.TILE:
            return
        audits = _handed_in(session, lease)
    if lease.state == LeaseState.FAILED:
        db.transact(lambda session: judge_crash(session, settings.leases, lease_id, db.now()))
    for audit in audits:
        if audit.purpose is AuditPurpose.GOLDEN:
            judge_golden(db, settings, audit.lease)
        else:
            _judge(db, settings, lease_id, audit)


def _handed_in(session: Session, lease: Lease) -> list[_Audit]:
    rows = session.execute(
        select(Lease.id, Lease.node, Work.purpose)
        .join(Work, Work.id == Lease.work_id)
        .where(
            Work.audited_lease == lease.id, Work.kind == str(WorkKind.AUDIT), Work.state == str(WorkState.CHECKING),
            Lease.state == str(LeaseState.UPLOADED),
        )
        .order_by(Lease.created_at)
    ).all()  # fmt: skip
    return [_Audit(row.id, row.node, AuditPurpose(row.purpose or AuditPurpose.FIRST)) for row in rows]


def _judge(db: Database, settings: Settings, lease_id: str, audit: _Audit) -> None:
    store = BlobStore.of(settings)
    with db.read() as session:
        lease, redone = session.get_one(Lease, lease_id), session.get_one(Lease, audit.lease)
        work, job = session.get_one(Work, lease.work_id), session.get_one(Job, lease.job_id)
        contract, tile = contract_of(job), tile_of(work.payload)
        repeats = repeats_itself(session, redone.node, redone.numerics_class)
    if lease.cells is None or lease.blob is None or lease.root is None or redone.blob is None or redone.root is None:
        return
    length = cells_length(contract, tile, lease.cells)
    try:
        recomputed = audit_cells(store, redone.blob, redone.id, redone.root, contract, tile, lease.cells, length)
    except MalformedResult as error:
        reason = str(error)
        db.transact(lambda session: _refuse_audit(session, settings, audit, reason, db.now(), exclude=False))
        return
    # That it matches the root was checked before the cells were drawn.
    data = unpack(store, lease.blob, tile.result_bytes(contract))  # type: ignore[arg-type]
    claimed = claimed_cells(contract, tile, data, lease.cells)
    lane, comparison = judge_cells(
        contract, tile, (lease.numerics_class, redone.numerics_class), claimed, recomputed, repeats=repeats,
        known=partial(limits_for, folder=settings.calibration),
    )  # fmt: skip
    if lane is None or comparison is None:
        reason = f"{redone.numerics_class} was never calibrated against {lease.numerics_class}: it cannot judge it"
        db.transact(lambda session: _refuse_audit(session, settings, audit, reason, db.now(), exclude=True))
        return
    bits = repeats and bits_decide(lane, lease.numerics_class, redone.numerics_class)
    receipt = signed(settings, Held(lease, work, job)) if comparison.verdict is Verdict.ACCEPT else None
    db.transact(
        lambda session: _Judging(db, session, settings, audit, lane, comparison, receipt, bits).decide(lease_id)
    )


def _refuse_audit(
    session: Session, settings: Settings, audit: _Audit, reason: str, now: float, *, exclude: bool
) -> None:
    """The auditor's upload is not what it committed to, or of a class that cannot judge: somebody else redoes the
    cells."""
    held = hold(session, audit.node, audit.lease)
    if held.lease.state == LeaseState.UPLOADED:
        lose(session, settings.leases, held, LeaseState.REJECTED, reason, now, exclude=exclude, verdict="reject")


class _Judging:
    """One audit that was compared, in the transaction that draws the consequences."""

    def __init__(
        self,
        db: Database,
        session: Session,
        settings: Settings,
        audit: _Audit,
        lane: Lane,
        comparison: Comparison,
        receipt: SignedReceipt | None,
        bits: bool,
    ) -> None:
        self._session, self._settings, self._now = session, settings, db.now()
        self._audit, self._lane, self._comparison, self._receipt = audit, lane, comparison, receipt
        self._bits = bits

    def decide(self, lease_id: str) -> None:
        session, audit = self._session, self._audit
        redone = hold(session, audit.node, audit.lease)
        lease = session.get_one(Lease, lease_id, populate_existing=True)
        work = session.get_one(Work, lease.work_id, populate_existing=True)
        if redone.lease.state != LeaseState.UPLOADED:
            return
        held = Held(lease, work, redone.job)
        going_on = held.job.state in JOB_OPEN
        confirming = audit.purpose is AuditPurpose.CONFIRM and lease.state == LeaseState.REJECTED
        if not confirming and (lease.state != LeaseState.UPLOADED or not going_on):
            return
        seconds = self._close_audit(redone)
        decision = Decision(self._lane, self._comparison.reason, self._evidence(held, redone), audit.node, seconds)
        auditor = session.get_one(Node, audit.node, populate_existing=True)
        if going_on:
            perhaps_golden(session, self._settings, held.job, auditor, redone.lease.numerics_class, self._now)
        if confirming:
            self._count_seconds(held, seconds)
            confirmed(
                session, held, audit.node, self._comparison.verdict, decision.evidence, self._now, bits=self._bits
            )
            return
        if audit.purpose is AuditPurpose.RECHECK:
            contradicted(session, held, redone.lease, self._comparison, self._now, bits=self._bits)
        elif not auditor.trusted and self._recheck(held):
            self._count_seconds(held, seconds)
            return
        self._conclude(held, decision, auditor)

    def _evidence(self, held: Held, redone: Held) -> dict[str, Any]:
        return {
            **(held.lease.evidence or {}), **self._comparison.evidence, "auditor": self._audit.node,
            "audit_lease": self._audit.lease, "auditor_class": redone.lease.numerics_class,
            "worker_class": held.lease.numerics_class, "bits": self._bits,
        }  # fmt: skip

    def _conclude(self, held: Held, decision: Decision, auditor: Node) -> None:
        session, verdict = self._session, self._comparison.verdict
        if verdict is Verdict.ACCEPT:
            assert self._receipt is not None
            accept(session, held, decision, self._receipt, self._now)
            return
        self._count_seconds(held, decision.audit_seconds)
        if verdict is Verdict.ESCALATE and self._ask_another(held):
            return
        lose(
            session, self._settings.leases, held, LeaseState.REJECTED, decision.reason, self._now, exclude=True,
            evidence=decision.evidence, lane=str(self._lane), verdict=str(verdict),
        )  # fmt: skip
        if verdict is Verdict.REJECT:
            note_refusal(session, self._settings, held, decision, auditor, self._now, bits=self._bits)

    def _recheck(self, held: Held) -> bool:
        """Have a trusted worker repeat what a stranger found: every refusal, and accepts at the configured rate, and
        all where the gate was suspicious of what now looks alike to two strangers."""
        odd = self._lane is Lane.PERCEPTUAL and "suspicion" in (held.lease.evidence or {})
        refused = self._comparison.verdict is not Verdict.ACCEPT
        if not (odd or refused or chance(self._settings.audits.recheck_share)):
            return False
        assert held.lease.cells is not None
        return ask(
            self._session, self._settings, held, held.lease.cells, AuditPurpose.RECHECK,
            auditors_of(self._session, held.lease.id), self._now,
        )  # fmt: skip

    def _close_audit(self, redone: Held) -> float:
        """The auditor has done its part, whatever the verdict on the worker is; the seconds that it took."""
        seconds = min(redone.lease.seconds or 0, (redone.lease.committed_at or self._now) - redone.lease.created_at)
        verdict, reason = str(self._comparison.verdict), self._comparison.reason
        change_work(
            self._session, redone.work, WorkState.DONE, accepted_lease=redone.lease.id, finished_at=self._now,
            result={"verdict": verdict, "reason": reason, "lane": str(self._lane)},
        )  # fmt: skip
        change_lease(
            self._session, redone.lease, LeaseState.ACCEPTED, reason=reason, finished_at=self._now, verdict=verdict
        )
        self._session.execute(
            update(Node)
            .where(Node.address == self._audit.node)
            .values(audits=Node.audits + 1)
            .execution_options(synchronize_session=False)
        )
        return float(seconds)

    def _count_seconds(self, held: Held, seconds: float) -> None:
        self._session.execute(
            update(Job)
            .where(Job.id == held.job.id)
            .values(audit_seconds=Job.audit_seconds + seconds)
            .execution_options(synchronize_session=False)
        )

    def _ask_another(self, held: Held) -> bool:
        """A second opinion by somebody else; False where there is nobody or it was the second."""
        session, lease = self._session, held.lease
        opinions = (str(AuditPurpose.FIRST), str(AuditPurpose.SECOND))
        asked = session.scalar(select(func.count()).where(Work.audited_lease == lease.id, Work.purpose.in_(opinions)))
        if (asked or 0) >= _MOST_OPINIONS or lease.cells is None:
            return False
        return ask(
            session, self._settings, held, lease.cells, AuditPurpose.SECOND, auditors_of(session, lease.id), self._now
        )
