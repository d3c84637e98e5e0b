"""Who may audit whom: trusted workers whose class allows a lane, else a stranger of the worker's own class, drawn.

A stranger is never of the worker's owner, never an author of a tile of the same job (nor is an auditor of a job given
tiles of it), is drawn at random among owners and then among their nodes, and is told nothing but the cells.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import cached_property, partial
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.leasing.staked import unbacked
from coordinator.leasing.workers import ONLINE_SECONDS, Worker, online_workers, trusted_workers
from coordinator.store.models import Job, Lease, Node, Work
from jobs.constraints import Needs
from jobs.contract import Lane
from jobs.states import AuditPurpose, WorkKind
from verification.lanes import Question, bits_decide, lane_between
from verification.limits import limits_for

__all__ = ["Auditor", "Panel", "auditing_in", "owners_auditing"]

_RANK = {Lane.EXACT: 0, Lane.WHOLE: 0, Lane.TOLERANT: 1, Lane.PERCEPTUAL: 2}


class Auditor(NamedTuple):
    """To whom an audit is given."""

    lane: Lane
    numerics_class: str
    node: str | None
    """The stranger who was drawn; None: any trusted worker of the class."""
    owner: str | None = None
    bits: bool = False
    """Whether bits decide between the two classes."""


class Panel:
    """Everybody who could audit, as of one moment: read once for all the questions of one decision."""

    def __init__(self, session: Session, settings: Settings, now: float) -> None:
        self._session, self._settings, self._now = session, settings.audits, now
        self._deployment = settings
        self._known = partial(limits_for, folder=settings.calibration)
        self._authors: dict[str, set[str]] = {}

    @cached_property
    def trusted(self) -> list[Worker]:
        """The coordinator's own, those online first."""
        return sorted(trusted_workers(self._session), key=lambda w: w.last_seen < self._now - ONLINE_SECONDS)

    @cached_property
    def online(self) -> list[Worker]:
        """Everybody who was heard of lately."""
        return online_workers(self._session, self._now)

    @cached_property
    def unbacked(self) -> frozenset[str]:
        """Nodes online that get nothing for want of stake."""
        return unbacked(self._session, self._deployment, self.online, self._now)

    @cached_property
    def strangers(self) -> list[Worker]:
        """Nodes that are online and may audit."""
        return [w for w in self.online if not (w.trusted or w.suspended or w.barred or w.address in self.unbacked)]

    def authors(self, job: str) -> set[str]:
        """Nodes that have or had a tile of the job, and their owners."""
        if job not in self._authors:
            rows = self._session.execute(
                select(Lease.node, Node.owner)
                .join(Node, Node.address == Lease.node)
                .where(Lease.job_id == job, Lease.kind == str(WorkKind.TILE))
                .distinct()
            )
            self._authors[job] = {name for row in rows for name in row}
        return self._authors[job]

    def judges(self, question: Question, runtime: str, worker_class: str, workers: Iterable[Worker]) -> list[Auditor]:
        """What each device of these workers could do for a worker of this class, the strongest lane first."""
        found: list[Auditor] = []
        for worker in workers:
            for device in worker.classes_for(runtime, None):
                lane = lane_between(
                    question, worker_class, device.numerics_class, repeats=device.repeats, known=self._known
                )
                if lane is not None:
                    bits = device.repeats and bits_decide(lane, worker_class, device.numerics_class)
                    found.append(Auditor(lane, device.numerics_class, worker.address, worker.owner, bits))
        return sorted(found, key=lambda one: (not one.bits, _RANK[one.lane]))

    def trusted_for(
        self, question: Question, runtime: str, worker_class: str, barred: Iterable[str] = ()
    ) -> Auditor | None:
        """The trusted class that judges this one by the strongest lane; None where none does."""
        out = set(barred)
        fit = [worker for worker in self.trusted if not {worker.address, worker.owner} & out]
        best = next(iter(self.judges(question, runtime, worker_class, fit)), None)
        return None if best is None else best._replace(node=None, owner=None)

    def strangers_for(
        self, job: Job, question: Question, runtime: str, worker_class: str, barred: Iterable[str] = ()
    ) -> list[Auditor]:
        """Strangers who may judge this class in this job; only such as are judges by the strongest lane there is."""
        if self._settings.strangers == "never":
            return []
        out = set(barred) | self.authors(job.id)
        needs = Needs.of(job.spec)
        fit = [
            worker for worker in self.strangers if not {worker.address, worker.owner} & out and worker.may_see(needs)
        ]
        found = self.judges(question, runtime, worker_class, fit)
        # Another class's calibrated limits are for trusted workers: between strangers bits decide, or looks.
        found = [one for one in found if one.bits or one.lane is Lane.PERCEPTUAL]
        return [one for one in found if one.bits == found[0].bits]

    def draw(self, candidates: list[Auditor]) -> Auditor:
        """One of them, owners first: an owner of many nodes is not drawn more often."""
        chance = secrets.SystemRandom()
        owner = chance.choice(sorted({str(one.owner) for one in candidates}))
        return chance.choice([one for one in candidates if one.owner == owner])

    def choose(
        self,
        job: Job,
        question: Question,
        runtime: str,
        worker_class: str,
        barred: Iterable[str],
        *,
        purpose: AuditPurpose = AuditPurpose.FIRST,
        strangers_first: bool = False,
    ) -> Auditor | None:
        """To whom an audit goes; None where there is nobody now.

        A confirmation needs an auditor by whom bits decide; what rechecks a stranger is trusted."""
        barred = set(barred)
        own = self.trusted_for(question, runtime, worker_class, barred)
        if purpose is AuditPurpose.RECHECK:
            return own
        confirming = purpose is AuditPurpose.CONFIRM
        if confirming and own is not None and not own.bits:
            own = None
        others: list[Auditor] = []
        if own is None or strangers_first or self._settings.strangers == "always":
            others = self.strangers_for(job, question, runtime, worker_class, barred)
            others = [one for one in others if one.bits] if confirming else others
        if own is not None and (not others or not (strangers_first or self._settings.strangers == "always")):
            return own
        return self.draw(others) if others else own

    def can_be_audited(self, job: str, question: Question, runtime: str, worker_class: str, owner: str) -> bool:
        """Whether somebody independent could judge a tile that a worker of this class and owner would do."""
        if not self.trusted or self.trusted_for(question, runtime, worker_class, [owner]) is not None:
            return True
        row = self._session.get_one(Job, job)
        return bool(self.strangers_for(row, question, runtime, worker_class, [owner]))

    def measured(self, question: Question, runtime: str, worker_class: str, owner: str) -> bool:
        """Whether the class has a calibration or an independent auditor at all, whatever the job."""
        if not self.trusted or self.trusted_for(question, runtime, worker_class, [owner]) is not None:
            return True
        if self._settings.strangers == "never":
            return False
        fit = [worker for worker in self.strangers if worker.owner != owner]
        return any(one.bits for one in self.judges(question, runtime, worker_class, fit))


_UNPAID = (str(AuditPurpose.CONFIRM), str(AuditPurpose.GOLDEN))
"""Confirmations and golden audits pay nobody."""


def auditing_in(session: Session, worker: Worker) -> set[str]:
    """Jobs in which the pay of others hangs on audits of this worker, or of another of its owner: it gets no tiles of
    them."""
    mine = select(Node.address).where(Node.owner == worker.owner)
    asked = select(Work.job_id).where(
        Work.kind == str(WorkKind.AUDIT), Work.for_node.in_(mine), Work.purpose.not_in(_UNPAID)
    )
    return set(session.scalars(asked.distinct()))


def owners_auditing(session: Session, job: str) -> set[str]:
    """The same from the job's side: owners whose workers' audits others are paid by."""
    asked = (
        select(Node.owner)
        .join(Work, Work.for_node == Node.address)
        .where(Work.job_id == job, Work.kind == str(WorkKind.AUDIT), Work.purpose.not_in(_UNPAID))
    )
    return set(session.scalars(asked.distinct()))
