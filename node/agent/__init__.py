"""The agent of one device: claims leases, has runners do them, and delivers results."""

from node.agent.agent import Agent, WorkerFactory, folder_of
from node.agent.settings import AgentSettings, check_offer, parse_kinds
from node.agent.work import Work, WorkFailed
from node.agent.worker import Worker
from node.runner_pool import RunnerPool
from node.runner_programs import RunnerSettings

__all__ = [
    "Agent",
    "AgentSettings",
    "RunnerPool",
    "RunnerSettings",
    "Work",
    "WorkFailed",
    "Worker",
    "WorkerFactory",
    "check_offer",
    "folder_of",
    "parse_kinds",
]
