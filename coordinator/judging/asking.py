"""Asking for an audit: whose it is, and what the auditor is told, which is the cells and nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.events import wake_after_commit
from coordinator.leasing.auditors import Auditor, Panel
from coordinator.leasing.held import Held
from coordinator.leasing.offers import contract_of
from coordinator.store.models import Job, Lease, Node, Work
from jobs.states import AuditPurpose, WorkKind, WorkState
from verification.lanes import question_of

__all__ = ["ask", "ask_golden", "auditors_of", "chance", "choose"]

AUDIT_PRIORITY = 10


def chance(share: float) -> bool:
    """True in this share of all calls, by what nobody can foresee."""
    return secrets.SystemRandom().random() < share


def auditors_of(session: Session, lease: str) -> set[str]:
    """Everybody who has audited this lease or was asked to, with their owners."""
    rows = session.execute(
        select(Lease.node, Node.owner)
        .join(Work, Work.id == Lease.work_id)
        .join(Node, Node.address == Lease.node)
        .where(Work.audited_lease == lease, Work.kind == str(WorkKind.AUDIT), Work.purpose != str(AuditPurpose.GOLDEN))
    )
    return {name for row in rows for name in row}


def choose(
    session: Session, settings: Settings, held: Held, purpose: AuditPurpose, barred: Iterable[str], now: float, *,
    strangers_first: bool = False,
) -> Auditor | None:  # fmt: skip
    """To whom an audit of this lease would go; never to its worker, nor to another of the same owner."""
    contract = contract_of(held.job)
    worker = session.get_one(Node, held.lease.node)
    return Panel(session, settings, now).choose(
        held.job, question_of(contract), f"{contract.class_runtime}-{contract.version}", held.lease.numerics_class,
        {*barred, worker.address, worker.owner}, purpose=purpose, strangers_first=strangers_first,
    )  # fmt: skip


def ask(
    session: Session, settings: Settings, held: Held, cells: list[int], purpose: AuditPurpose, barred: Iterable[str],
    now: float,
) -> bool:  # fmt: skip
    """Have these cells of a tile redone, once for each purpose. False where nobody is there who may: only a first audit
    is asked for all the same, and waits for a trusted worker of the worker's own class, or whom a later look finds."""
    lease, work, job = held
    key = f"{lease.id}:{purpose}"
    if _known(session, job, key):
        return True
    found = choose(session, settings, held, purpose, barred, now)
    if found is None and purpose is not AuditPurpose.FIRST:
        return False
    worker = session.get_one(Node, lease.node)
    _add(
        session, job, work.index, key, cells, work.payload, now, purpose=purpose, audited=lease.id,
        node=None if found is None else found.node,
        numerics_class=lease.numerics_class if found is None else found.numerics_class,
        excluded=[worker.address, worker.owner, *sorted(barred)],
    )  # fmt: skip
    return True


def ask_golden(
    session: Session, held: Held, cells: list[int], auditor: str, numerics_class: str, known: str, now: float
) -> None:
    """Have an auditor redo cells of `held` whose right answer is that of the audit lease `known`."""
    lease, work, job = held
    number = session.scalar(select(func.count()).where(Work.job_id == job.id, Work.purpose == str(AuditPurpose.GOLDEN)))
    _add(
        session, job, work.index, f"{lease.id}:golden:{number}", cells, work.payload, now,
        purpose=AuditPurpose.GOLDEN, audited=lease.id, node=auditor, numerics_class=numerics_class, excluded=[],
        result={"known": known},
    )  # fmt: skip


def _known(session: Session, job: Job, key: str) -> bool:
    known = select(Work.id).where(Work.job_id == job.id, Work.kind == str(WorkKind.AUDIT), Work.key == key)
    return session.scalar(known) is not None


def _add(
    session: Session,
    job: Job,
    index: int,
    key: str,
    cells: list[int],
    tile: dict[str, Any],
    now: float,
    *,
    purpose: AuditPurpose,
    audited: str,
    node: str | None,
    numerics_class: str,
    excluded: list[str],
    result: dict[str, Any] | None = None,
) -> None:
    contract, cost = contract_of(job), job.cost or {}
    each = float(cost.get("cell_seconds", 0.02))
    if not contract.in_cells:
        each = float(cost.get("frame_seconds", 0)) * len(tile["frames"]) / max(1, len(cells))
    seconds = float(cost.get("load_seconds", 0)) + float(cost.get("sync_seconds", 0)) + len(cells) * each
    session.add(
        Work(
            job_id=job.id, kind=str(WorkKind.AUDIT), index=index, key=key, state=str(WorkState.PENDING),
            priority=AUDIT_PRIORITY, trusted=node is None, runtime=f"{contract.class_runtime}-{contract.version}",
            expected_seconds=seconds, numerics_class=numerics_class, payload={"tile": tile, "cells": cells},
            audited_lease=audited, purpose=str(purpose), for_node=node, excluded=list(dict.fromkeys(excluded)),
            result=result, created_at=now, not_before=now,
        )
    )  # fmt: skip
    session.flush()
    wake_after_commit(session)
