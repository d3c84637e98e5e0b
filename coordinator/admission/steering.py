"""Cancel, pause, resume, and the clock: what ends a job from outside."""

from __future__ import annotations

from collections.abc import Callable

from eth_utils.address import to_checksum_address
from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from coordinator.admission.ordering import own_job
from coordinator.config import Settings
from coordinator.errors import Conflict
from coordinator.events import wake_after_commit
from coordinator.leasing.auditors import Panel
from coordinator.leasing.waiting import waiting_for
from coordinator.states import JOB_OPEN, change_job, end_job, lock_job
from coordinator.store.database import Database, Stale
from coordinator.store.models import Job, Work
from coordinator.tasks import hint_after_commit
from jobs.states import JOB_FINAL, JobState, WorkState

__all__ = ["approve", "cancel", "deadlines", "pause", "reject", "resume"]

_RUNNING = tuple(sorted(JOB_OPEN))


def _steer(db: Database, owner: str, job_id: str, action: Callable[[Session, Job], None]) -> None:
    address = to_checksum_address(owner)
    db.transact(lambda session: action(session, own_job(session, address, job_id)))


def cancel(db: Database, settings: Settings, *, owner: str, job_id: str) -> None:
    """End the job: what passed is paid, the rest refunded. Nothing happens to a job that is ending or has ended.

    Raises NotFound."""
    del settings

    def write(session: Session, job: Job) -> None:
        if end_job(session, job, JobState.CANCELLED, db.now()) and job.outcome == JobState.CANCELLED:
            hint_after_commit(session, "settle", job.id)

    _steer(db, owner, job_id, write)


def pause(db: Database, settings: Settings, *, owner: str, job_id: str) -> None:
    """Lease nothing new; what runs is finished and judged. The deadline stands. Raises NotFound, Conflict."""
    del settings

    def write(session: Session, job: Job) -> None:
        if job.state == JobState.RUNNING:
            change_job(session, job, JobState.PAUSED)
        elif job.state != JobState.PAUSED:
            raise Conflict(f"the job is {job.state}: only a running job can be paused", code="not_running")

    _steer(db, owner, job_id, write)


def resume(db: Database, settings: Settings, *, owner: str, job_id: str) -> None:
    """Go on with a paused job. Raises NotFound, Conflict."""
    del settings

    def write(session: Session, job: Job) -> None:
        if job.state == JobState.PAUSED:
            change_job(session, job, JobState.RUNNING)
            hint_after_commit(session, "complete_frame", job.id, "")
        elif job.state != JobState.RUNNING:
            raise Conflict(f"the job is {job.state}: only a paused job can be resumed", code="not_paused")

    _steer(db, owner, job_id, write)


def approve(db: Database, settings: Settings, *, owner: str, job_id: str) -> None:
    """Go on after the preview (or without waiting for it): what was held back is leased. Nothing happens where nothing
    is held back. Raises NotFound, Conflict."""
    del settings

    def write(session: Session, job: Job) -> None:
        if job.state not in JOB_OPEN:
            raise Conflict(f"the job is {job.state}: only a running job's preview can be approved", code="not_running")
        session.execute(
            update(Work)
            .where(Work.job_id == job.id, Work.state == str(WorkState.HELD))
            .values(state=str(WorkState.PENDING), version=Work.version + 1)
            .execution_options(synchronize_session=False)
        )
        session.expire_all()
        if job.state == JobState.REVIEW:
            change_job(session, job, JobState.RUNNING)
        wake_after_commit(session)

    _steer(db, owner, job_id, write)


def reject(db: Database, settings: Settings, *, owner: str, job_id: str) -> None:
    """End a job because of its preview: what was rendered of it is paid, the rest refunded. Nothing happens to a job
    that was rejected before. Raises NotFound, Conflict where there is no preview to reject."""
    del settings

    def write(session: Session, job: Job) -> None:
        if job.error_code == "preview_rejected":
            return
        held = select(Work.id).where(Work.job_id == job.id, Work.state == str(WorkState.HELD)).limit(1)
        if job.state not in JOB_OPEN or session.scalar(held) is None:
            raise Conflict(
                f"the job is {job.state} and has no preview to reject; `kilnet cancel` ends it", code="no_preview"
            )
        error = "the preview was rejected; what was rendered of it is paid, the rest refunded"
        if end_job(session, job, JobState.CANCELLED, db.now(), error_code="preview_rejected", error=error):
            hint_after_commit(session, "settle", job.id)

    _steer(db, owner, job_id, write)


def deadlines(db: Database, settings: Settings) -> int:
    """End what is over time: running jobs at their deadline (refunded for what is not done), quotes that lapsed,
    admissions that nobody came to. How many there were."""
    now = db.now()
    with db.read() as session:
        ids = session.scalars(
            select(Job.id).where(
                or_(
                    and_(Job.state.in_(_RUNNING), Job.deadline <= now),
                    Job.state.in_([str(JobState.ADMITTING), str(JobState.QUOTED)]),
                )
            )
        ).all()
    ended = 0
    for job_id in ids:
        try:
            ended += db.transact(lambda session, job_id=job_id: _over_time(session, settings, job_id, now))  # type: ignore[misc]
        except Stale:
            continue
    return ended


def _over_time(session: Session, settings: Settings, job_id: str, now: float) -> bool:
    job = lock_job(session, job_id)
    if job.state in JOB_FINAL:
        return False
    if job.state == JobState.QUOTED:
        if job.quote is None or float(job.quote["expires_at"]) > now:
            return False
        code, error = "quote_lapsed", "the quote was not accepted in time; submit the job again for a new one"
    elif job.state == JobState.ADMITTING:
        if job.created_at + float(job.spec["deadline_s"]) > now:
            return False
        step = waiting_for(session, Panel(session, settings, now), job, now) or "its quote"
        code, error = "no_trusted_worker", f"the deadline passed while the job waited for {step}; nothing was charged"
    elif job.state in _RUNNING and job.deadline is not None and job.deadline <= now:
        waits = waiting_for(session, Panel(session, settings, now), job, now)
        code = "deadline" if waits is None else "no_nodes"
        why = "" if waits is None else f", waiting for {waits.partition(';')[0]}"
        error = f"the deadline passed before all was done{why}; what did not pass is refunded"
        if job.state == JobState.REVIEW:
            code, error = (
                "no_word",
                "the deadline passed without a word on the preview; what was not rendered is refunded",
            )
    else:
        return False
    if end_job(session, job, JobState.FAILED, now, error_code=code, error=error):
        hint_after_commit(session, "settle", job.id)
    return True
