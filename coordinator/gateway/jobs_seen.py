"""Which jobs a caller may see."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session

from coordinator.auth import Caller
from coordinator.errors import NotFound
from coordinator.store.models import Job

__all__ = ["JobId", "visible"]

JobId = Annotated[str, Path(pattern=r"^[0-9A-Za-z_-]{1,24}$")]


def visible(session: Session, caller: Caller, job_id: str) -> Job:
    """The job, for its owner and for the coordinator's own workers. Raises NotFound for all others."""
    job = session.get(Job, job_id)
    if job is None or not (job.owner == caller.address or caller.trusted):
        raise NotFound(f"no job {job_id} of this account; check its id")
    return job
