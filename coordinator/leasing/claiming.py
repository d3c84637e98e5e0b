"""Claiming: which work a free device gets, and making the lease without a second one getting the same."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

from eth_utils.address import to_checksum_address
from sqlalchemy import ColumnElement, and_, case, false, or_, select, update
from sqlalchemy.orm import Session, aliased

from coordinator.config import LeaseSettings, Settings
from coordinator.leasing.auditors import Panel
from coordinator.leasing.awarding import Auctions
from coordinator.leasing.fitting import affordable, devices_for
from coordinator.leasing.judgeable import judgeable, must_be_measured
from coordinator.leasing.lapses import lapsing
from coordinator.leasing.offers import offer
from coordinator.leasing.staked import Backing, lock_for, must_be_staked
from coordinator.leasing.wishes import Ranked, at_cap, own_order, within_cap
from coordinator.leasing.workers import Worker, seen, worker_of
from coordinator.settlement import domain as settings_domain
from coordinator.states import JOB_OPEN, LEASE_LIVE, change_work, lock_job
from coordinator.store.database import Database, Stale
from coordinator.store.models import Job, Lease, Node, Work
from jobs.constraints import Needs
from jobs.states import JobState, LeaseState, WorkKind, WorkState
from jobs.typed_data import Domain
from jobs.wire import ClaimRequest, LeaseOffer, RuntimeClass
from verification.challenge import new_secret

__all__ = ["claim", "expected_seconds"]

_PAGE = 64
_PAGES = (8, *16 * (_PAGE,))
"""Rows of work that are looked through for one claim, page by page: mostly one of the first will do, but others may be
excluded, or somebody was faster."""

STATES_FOR: dict[WorkKind, tuple[JobState, ...]] = {
    WorkKind.DESCRIBE: (JobState.ADMITTING,),
    WorkKind.REFERENCE: (JobState.ADMITTING,),
    WorkKind.TILE: (JobState.RUNNING,),
    WorkKind.ASSEMBLE: (JobState.RUNNING,),
    # What is already rendered is judged although the job is paused: its worker waits for the receipt.
    WorkKind.AUDIT: tuple(sorted(JOB_OPEN)),
    WorkKind.REPRODUCE: tuple(sorted(JOB_OPEN)),
}
"""States of a job in which work of each kind is leased."""


class _Candidate(NamedTuple):
    work_id: int
    device: RuntimeClass
    state: WorkState
    """PENDING, or LEASED where a straggler's tile is given to a second worker."""


def expected_seconds(settings: LeaseSettings, seconds: float, score: float) -> float:
    """How long a lease may be expected to take on a machine of this score, work given at score 1.0."""
    return max(settings.minimum_seconds, seconds / score)


def claim(
    db: Database, settings: Settings, *, node: str, request: ClaimRequest, domain: Domain | None = None
) -> LeaseOffer | None:
    """A lease for one device of `node`, or None where there is nothing for it now.

    Raises Forbidden (not registered); Conflict `class_not_registered` (none of the request's classes is),
    `class_not_measured` (nobody could judge what they compute) and `stake_needed` (too little answers for it)."""
    node = to_checksum_address(node)
    domain = domain or settings_domain(settings)
    now = db.now()
    with db.read() as session:
        worker = worker_of(session, node, request)
        panel = Panel(session, settings, now)
        must_be_measured(panel, worker, request)
        behind = must_be_staked(session, settings, worker, now)
        stale = (session.get_one(Node, node).last_seen or 0) < now - 10
        candidates = list(_candidates(session, settings.leases, panel, worker, request, now, behind))
    if stale:
        with db.begin() as session:
            seen(session, node, now)
    for candidate in candidates:
        try:
            lease = db.transact(lambda session, c=candidate: _lease(db, session, settings, worker, c))  # type: ignore[misc]
        except Stale:
            continue
        if lease is not None:
            with db.read() as session:
                return offer(session, settings, lease, domain)
    return None


def _kinds(session: Session, worker: Worker, request: ClaimRequest, now: float) -> list[WorkKind]:
    kinds = list(dict.fromkeys(request.kinds))
    if worker.trusted:
        return kinds
    late = WorkKind.TILE in kinds and lapsing(session, [worker.address], now)
    return [kind for kind in kinds if kind is WorkKind.AUDIT or (kind is WorkKind.TILE and not late)]


