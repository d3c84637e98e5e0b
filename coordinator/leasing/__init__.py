"""Leases: the one mechanism for all work. docs/node-protocol.md is the contract with the workers.

Every call here may be repeated: what was decided the first time is answered again.
"""

from coordinator.leasing.auditors import Panel
from coordinator.leasing.claiming import claim
from coordinator.leasing.commitments import commit
from coordinator.leasing.completion import complete
from coordinator.leasing.failure import fail, release
from coordinator.leasing.judgeable import lanes_of_node
from coordinator.leasing.reaper import reap
from coordinator.leasing.renewal import heartbeat, status
from coordinator.leasing.waiting import waiting_for
from coordinator.leasing.workers import ONLINE_SECONDS, register

__all__ = [
    "ONLINE_SECONDS", "Panel", "claim", "commit", "complete", "fail", "heartbeat", "lanes_of_node", "reap", "register",
    "release", "status", "waiting_for",
]  # fmt: skip
