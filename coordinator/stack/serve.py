"""Runs a stack in this process until it is told to stop: what `kilnet up` does, and what a temporary stack is.

`python -m coordinator.stack.serve --data DIR [--nodes N]` stops when its standard input has ended and nobody uses it
any more: so it outlives nobody, whatever becomes of the process that started it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from contracts.errors import ChainError
from coordinator.stack.layout import DEVICE_VARIABLE, Layout
from coordinator.stack.locks import StackLock, UsersLock
from coordinator.stack.plan import Plan, StackOptions, plan_stack
from coordinator.stack.supervisor import Supervisor
from jobs.errors import KilnetError, Unavailable
from jobs.planner import PlanPolicy

__all__ = ["Stopping", "main", "serve"]


class Stopping:
    """Turns SIGINT, SIGTERM, SIGHUP into a wish that can be waited for; with a pipe also its end, once nobody else
    uses the stack."""

    def __init__(self, users: UsersLock, pipe: int | None = None) -> None:
        self._users = users
        self._pipe = pipe
        self._pipe_ended = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def __enter__(self) -> Stopping:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self.ask())
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C while the parts end in order must not break that off half way.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def ask(self) -> None:
        with contextlib.suppress(BlockingIOError):  # asked often enough
            os.write(self._write, b"x")

    def wait(self, seconds: float) -> bool:
        """Whether it is time to stop; waits for up to `seconds` to learn that."""
        watched = [self._read] if self._pipe is None or self._pipe_ended else [self._read, self._pipe]
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._read in ready:
            return True
        if self._pipe in ready and self._pipe is not None:
            self._pipe_ended = os.read(self._pipe, 4096) == b""
        return self._pipe_ended and self._users.close()


def serve(
    layout: Layout, options: StackOptions, on_change: Callable[[Supervisor, Plan], None], *, pipe: int | None = None
) -> None:
    """Runs the stack until a signal (or the end of `pipe`), then stops it. Call it from the main thread.

    Raises Refused where one runs on this folder already, BadInput for bad options, Unavailable where a part does not
    come up."""
    os.umask(0o077)  # for this process and all parts: the database and the logs are as private as the keys
    layout.create()
    lock = StackLock(layout.lock)
    lock.take()
    try:
        try:
            plan = plan_stack(layout, options)
        except ChainError as error:
            raise Unavailable(f"{error}; `kilnet doctor` says what else is missing", code="tool_missing") from error
        facts = {
            "data": str(layout.data),
            "gateway_url": plan.gateway_url,
            "chain_url": plan.settings.chain.rpc_url,
            "nodes": options.nodes,
        }
        supervisor = Supervisor(layout, plan.parts, facts)
        stopping = Stopping(UsersLock(layout.users), pipe)
        try:
            with stopping:
                supervisor.run(stopping.wait, lambda changed: on_change(changed, plan))
        finally:
            supervisor.stop()
    finally:
        lock.release()


def main(arguments: list[str] | None = None) -> int:
    """For `coordinator.stack.local`: quiet, and one line on stderr where it cannot be."""
    parser = argparse.ArgumentParser(prog="python -m coordinator.stack.serve")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--unsandboxed", action="store_true")
    parser.add_argument("--plan", type=PlanPolicy.model_validate_json, help="jobs.planner.PlanPolicy as JSON")
    given = parser.parse_args(arguments)
    device = os.environ.get(DEVICE_VARIABLE) or "CPU"
    options = StackOptions(nodes=given.nodes, unsandboxed=given.unsandboxed, device=device, plan=given.plan)
    try:
        serve(Layout.at(given.data), options, lambda *_: None, pipe=sys.stdin.fileno())
    except KilnetError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