def _jobs(
    session: Session, worker: Worker, kinds: list[WorkKind], now: float
) -> tuple[dict[WorkKind, list[str]], list[Ranked]]:
    """Jobs that may give this worker work, by kind; and the place of every open job among its owner's."""
    states = sorted({str(state) for kind in kinds for state in STATES_FOR[kind]})
    rows = session.execute(
        select(
            Job.id, Job.state, Job.deadline, Job.spec, Job.quote["usd_per_kiln_hour"], Job.owner, Job.priority,
            Job.lowered_cap,
        ).where(Job.state.in_(states), Job.outcome.is_(None))
    )  # fmt: skip
    found: dict[WorkKind, list[str]] = {kind: [] for kind in kinds}
    ranked, capped = [], []
    for job_id, state, deadline, spec, price, owner, priority, lowered in rows:
        ranked.append(Ranked(job_id, owner, priority))
        capped += [job_id] if lowered is not None else []
        needs = Needs.of(spec)
        if not worker.may_see(needs) or (deadline is not None and deadline <= now):
            continue
        fits = any(worker.unmet(needs, device) is None for device in worker.classes)
        for kind in kinds:
            # Who asks more than the job's clearing price bid too high for it.
            too_dear = kind is WorkKind.TILE and (worker.suspended or not fits or not affordable(worker, price))
            no_auditor = kind is WorkKind.AUDIT and not worker.trusted and (worker.suspended or worker.barred)
            if state in STATES_FOR[kind] and not too_dear and not no_auditor:
                found[kind].append(job_id)
    for job_id in capped:
        if job_id in found.get(WorkKind.TILE, ()) and at_cap(session, session.get_one(Job, job_id)):
            found[WorkKind.TILE].remove(job_id)
    return {kind: ids for kind, ids in found.items() if ids}, ranked


def _fitting(worker: Worker, jobs: dict[WorkKind, list[str]]) -> ColumnElement[bool]:
    """SQL for work of these jobs that this worker's runtimes and classes can do."""
    kinds = [and_(Work.kind == str(kind), Work.job_id.in_(ids)) for kind, ids in jobs.items()]
    return and_(
        or_(*kinds) if kinds else false(),
        Work.runtime.in_(sorted(worker.runtimes)),
        or_(Work.numerics_class.is_(None), Work.numerics_class.in_([c.numerics_class for c in worker.classes])),
        *([] if worker.trusted else [Work.trusted.is_(False)]),
        # A stranger audits what it was drawn for and nothing else; who was drawn, audits alone.
        or_(Work.for_node == worker.address, and_(Work.for_node.is_(None), Work.kind != str(WorkKind.AUDIT)))
        if not worker.trusted
        else Work.for_node.is_(None),
    )


def _devices(
    worker: Worker, kind: str, spec: dict[str, Any], runtime: str, numerics_class: str | None
) -> list[RuntimeClass]:
    """The devices that may do it: what a job asks of machines it asks of those that do its tiles."""
    if kind == WorkKind.TILE:
        return devices_for(worker, Needs.of(spec), runtime, numerics_class)
    return worker.classes_for(runtime, numerics_class)


def _barred(worker: Worker, excluded: list[Any]) -> bool:
    return worker.address in excluded or worker.owner in excluded


def _candidates(
    session: Session,
    settings: LeaseSettings,
    panel: Panel,
    worker: Worker,
    request: ClaimRequest,
    now: float,
    behind: Backing | None,
) -> Iterator[_Candidate]:
    """Work for this worker, best first: warm jobs, then by priority and age; then tiles that another is slow with."""
    jobs, ranked = _jobs(session, worker, _kinds(session, worker, request, now), now)
    if WorkKind.TILE in jobs and behind is not None:
        jobs[WorkKind.TILE] = [job for job in jobs[WorkKind.TILE] if behind.may_have(job)]
    if WorkKind.TILE in jobs:
        jobs[WorkKind.TILE] = judgeable(session, panel, worker, jobs[WorkKind.TILE])
    back, places = own_order(session, ranked, jobs.get(WorkKind.TILE, ()), _fitting(worker, jobs), now)
    fresh = {kind: [one for one in ids if kind is not WorkKind.TILE or one not in back] for kind, ids in jobs.items()}
    jobs, fresh = ({kind: ids for kind, ids in of.items() if ids} for of in (jobs, fresh))
    if not jobs:
        return
    age: ColumnElement[int] = case(places, value=Work.job_id, else_=Work.id) if places else Work.id.expression
    warmth = case({job: i for i, job in enumerate(request.warm)}, value=Work.job_id, else_=len(request.warm))
    pending = (
        select(Work, Job.spec)
        .join(Job, Job.id == Work.job_id)
        .where(Work.state == str(WorkState.PENDING), Work.not_before <= now, _fitting(worker, fresh))
        .order_by(Work.priority.desc(), *([warmth] if request.warm else []), age, Work.id)
    )
    auctions = Auctions(session, panel, worker, now)
    found = seen_rows = 0
    for size in _PAGES:
        rows = session.execute(pending.limit(size).offset(seen_rows)).all()
        seen_rows += len(rows)
        for work, spec in rows:
            devices = _devices(worker, work.kind, spec, work.runtime, work.numerics_class)
            if not devices or _barred(worker, work.excluded):
                continue
            if work.kind == WorkKind.TILE and auctions.outbid(work):
                continue
            yield _Candidate(work.id, devices[0], WorkState.PENDING)
            found += 1
        if found or len(rows) < size:
            break
    if WorkKind.TILE in jobs:
        yield from _stragglers(session, settings, worker, {WorkKind.TILE: jobs[WorkKind.TILE]}, now)


