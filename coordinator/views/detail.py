"""One job in detail: what its tiles lie on, who tried each of them, which cells were audited, what happened."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.store.models import Event, Job, Lease, Node, Receipt, Work
from jobs.contract import CELL_SIDE, Lane
from jobs.states import Verdict, WorkKind, WorkState
from jobs.wire import AttemptView, AuditedView, JobFacts, LogEntry

__all__ = ["attempt_views", "audited_views", "job_facts", "last_event", "log_entries"]


def job_facts(session: Session, job: Job) -> JobFacts:
    """What a job's tiles lie on, and what it has cost so far."""
    contract = job.contract or {}
    version = f"{contract.get('runtime', '')} {contract.get('version', '')}".strip()
    spent = _spent(session, job.id)
    if job.kind == "infer":
        return JobFacts(items=int(job.spec.get("items", 0)), runtime=version, spent=spent)
    reference = session.scalar(
        select(Work.payload).where(
            Work.job_id == job.id, Work.kind == str(WorkKind.REFERENCE), Work.state == str(WorkState.DONE)
        )
    )
    return JobFacts(
        frames=tuple(job.frames or ()),
        window=contract.get("window"),
        width=contract.get("width", 0),
        height=contract.get("height", 0),
        samples=contract.get("samples", 0),
        cell_side=CELL_SIDE,
        engine=contract.get("engine", ""),
        runtime=version,
        reference_frame=(reference or {}).get("frame"),
        spent=spent,
    )


def _spent(session: Session, job_id: str) -> int:
    """Units. Tiles of one price are counted by the database: amounts do not fit its integers."""
    rows = session.execute(select(Receipt.price, func.count()).where(Receipt.job_id == job_id).group_by(Receipt.price))
    return sum(price * count for price, count in rows)


def attempt_views(session: Session, job_id: str, tile: int) -> list[AttemptView]:
    """Everybody who tried a tile, the first one first; empty where there is no such tile."""
    rows = session.execute(
        select(Lease, Node.name)
        .join(Work, Work.id == Lease.work_id)
        .join(Node, Node.address == Lease.node)
        .where(Work.job_id == job_id, Work.kind == str(WorkKind.TILE), Work.index == tile)
        .order_by(Lease.token)
    )
    return [_attempt(lease, name) for lease, name in rows]


def _attempt(lease: Lease, name: str) -> AttemptView:
    # Drawn cells are shown with the verdict and not before: its worker may be the one who asks.
    decided = lease.verdict is not None
    return AttemptView(
        attempt=lease.attempt, node=lease.node, node_name=name, state=lease.state, started_at=lease.created_at,
        finished_at=lease.finished_at, seconds=lease.seconds, progress=lease.progress, detail=lease.detail,
        lane=Lane(lease.lane) if lease.lane else None,
        verdict=Verdict(lease.verdict) if lease.verdict else None,
        reason=lease.reason, cells=tuple(lease.cells or ()) if decided else (),
        evidence=(lease.evidence or {}) if decided or lease.finished_at is not None else {},
        numerics_class=lease.numerics_class, commitment=lease.root,
    )  # fmt: skip


def audited_views(session: Session, job_id: str) -> list[AuditedView]:
    """All audited cells of a job whose verdict is known, by tile."""
    rows = session.execute(
        select(Work.index, Lease.attempt, Lease.verdict, Lease.cells, Lease.evidence)
        .join(Work, Work.id == Lease.work_id)
        .where(
            Lease.job_id == job_id, Lease.kind == str(WorkKind.TILE), Lease.verdict.is_not(None),
            Lease.cells.is_not(None),
        )
        .order_by(Work.index, Lease.token)
    )  # fmt: skip
    return [
        AuditedView(
            tile=tile, attempt=attempt, verdict=Verdict(verdict), cells=tuple(cells or ()), differing=_differing(found)
        )
        for tile, attempt, verdict, cells, found in rows
        if cells
    ]


def _differing(evidence: dict[str, Any] | None) -> tuple[int, ...]:
    rows = (evidence or {}).get("differing")
    return tuple(int(row["cell"]) for row in rows if "cell" in row) if isinstance(rows, list) else ()


def last_event(session: Session, job_id: str) -> int:
    """The id after which a follower of the job goes on from what is read in this transaction; 0 where there is none."""
    return int(session.scalar(select(func.max(Event.id)).where(Event.job_id == job_id)) or 0)


def log_entries(session: Session, job_id: str, *, before: int | None, limit: int) -> list[LogEntry]:
    """What happened to a job, the latest first. Steps of progress are left out: there is no end to them."""
    wanted = select(Event).where(Event.job_id == job_id).order_by(Event.id.desc())
    if before is not None:
        wanted = wanted.where(Event.id < before)
    out: list[LogEntry] = []
    for event in session.scalars(wanted.limit(limit * 8)):
        if "progress" not in event.data and len(out) < limit:
            out.append(LogEntry(id=event.id, type=event.type, at=event.created_at, data=event.data))
    return out
