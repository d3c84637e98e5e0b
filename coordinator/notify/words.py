"""What a notice says: which frame a failure is about, and what to do next."""

from __future__ import annotations

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.store.models import Job, Work
from jobs.states import WorkKind

__all__ = ["ADVICE", "OTHERWISE", "advice", "frames_of_failure"]

ADVICE = {
    "too_many_attempts": "the node's log on the job's page says what stopped the tile; mend that and submit again",
    "quote_lapsed": "nothing was charged; submit the job again for a new quote",
    "deadline": "what had passed is paid, the rest refunded; submit again with a later deadline or a higher price",
    "no_nodes": "no node fits; loosen the constraints, or submit again with a later deadline",
    "scene_fault": "open the scene in Blender at this frame: a trusted worker saw the same failure",
    "unavailable": "no fault of yours; submit the job again",
    "internal": "no fault of yours; submit the job again, and tell the operator the job's id if it fails again",
}
OTHERWISE = "what had passed is paid, the rest refunded; mend what the reason names and submit the job again"
_TILE = re.compile(r"^tile (\d+)\b")


def advice(code: str | None) -> str:
    """What a failed job's owner can do."""
    return ADVICE.get(code or "", OTHERWISE)


def frames_of_failure(session: Session, job: Job) -> tuple[int, ...]:
    """The frames of the tile that a job failed with; none for a batch, or where no tile is at fault."""
    named = _TILE.match(job.error or "")
    if named is None or job.kind != "render":
        return ()
    tile = select(Work.payload).where(
        Work.job_id == job.id, Work.kind == str(WorkKind.TILE), Work.index == int(named[1])
    )
    payload = session.scalar(tile)
    return tuple(payload.get("frames", ())) if payload else ()