def _stragglers(
    session: Session, settings: LeaseSettings, worker: Worker, jobs: dict[WorkKind, list[str]], now: float
) -> Iterator[_Candidate]:
    """Tiles whose only lease takes longer than `straggler_factor` times what was expected."""
    # last_expiry was set to longest_factor x expected after the beginning.
    share = settings.straggler_factor / settings.longest_factor
    other = aliased(Lease)
    live = [str(state) for state in LEASE_LIVE]
    second = select(other.id).where(other.work_id == Lease.work_id, other.id != Lease.id, other.state.in_(live))
    rows = session.execute(
        select(Work.id, Work.kind, Work.runtime, Work.numerics_class, Work.excluded, Lease.node, Node.owner, Job.spec)
        .join(Lease, Lease.work_id == Work.id)
        .join(Job, Job.id == Work.job_id)
        .join(Node, Node.address == Lease.node)
        .where(
            Work.state == str(WorkState.LEASED),
            _fitting(worker, jobs),
            Lease.state == str(LeaseState.ACTIVE),
            now - Lease.created_at > share * (Lease.last_expiry - Lease.created_at),
            ~second.exists(),
        )
        .order_by(Lease.created_at)
        .limit(_PAGE)
    )
    for row in rows:
        devices = _devices(worker, row.kind, row.spec, row.runtime, row.numerics_class)
        if devices and not _barred(worker, [*row.excluded, row.node, row.owner]):
            yield _Candidate(row.id, devices[0], WorkState.LEASED)


def _lease(db: Database, session: Session, settings: Settings, worker: Worker, candidate: _Candidate) -> Lease | None:
    """Make the lease if the work is still to be had; None where somebody was faster."""
    now, device = db.now(), candidate.device
    work = session.scalars(
        db.skip_locked(select(Work).where(Work.id == candidate.work_id, Work.state == str(candidate.state)))
    ).one_or_none()
    if work is None or _barred(worker, work.excluded) or work.numerics_class not in (None, device.numerics_class):
        return None
    if work.for_node not in (None, worker.address):
        return None
    job = session.get_one(Job, work.job_id)
    if job.state not in STATES_FOR[WorkKind(work.kind)] or job.outcome is not None:
        return None
    if candidate.state is WorkState.LEASED and len(_live(session, work.id)) != 1:
        return None
    begun = work.kind == WorkKind.TILE and candidate.state is WorkState.PENDING
    # Locked: two tiles at once must not go over the cap together.
    if begun and job.lowered_cap is not None and not within_cap(session, lock_job(session, job.id), work.price):
        return None
    if work.kind == WorkKind.TILE and not lock_for(db, session, settings, worker, job.id, now):
        return None
    expected = expected_seconds(settings.leases, work.expected_seconds, device.score)
    lease = Lease(
        id=f"l{secrets.token_hex(11)}",
        work_id=work.id,
        job_id=work.job_id,
        kind=work.kind,
        node=worker.address,
        token=work.next_token,
        attempt=work.next_token,
        numerics_class=device.numerics_class,
        state=str(LeaseState.ACTIVE),
        created_at=now,
        expires_at=now + settings.leases.expiry_seconds,
        last_expiry=now + settings.leases.longest_factor * expected,
        secret=new_secret(),
    )
    if work.kind == WorkKind.TILE and work.numerics_class is None:
        _fix_class(session, work, device.numerics_class)
    told = {"node": worker.address, "attempt": lease.attempt, "lease": lease.id}
    change_work(session, work, WorkState.LEASED, next_token=work.next_token + 1, tell=told)
    session.add(lease)
    session.flush()
    return lease


def _live(session: Session, work_id: int) -> list[str]:
    return list(
        session.scalars(
            select(Lease.id).where(Lease.work_id == work_id, Lease.state.in_([str(state) for state in LEASE_LIVE]))
        )
    )


def _fix_class(session: Session, work: Work, numerics_class: str) -> None:
    """From the first lease on, all tiles of the frame go to this class only: no frame mixes classes.

    Two workers that each take a first tile of one frame wait for each other here; the database ends one of them."""
    group = work.key.partition(":")[0]
    session.execute(
        update(Work)
        .where(
            Work.job_id == work.job_id,
            Work.kind == str(WorkKind.TILE),
            Work.key.like(f"{group}:%"),
            Work.numerics_class.is_(None),
        )
        .values(numerics_class=numerics_class)
        .execution_options(synchronize_session=False)
    )
    session.refresh(work)
