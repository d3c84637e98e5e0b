"""In words, what a job waits for: nothing frustrates more than a bar that stands still and does not say why."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.leasing import Panel
from coordinator.leasing import waiting_for as waiting_for_worker
from coordinator.store.models import Job
from jobs.states import JobState

__all__ = ["waiting_for"]

_SAID = {
    JobState.QUOTED: "your acceptance of the quote; nothing is charged before",
    JobState.OPENING: "the chain to hold the price in escrow",
    JobState.REVIEW: "your word on the preview: approve it, or reject it",
    JobState.PAUSED: "you to resume it",
    JobState.SETTLING: "the chain to settle it",
}


def waiting_for(session: Session, settings: Settings, jobs: Sequence[Job], *, now: float) -> dict[str, str]:
    """By job id, to be read after "waits for"; jobs that wait for nothing, or have ended, are not in it."""
    out = {}
    panel = Panel(session, settings, now)
    for job in jobs:
        state = JobState(job.state)
        # Which worker fits is decided where work is leased, and said by the same rules.
        said = _SAID.get(state) or waiting_for_worker(session, panel, job, now)
        if said is not None:
            out[job.id] = said
    return out
