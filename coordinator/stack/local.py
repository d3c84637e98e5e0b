"""How programs get at a local stack: find the one that runs, or start one for a while."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.stack.layout import Layout
from coordinator.stack.locks import StackLock, UsersLock
from coordinator.stack.supervisor import STACK_READY
from jobs.errors import Refused, Unavailable
from jobs.planner import PlanPolicy

__all__ = ["LocalStack", "find_running", "temporary_stack"]

_READY_SECONDS = 150.0
_STOP_SECONDS = 40.0

_used: list[UsersLock] = []
"""Stacks of others that this process uses; given back by the kernel when it ends."""


@dataclass(frozen=True)
class LocalStack:
    """A stack that runs on this machine."""

    gateway_url: str
    key_file: Path
    """Private key (0x-hex) of a client wallet that holds KILN on the stack's chain."""
    data: Path

    def status(self) -> dict[str, Any]:
        """What its supervisor says of it: `state`, `pid`, and `parts` (name -> state, pid, restarts); {} once it
        has ended."""
        return _status(Layout(self.data))


def _status(layout: Layout) -> dict[str, Any]:
    try:
        status: dict[str, Any] = json.loads(layout.status.read_bytes())
    except (OSError, ValueError):
        return {}
    return status


def _ready(layout: Layout) -> LocalStack | None:
    status = _status(layout)
    if status.get("state") != STACK_READY:
        return None
    return LocalStack(str(status["gateway_url"]), layout.client_key, layout.data)


def find_running(data: Path | None = None) -> LocalStack | None:
    """The stack on this data folder (None: the default one), or None where none runs.

    One that is just being started is waited for. From then on this process counts as its user: a temporary stack that
    another program has started stays until both have ended. Raises Unavailable where it does not get ready."""
    layout = Layout.at(data)
    users = UsersLock(layout.users)
    until = time.monotonic() + _READY_SECONDS
    while StackLock.is_held(layout.lock):
        status = _status(layout)
        # The file of one that was killed outlives it: believe only what the holder of the lock has written.
        if _alive(status.get("pid")) and (found := _ready(layout)) is not None and users.join():
            _used.append(users)
            return found
        if time.monotonic() > until:
            raise Unavailable(f"the stack on {layout.data} does not get ready; see its logs in {layout.logs}")
        time.sleep(0.05)
    return None


def _alive(pid: object) -> bool:
    return isinstance(pid, int) and Path(f"/proc/{pid}").exists()


@contextmanager
def temporary_stack(
    *, nodes: int = 1, data: Path | None = None, unsandboxed: bool = False, plan: PlanPolicy | None = None
) -> Iterator[LocalStack]:
    """A stack with `nodes` local nodes, for as long as the block lasts; it ends with this process even on kill -9.

    `plan` says how jobs are cut. `data` (None: the default folder) stays: what was not finished goes on the next time.
    Where others use the stack by the end of the block, it stays until they have ended; where another program was
    quicker to start one, it is that one. Raises Unavailable with the supervisor's own line where it does not come up.
    """
    layout = Layout.at(data)
    command = [sys.executable, "-m", "coordinator.stack.serve", "--data", str(layout.data), "--nodes", str(nodes)]
    if unsandboxed:
        command.append("--unsandboxed")
    if plan is not None:
        command += ["--plan", plan.model_dump_json()]
    layout.create()
    errors = layout.logs / "supervisor.log"
    with errors.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=dict(os.environ)
        )
    try:
        yield _wait_ready(layout, process, errors)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        _wait_ended(layout, process)


def _wait_ready(layout: Layout, process: subprocess.Popen[bytes], errors: Path) -> LocalStack:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            if process.returncode == Refused.exit_code and (other := find_running(layout.data)) is not None:
                return other
            lines = errors.read_text(errors="replace").strip().splitlines()
            raise Unavailable(
                lines[-1]
                if lines
                else f"the local stack ended with status {process.returncode}; `kilnet doctor` says what is missing"
            )
        if _status(layout).get("pid") == process.pid and (found := _ready(layout)) is not None:
            return found
        time.sleep(0.03)
    raise Unavailable(f"the local stack was not ready after {_READY_SECONDS:.0f} s; see its logs in {layout.logs}")


def _wait_ended(layout: Layout, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _STOP_SECONDS
    others = UsersLock(layout.users)
    while process.poll() is None:
        # Held by others: whoever can join them finds a stack in use; who cannot, a supervisor that is ending.
        if not others.close() and others.join():
            others.leave()
            return
        others.leave()
        if time.monotonic() > until:
            process.kill()
            process.wait()
        time.sleep(0.05)
