"""What a refusal does to a worker's name: a strike, open until a second auditor of the same class has redone the cells.

Only verdicts of bits are confirmed, and only confirmed ones can ever be slashed for. Where there is no second auditor,
a trusted worker's word counts by itself, a stranger's does not count at all.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.judging.acceptance import Decision
from coordinator.judging.asking import ask, auditors_of
from coordinator.leasing.held import Held
from coordinator.standing import confirm, overturn, stand_alone, strike
from coordinator.states import JOB_OPEN, set_lease
from coordinator.store.database import Database
from coordinator.store.models import Job, Lease, Node, Strike, Work
from jobs.states import AuditPurpose, StrikeKind, StrikeState, Verdict, WorkKind
from verification.compare import Comparison

__all__ = ["confirmed", "contradicted", "note_refusal", "unconfirmed"]


def note_refusal(
    session: Session, settings: Settings, held: Held, decision: Decision, auditor: Node, now: float, *, bits: bool
) -> None:
    """Write down that cells came out differently, and ask a second auditor where bits decided."""
    lease = held.lease
    agreed = _agreed(session, lease, auditor.address) if bits else None
    state = StrikeState.CONFIRMED if agreed else StrikeState.ALONE
    if bits and not agreed and lease.cells:
        asked = ask(session, settings, held, lease.cells, AuditPurpose.CONFIRM, auditors_of(session, lease.id), now)
        state = StrikeState.OPEN if asked else state
    found = strike(
        session, node=lease.node, kind=StrikeKind.CELLS, key=f"{StrikeKind.CELLS}:{lease.id}", job=held.job.id,
        lease=lease.id, tile=held.work.index, lane=str(decision.lane), reason=decision.reason,
        evidence=decision.evidence, auditor=auditor.address, state=state, counts=auditor.trusted or agreed is not None,
        slashable=agreed is not None, now=now,
    )  # fmt: skip
    if found is not None and agreed is not None:
        found.confirmed_by = agreed
        session.flush()


def _agreed(session: Session, lease: Lease, but: str) -> str | None:
    """Another auditor of the worker's class who had refused these cells already: a stranger who is being rechecked."""
    return session.scalar(
        select(Lease.node)
        .join(Work, Work.accepted_lease == Lease.id)
        .where(
            Work.audited_lease == lease.id, Work.kind == str(WorkKind.AUDIT), Lease.node != but,
            Lease.numerics_class == lease.numerics_class, Lease.verdict == str(Verdict.REJECT),
        )
    )  # fmt: skip


def _strike_of(session: Session, lease: str) -> Strike | None:
    return session.scalars(select(Strike).where(Strike.key == f"{StrikeKind.CELLS}:{lease}")).one_or_none()


def confirmed(
    session: Session, held: Held, by: str, verdict: Verdict, evidence: dict[str, Any], now: float, *, bits: bool
) -> None:
    """A second auditor has redone refused cells. Where it agrees with the worker the first auditor was wrong: a
    stranger audits no more; a trusted worker's fault is for the operator to see."""
    found = _strike_of(session, held.lease.id)
    if found is None:
        return
    if verdict is Verdict.REJECT:
        confirm(session, found, by, now, slashable=bits)
    elif verdict is Verdict.ACCEPT and not _outranked(session, str(found.auditor), by):
        overturn(session, found, by, now)
        set_lease(session, held.lease, reason=f"{held.lease.reason}; a second auditor found it right: this is not held "
                  "against the node")  # fmt: skip
        _wrong_auditor(session, held, str(found.auditor), by, "refused cells that came out as claimed", evidence, now)
    else:
        stand_alone(session, found, now)
        if verdict is Verdict.ACCEPT:
            said = "found right what a trusted worker had refused"
            _wrong_auditor(session, held, by, str(found.auditor), said, evidence, now)


def _outranked(session: Session, first: str, second: str) -> bool:
    """A stranger, who may have been told what to find, does not overturn a trusted worker."""
    return session.get_one(Node, first).trusted and not session.get_one(Node, second).trusted


def contradicted(
    session: Session, held: Held, redone: Lease, comparison: Comparison, now: float, *, bits: bool
) -> None:
    """A trusted worker has repeated a stranger's audit: where bits decide and one refuses what the other takes, the
    stranger was wrong. Who only asked for a second look said nothing against anybody."""
    if not bits:
        return
    earlier = session.execute(
        select(Lease.id, Lease.node, Lease.verdict)
        .join(Work, Work.accepted_lease == Lease.id)
        .join(Node, Node.address == Lease.node)
        .where(
            Work.audited_lease == held.lease.id, Work.kind == str(WorkKind.AUDIT), Node.trusted.is_(False),
            Work.purpose != str(AuditPurpose.GOLDEN), Lease.numerics_class == redone.numerics_class,
        )
    ).all()  # fmt: skip
    for row in earlier:
        if {row.verdict, str(comparison.verdict)} == {str(Verdict.ACCEPT), str(Verdict.REJECT)}:
            done = f"found {row.verdict} where a trusted worker finds {comparison.verdict}"
            _wrong_auditor(session, held, row.node, redone.node, done, comparison.evidence, now)


def _wrong_auditor(
    session: Session, held: Held, auditor: str, by: str, done: str, evidence: dict[str, Any], now: float
) -> None:
    strike(
        session, node=auditor, kind=StrikeKind.RECHECK, key=f"{StrikeKind.RECHECK}:{held.lease.id}:{auditor}",
        job=held.job.id, lease=held.lease.id, tile=held.work.index, reason=f"as an auditor it {done}",
        evidence=evidence, auditor=by, state=StrikeState.CONFIRMED, counts=False, now=now,
    )  # fmt: skip


def unconfirmed(db: Database) -> int:
    """Strikes whose second auditor never came while their job went on: from now on they stand alone. How many."""
    with db.begin() as session:
        rows = session.scalars(
            select(Strike)
            .join(Job, Job.id == Strike.job_id)
            .where(Strike.state == str(StrikeState.OPEN), Job.state.not_in([str(state) for state in JOB_OPEN]))
        ).all()
        for row in rows:
            stand_alone(session, row, db.now())
    return len(rows)
