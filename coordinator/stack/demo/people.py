"""Who takes part: two honest nodes of the stack, and a third one that cheats."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.stack.layout import Layout
from coordinator.stack.local import LocalStack
from coordinator.stack.plan import node_threads, worker_options
from jobs.client import Client, address_of, read_key
from jobs.errors import JobFailed

__all__ = ["CHEAT", "HONEST", "Cast", "cheating_node", "wait_for_nodes"]

HONEST = ("node-1", "node-2")
CHEAT = "node-3"
_LEASH = Path(__file__).parents[1] / "leash.py"
_JOIN_SECONDS = 90.0


@dataclass(frozen=True)
class Cast:
    """The addresses of those who take part, by their names."""

    addresses: dict[str, str]

    @classmethod
    def read(cls, layout: Layout) -> Cast:
        names = ("trusted", *HONEST, CHEAT)
        return cls({name: address_of(read_key(str(layout.node(name) / "key"))) for name in names})

    def name(self, address: str) -> str:
        """The name of an address; the address itself where it is none of ours."""
        return next((name for name, known in self.addresses.items() if known.lower() == address.lower()), address)

    @property
    def cheat(self) -> str:
        return self.addresses[CHEAT]


@contextmanager
def cheating_node(stack: LocalStack, *, unsandboxed: bool) -> Iterator[None]:
    """A node of samples/cheats: it renders 63 of 64 samples, and runs an int8 copy of any model."""
    layout = Layout(stack.data)
    options = worker_options(
        layout, CHEAT, stack.gateway_url, threads=node_threads(len(HONEST) + 1), unsandboxed=unsandboxed
    )
    program = [sys.executable, "-m", "samples.cheats", "--cheat", "skimp", *options]
    leash = [sys.executable, "-I", "-S", str(_LEASH), str(int(signal.SIGKILL)), "0", str(os.getpid())]
    with (layout.logs / f"{CHEAT}.log").open("ab") as log:
        process = subprocess.Popen(
            [*leash, *program], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_nodes(client: Client, layout: Layout) -> None:
    """Until all three have registered. Raises JobFailed naming the logs where one does not."""
    until = time.monotonic() + _JOIN_SECONDS
    wanted = len(HONEST) + 1
    while (online := client.info().nodes_online) < wanted:
        if time.monotonic() > until:
            raise JobFailed(f"only {online} of {wanted} nodes came online; their logs are in {layout.logs}")
        time.sleep(0.2)
