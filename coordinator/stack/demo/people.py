"""Who takes part: two honest nodes of the stack, and a third one that cheats, twice, under two keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.config import Settings
from coordinator.stack.faucet import NODE_KILN, fill_up
from coordinator.stack.layout import Layout
from coordinator.stack.local import LocalStack
from coordinator.stack.plan import ensure_key, node_threads, worker_options
from coordinator.stack.probes import worker_seen
from jobs.errors import JobFailed

__all__ = ["CHEATS", "HONEST", "Cast", "cheating_node", "wait_for_nodes"]

HONEST = ("node-1", "node-2")
CHEATS = {"node-3": "skimp", "node-4": "int8"}
"""Nodes of samples/cheats by their name. The second is the first one's operator again, who has lost the first key's
standing."""
_LEASH = Path(__file__).parents[1] / "leash.py"
_JOIN_SECONDS = 90.0


@dataclass(frozen=True)
class Cast:
    """The addresses of those who take part, by their names."""

    addresses: dict[str, str]

    @classmethod
    def read(cls, layout: Layout) -> Cast:
        """The keys of those who do not run yet are drawn now."""
        addresses = {}
        for name in ("trusted", *HONEST, *CHEATS):
            layout.node(name).mkdir(mode=0o700, parents=True, exist_ok=True)
            addresses[name] = ensure_key(layout.node(name) / "key")
        return cls(addresses)

    def name(self, address: str) -> str:
        """The name of an address; the address itself where it is none of ours."""
        return next((name for name, known in self.addresses.items() if known.lower() == address.lower()), address)

    @property
    def cheats(self) -> frozenset[str]:
        return frozenset(self.addresses[name] for name in CHEATS)


@contextmanager
def cheating_node(stack: LocalStack, name: str, *, unsandboxed: bool) -> Iterator[None]:
    """A node that cheats as `CHEATS` says; in the block it is there. Raises JobFailed where it does not come."""
    layout = Layout(stack.data)
    threads = node_threads(len(HONEST) + 1)
    options = worker_options(layout, name, stack.gateway_url, threads=threads, unsandboxed=unsandboxed)
    program = [sys.executable, "-m", "samples.cheats", "--cheat", CHEATS[name], *options, "--stake-as-needed"]
    # Who asks least is served first: it is there to be caught.
    program += ["--ask", "0.05"]
    # A stranger with tokens of its own, which it stakes as everybody does.
    address = ensure_key(layout.node(name) / "key")
    fill_up(Settings.load(layout.settings), [address], NODE_KILN)
    leash = [sys.executable, "-I", "-S", str(_LEASH), str(int(signal.SIGKILL)), "0", str(os.getpid())]
    started = time.time()
    with (layout.logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [*leash, *program], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for_nodes(layout, (name,), since=started, alive=lambda: process.poll() is None)
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_nodes(
    layout: Layout, names: Sequence[str], *, since: float = 0.0, alive: Callable[[], bool] = lambda: True
) -> None:
    """Until the gateway has heard of all of them since a time (Unix seconds). Raises JobFailed naming the log of one
    that does not come."""
    until = time.monotonic() + _JOIN_SECONDS
    for name in names:
        address = ensure_key(layout.node(name) / "key")
        while not worker_seen(layout.database, address, since=since):
            if time.monotonic() > until or not alive():
                raise JobFailed(f"{name} did not come online; see {layout.logs / name}.log")
            time.sleep(0.1)
