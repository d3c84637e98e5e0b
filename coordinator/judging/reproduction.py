"""A crash is believed when a trusted worker has met it too: then it is the scene's, else the worker's."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.config import LeaseSettings
from coordinator.leasing.held import hold
from coordinator.leasing.losing import requeue
from coordinator.states import end_job
from coordinator.store.models import Lease, Work
from coordinator.tasks import hint_after_commit
from jobs.states import JobState, LeaseState, WorkKind, WorkState

__all__ = ["judge_crash"]


def judge_crash(session: Session, settings: LeaseSettings, lease_id: str, now: float) -> None:
    """Act on the trusted try after a crash: end the job with the reason, or queue the tile for another worker.

    Does nothing where the try is not done, or its outcome was acted on."""
    held = hold(session, session.get_one(Lease, lease_id).node, lease_id)
    lease, work, job = held
    tried = session.scalars(
        select(Work).where(
            Work.job_id == job.id, Work.kind == str(WorkKind.REPRODUCE), Work.key == lease_id,
            Work.state == str(WorkState.DONE),
        )
    ).one_or_none()  # fmt: skip
    newest = work.next_token == lease.token + 1
    if tried is None or not newest or lease.state != LeaseState.FAILED or work.state != WorkState.CHECKING:
        return
    result = tried.result or {}
    if result.get("reproduced") is True:
        message = str(result.get("message") or lease.reason or "it crashes")[:2000]
        code = str(result.get("code") or (lease.evidence or {}).get("code") or "crash")[:100]
        error = f"tile {work.index} fails on every machine that tried it: {message}"
        if end_job(session, job, JobState.FAILED, now, error_code=code, error=error):
            hint_after_commit(session, "settle", job.id)
        return
    requeue(session, settings, held, f"failed here, and not on a trusted worker: {lease.reason}", now, exclude=True)
