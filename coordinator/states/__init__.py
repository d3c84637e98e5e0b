"""The one door: states of jobs, work and leases change here and nowhere else.

Every change is a conditional UPDATE on (state, version) that must touch exactly one row; who loses a race gets Stale
and decides anew. A change of a job or a tile writes an event in the same transaction.
"""

from coordinator.states.door import change_job, change_lease, change_work, lock_job, set_lease, set_work, tell_output
from coordinator.states.ending import end_job, withdraw_leases
from coordinator.states.transitions import JOB_MOVES, JOB_OPEN, LEASE_LIVE, LEASE_MOVES, WORK_MOVES, WORK_OPEN
from coordinator.store.database import Stale

__all__ = [
    "JOB_MOVES", "JOB_OPEN", "LEASE_LIVE", "LEASE_MOVES", "WORK_MOVES", "WORK_OPEN", "Stale", "change_job",
    "change_lease", "change_work", "end_job", "lock_job", "set_lease", "set_work", "tell_output", "withdraw_leases",
]  # fmt: skip
