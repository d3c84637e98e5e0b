"""Accepting a tile: lease, tile, receipt and counters in one transaction, so that it is paid once or not at all."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.leasing.held import Held, live_leases
from coordinator.settlement import SignedReceipt, sign_receipt
from coordinator.standing import praise
from coordinator.states import WORK_OPEN, change_lease, change_work, withdraw_leases
from coordinator.store.models import Job, Lease, Node, Receipt, Work
from coordinator.tasks import hint_after_commit
from jobs.contract import Lane
from jobs.states import LeaseState, Verdict, WorkKind, WorkState

__all__ = ["Decision", "accept", "signed"]


class Decision(NamedTuple):
    """What was found about a tile, and by whom."""

    lane: Lane
    reason: str
    evidence: dict[str, Any]
    auditor: str | None = None
    audit_seconds: float = 0


def signed(settings: Settings, held: Held) -> SignedReceipt:
    """The receipt that the tile gets if it is accepted: worth nothing before it is written down."""
    lease, work, job = held
    assert lease.root is not None
    return sign_receipt(
        settings, job=job.id, tile=work.index, attempt=lease.attempt, node=lease.node, commitment=lease.root,
        price=work.price or 0,
    )  # fmt: skip


def accept(session: Session, held: Held, decision: Decision, receipt: SignedReceipt, now: float) -> None:
    """Take the tile: it is done, its worker has a receipt, others who are at it are told to stop."""
    lease, work, job = held
    assert lease.root is not None
    others = live_leases(session, work, lease)
    told = {
        "node": lease.node, "attempt": lease.attempt, "verdict": str(Verdict.ACCEPT), "seconds": lease.seconds,
        "lane": str(decision.lane),
    }  # fmt: skip
    change_work(session, work, WorkState.DONE, accepted_lease=lease.id, finished_at=now, tell=told)
    change_lease(
        session, lease, LeaseState.ACCEPTED, lane=str(decision.lane), verdict=str(Verdict.ACCEPT),
        reason=decision.reason, evidence=decision.evidence, cells=lease.cells or [], finished_at=now,
    )  # fmt: skip
    withdraw_leases(session, others, "another worker was first with this tile", now)
    _cancel_audits(session, others, now)
    session.add(
        Receipt(
            work_id=work.id, job_id=job.id, tile=work.index, attempt=lease.attempt, lease_id=lease.id,
            node=lease.node, owner=session.get_one(Node, lease.node).owner, commitment=lease.root,
            price=work.price or 0, lane=str(decision.lane), auditor=decision.auditor, signature=receipt.signature,
            leaf=receipt.leaf, created_at=now,
        )
    )  # fmt: skip
    praise(session, lease.node, len(lease.cells or []))
    # No worker can claim more time than passed between lease and commitment.
    seconds = min(lease.seconds or 0, (lease.committed_at or now) - lease.created_at)
    session.execute(
        update(Job)
        .where(Job.id == job.id)
        .values(compute_seconds=Job.compute_seconds + seconds, audit_seconds=Job.audit_seconds + decision.audit_seconds)
        .execution_options(synchronize_session=False)
    )
    session.flush()
    hint_after_commit(session, "complete_frame", job.id, work.key.partition(":")[0])


def _cancel_audits(session: Session, leases: list[Lease], now: float) -> None:
    if not leases:
        return
    audits = session.scalars(
        select(Work).where(
            Work.kind == str(WorkKind.AUDIT), Work.audited_lease.in_([lease.id for lease in leases]),
            Work.state.in_([str(state) for state in WORK_OPEN]),
        )
    ).all()  # fmt: skip
    for audit in audits:
        withdraw_leases(session, live_leases(session, audit), "the tile is done", now)
        change_work(session, audit, WorkState.CANCELLED, finished_at=now)
