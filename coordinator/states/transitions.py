"""Which state may follow which; jobs.states says what each of them means."""

from __future__ import annotations

from collections.abc import Mapping

from jobs.states import JobState, LeaseState, WorkState

__all__ = ["JOB_MOVES", "JOB_OPEN", "LEASE_LIVE", "LEASE_MOVES", "WORK_MOVES", "WORK_OPEN"]

JOB_MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.ADMITTING: frozenset({JobState.QUOTED, JobState.FAILED, JobState.CANCELLED}),
    JobState.QUOTED: frozenset({JobState.OPENING, JobState.FAILED, JobState.CANCELLED}),
    JobState.OPENING: frozenset({JobState.RUNNING, JobState.FAILED}),
    JobState.RUNNING: frozenset({JobState.REVIEW, JobState.PAUSED, JobState.SETTLING}),
    JobState.REVIEW: frozenset({JobState.RUNNING, JobState.SETTLING}),
    JobState.PAUSED: frozenset({JobState.RUNNING, JobState.SETTLING}),
    JobState.SETTLING: frozenset({JobState.DONE, JobState.CANCELLED, JobState.FAILED}),
    JobState.DONE: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.FAILED: frozenset(),
}
"""Nothing leaves RUNNING, REVIEW or PAUSED but through SETTLING: from the escrow on, every end is settled on chain."""

JOB_OPEN = frozenset({JobState.RUNNING, JobState.REVIEW, JobState.PAUSED})
"""States in which a job's tiles are worked on or judged."""

WORK_MOVES: Mapping[WorkState, frozenset[WorkState]] = {
    WorkState.HELD: frozenset({WorkState.PENDING, WorkState.CANCELLED}),
    WorkState.PENDING: frozenset({WorkState.LEASED, WorkState.FAILED, WorkState.CANCELLED}),
    # LEASED again: a straggler's tile is given to a second worker.
    WorkState.LEASED: frozenset(set(WorkState) - {WorkState.HELD}),
    WorkState.CHECKING: frozenset(set(WorkState) - {WorkState.CHECKING, WorkState.HELD}),
    WorkState.DONE: frozenset(),
    WorkState.FAILED: frozenset(),
    WorkState.CANCELLED: frozenset(),
}
WORK_OPEN = frozenset({WorkState.HELD, WorkState.PENDING, WorkState.LEASED, WorkState.CHECKING})
"""States of work that still has to be done."""

_LOST = frozenset({LeaseState.REJECTED, LeaseState.FAILED, LeaseState.EXPIRED, LeaseState.RELEASED})
LEASE_MOVES: Mapping[LeaseState, frozenset[LeaseState]] = {
    LeaseState.ACTIVE: _LOST | {LeaseState.COMMITTED, LeaseState.ACCEPTED},
    LeaseState.COMMITTED: _LOST | {LeaseState.UPLOADED},
    # Once the upload is here it is the coordinator's turn: such a lease neither expires nor fails.
    LeaseState.UPLOADED: frozenset({LeaseState.ACCEPTED, LeaseState.REJECTED, LeaseState.RELEASED}),
    # A worker comes back after an outage, and nobody else has its work yet.
    LeaseState.EXPIRED: frozenset({LeaseState.ACTIVE, LeaseState.COMMITTED}),
    LeaseState.ACCEPTED: frozenset(),
    LeaseState.REJECTED: frozenset(),
    LeaseState.FAILED: frozenset(),
    LeaseState.RELEASED: frozenset(),
}
LEASE_LIVE = frozenset({LeaseState.ACTIVE, LeaseState.COMMITTED, LeaseState.UPLOADED})
"""States of a lease that has not ended."""
