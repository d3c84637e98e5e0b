"""The rows that are to be sent."""

from __future__ import annotations

import hashlib
import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.notify.words import advice, frames_of_failure
from coordinator.store.models import Job, Notice, NotifyTarget
from coordinator.tasks.hints import hint_after_commit
from jobs.states import JobState

__all__ = ["NEWS", "put_notices"]

NEWS = {JobState.DONE: "done", JobState.FAILED: "failed", JobState.REVIEW: "preview"}
"""Which moves of a job are news, by the state that it comes to."""


def put_notices(session: Session, job: Job, to: JobState) -> None:
    """Write what is to be told of this move, one row for each target that wants it, in the caller's transaction."""
    event = NEWS.get(to)
    if event is None:
        return
    targets = session.scalars(
        select(NotifyTarget).where(NotifyTarget.owner == job.owner, NotifyTarget.confirmed_at.is_not(None))
    )
    for target in [one for one in targets if event in one.events]:
        # The same move is told once, however often it is written; a job comes to each of these states once.
        told = f"{job.id}:{event}:{target.id}"
        identity = f"n{hashlib.sha256(told.encode()).hexdigest()[:22]}"
        if session.get(Notice, identity) is not None:
            continue
        body = {
            "id": identity, "event": event, "job": job.id, "name": job.name, "kind": job.kind, "state": str(to),
            "at": time.time(), "error_code": job.error_code, "error": job.error, "frames": [], "advice": None,
        }  # fmt: skip
        if event == "failed":
            body |= {"frames": list(frames_of_failure(session, job)), "advice": advice(job.error_code)}
        elif event == "preview":
            body["advice"] = f"look at the preview, then `kilnet approve {job.id}` or `kilnet reject {job.id}`"
        session.add(
            Notice(
                id=identity, target_id=target.id, job_id=job.id, body=body, state="pending", attempts=0, next_at=0.0,
                created_at=time.time(),
            )
        )  # fmt: skip
        hint_after_commit(session, "notify")
