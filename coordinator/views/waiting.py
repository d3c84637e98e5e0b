"""In words, what a job waits for: nothing frustrates more than a bar that stands still and does not say why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.store.models import Job, Lease, Node, Work
from coordinator.views.nodes import ONLINE_SECONDS
from jobs.states import JobState, LeaseState, WorkKind, WorkState

__all__ = ["waiting_for"]

_AT_IT = (LeaseState.ACTIVE, LeaseState.COMMITTED, LeaseState.UPLOADED)
_SAID = {
    JobState.QUOTED: "your acceptance of the quote; nothing is charged before",
    JobState.OPENING: "the chain to hold the price in escrow",
    JobState.PAUSED: "you to resume it",
    JobState.SETTLING: "the chain to settle it",
}
_OWN = "one of the coordinator's own workers"
_TRUSTED_WORK = {
    WorkKind.DESCRIBE: "to read the files",
    WorkKind.REFERENCE: "to render the reference frame",
    WorkKind.REPRODUCE: "to look into a crash",
    WorkKind.AUDIT: "to audit finished tiles",
    WorkKind.ASSEMBLE: "to put frames together",
}


def waiting_for(session: Session, jobs: Sequence[Job], *, now: float) -> dict[str, str]:
    """By job id; jobs that wait for nothing, or have ended, are not in it."""
    out = {job.id: _SAID[JobState(job.state)] for job in jobs if job.state in _SAID}
    at_work = [job for job in jobs if job.state in (JobState.ADMITTING, JobState.RUNNING)]
    ids = [job.id for job in at_work]
    if not ids:
        return out
    live = set(session.scalars(select(Lease.job_id).where(Lease.job_id.in_(ids), Lease.state.in_(_AT_IT)).distinct()))
    still = [job for job in at_work if job.id not in live]
    if not still:
        return out
    pending = session.execute(
        select(Work.job_id, Work.kind, Work.trusted, Work.runtime, Work.numerics_class, func.min(Work.not_before))
        .where(Work.job_id.in_([job.id for job in still]), Work.state == WorkState.PENDING)
        .group_by(Work.job_id, Work.kind, Work.trusted, Work.runtime, Work.numerics_class)
        .order_by(Work.trusted.desc(), Work.kind)
    ).all()
    online = session.scalars(select(Node).where(Node.last_seen > now - ONLINE_SECONDS)).all()
    for job in still:
        groups = [row for row in pending if row.job_id == job.id]
        if groups:
            out[job.id] = _sentence(job, groups[0], online, now)
        elif job.state == JobState.ADMITTING:
            out[job.id] = "the coordinator to look at it"
    return out


def _sentence(job: Job, work: Any, online: Sequence[Node], now: float) -> str:
    if work.trusted:
        what = _TRUSTED_WORK.get(WorkKind(work.kind), "to do a tile again")
        return _trusted_sentence(what, work, [node for node in online if node.trusted])
    nodes = [node for node in online if not node.trusted]
    if not nodes:
        return "a node: none is online. `kilnet node run` starts one"
    able = [node for node in nodes if work.runtime in _runtimes(node)]
    if not able:
        here = ", ".join(name for name, _ in Counter(r for node in nodes for r in _runtimes(node)).most_common(3))
        return f"a node with {work.runtime}: {_count(nodes)} online, with {here}"
    classed = [node for node in able if work.numerics_class in (None, *_classes(node))]
    if not classed:
        return f"a node of the numerics class {work.numerics_class}, in which this frame was begun"
    owners = {owner.lower() for owner in job.spec.get("owners") or ()}
    owned = [node for node in classed if not owners or node.owner.lower() in owners or node.address.lower() in owners]
    if not owned:
        return "a node of the owners that the job names: none is online"
    regions = set(job.spec.get("regions") or ())
    near = [node for node in owned if not regions or node.region in regions]
    if not near:
        return f"a node in {' or '.join(sorted(regions))}: none is online"
    most = float((job.quote or {}).get("usd_per_kiln_hour") or 0)
    cheap = [node for node in near if not most or node.ask_usd_per_kiln_hour <= most * (1 + 1e-9)]
    if not cheap:
        least = min(node.ask_usd_per_kiln_hour for node in near)
        return f"a node that asks at most {most:g} USD per kiln-hour: the cheapest online asks {least:g}"
    free = [node for node in cheap if node.suspended is None]
    if not free:
        return f"a node in good standing: {_count(cheap)} online that would fit, all suspended"
    if work.not_before > now:
        return "a short pause after a failed attempt"
    return "a node that is free"


def _trusted_sentence(what: str, work: Any, trusted: Sequence[Node]) -> str:
    if not trusted:
        return f"{_OWN} {what}: none is online"
    able = [node for node in trusted if work.runtime in _runtimes(node)]
    if not able:
        return f"{_OWN} with {work.runtime} {what}: none is online"
    if work.numerics_class is not None and not any(work.numerics_class in _classes(node) for node in able):
        return f"{_OWN} of the numerics class {work.numerics_class} {what}: none is online"
    return f"{_OWN} to be free {what}"


def _runtimes(node: Node) -> Iterable[str]:
    return {f"{entry['runtime']}-{entry['version']}" for entry in node.registration.get("runtimes", ())}


def _classes(node: Node) -> Iterable[str]:
    return {str(entry["numerics_class"]) for entry in node.registration.get("runtimes", ())}


def _count(nodes: Sequence[Node]) -> str:
    return f"{len(nodes)} node{'' if len(nodes) == 1 else 's'}"
