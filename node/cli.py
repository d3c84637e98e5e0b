"""`kilnet node …` and `python -m node …`: the program of a node operator."""

from __future__ import annotations

import logging
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jobs.errors import KilnetError
from jobs.pricing import display_kiln
from node.agent import Agent, AgentSettings, RunnerSettings, WorkerFactory, check_offer, folder_of, parse_kinds
from node.agent.registration import bench as run_bench
from node.agent.registration import registration
from node.gateway import GatewayClient, Transport
from node.hardware import probe
from node.keys import NodeKey
from node.money_cli import register as register_money
from node.options import DEFAULT_DATA, PATIENCE, AsJson, Data, Gateway, OperatorKey, Rpc, print_json
from node.owner import offer_lines
from node.runner_programs import choose_launcher
from node.sandbox import GIB
from node.setup import commands as setup_commands
from node.stake.command import join_as_asked, owner_of, units_of
from node.standing_cli import register as register_standing

__all__ = ["app", "main", "run_agent"]

app = typer.Typer(no_args_is_help=True, help="Lend this machine: render tiles and run batches for kilnet.")

Device = Annotated[str, typer.Option("--device", help="CPU, or KIND:INDEX such as OPTIX:0, CUDA:0, HIP:0.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0: all.")]
Memory = Annotated[
    float | None, typer.Option("--memory-gb", help="Memory of one runner; default: 80% of what is here.")
]
Blender = Annotated[Path | None, typer.Option("--blender", help="A Blender executable instead of the bpy wheel.")]
Unsandboxed = Annotated[
    bool,
    typer.Option("--unsandboxed", help="Run without bubblewrap. Only for a machine that renders nothing but yours."),
]
Name = Annotated[str, typer.Option("--name", help="What people call this node.")]
Ask = Annotated[float, typer.Option("--ask", help="Asking price in USD per kiln-hour.")]
Region = Annotated[str, typer.Option("--region", help="Where it stands, as jobs may ask for it: eu, eu-de, us-east.")]
Owner = Annotated[str | None, typer.Option("--owner", help="Address that earns; default: the node's own.")]
OwnerSignature = Annotated[
    str | None,
    typer.Option("--owner-signature", metavar="HEX|FILE", help="The owner's word for this node: kilnet node own."),
]
CanaryCache = Annotated[
    Path | None,
    typer.Option("--canary-cache", envvar="KILNET_CANARY_CACHE", help="Share benchmark results among nodes here."),
]
setup_commands.register(app)
DEFAULT_ASK = 0.1


def _runner(device: str, threads: int, memory_gb: float | None, blender: Path | None) -> RunnerSettings:
    memory = int(memory_gb * GIB) if memory_gb else int(probe().memory_bytes * 0.8)
    return RunnerSettings(
        device=device.upper(), threads=threads, memory_bytes=memory, blender=blender.resolve() if blender else None
    )


@app.command()
def run(
    gateway: Gateway,
    data: Data = DEFAULT_DATA,
    name: Name = "",
    device: Device = "CPU",
    threads: Threads = 0,
    memory_gb: Memory = None,
    blender: Blender = None,
    kinds: Annotated[str | None, typer.Option("--kinds", help="Kinds of work, such as tile,audit.")] = None,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Refuse to start unless the gateway trusts this key.")
    ] = False,
    ask: Ask = DEFAULT_ASK,
    region: Region = "",
    owner: Owner = None,
    owner_signature: OwnerSignature = None,
    cache_gb: Annotated[float, typer.Option("--cache-gb", help="Disk for jobs' files.")] = 32.0,
    grace: Annotated[
        float, typer.Option("--grace", help="Seconds a stop may take for work that is nearly done.")
    ] = 6.0,
    canary_cache: CanaryCache = None,
    unsandboxed: Unsandboxed = False,
    stake_as_needed: Annotated[
        bool,
        typer.Option("--stake-as-needed", help="Register on chain and stake what is asked, now and later."),
    ] = False,
    operator_key: OperatorKey = None,
    rpc: Rpc = None,
    once: Annotated[bool, typer.Option("--once", help="Stop after one lease.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v")] = False,
) -> None:
    """Work for a gateway until Ctrl-C or SIGTERM."""
    owner = owner_of(owner, operator_key)
    where, signature = check_offer(ask=ask, region=region, owner=owner, owner_signature=owner_signature)
    settings = AgentSettings(
        data=folder_of(data),
        gateway=gateway,
        name=name,
        kinds=parse_kinds(kinds),
        trusted=trusted,
        unsandboxed=unsandboxed,
        owner=owner,
        owner_signature=signature,
        stake_as_needed=stake_as_needed,
        operator_key=operator_key,
        rpc=rpc,
        ask_usd_per_kiln_hour=ask,
        region=where,
        cache_bytes=int(cache_gb * 1e9),
        canary_folder=folder_of(canary_cache) if canary_cache else None,
        grace_seconds=grace,
        once=once,
        runner=_runner(device, threads, memory_gb, blender),
    )
    _log_to_stderr(verbose)
    raise typer.Exit(run_agent(settings))


@app.command()
def register(
    gateway: Gateway,
    data: Data = DEFAULT_DATA,
    name: Name = "",
    device: Device = "CPU",
    threads: Threads = 0,
    memory_gb: Memory = None,
    blender: Blender = None,
    ask: Ask = DEFAULT_ASK,
    region: Region = "",
    owner: Owner = None,
    owner_signature: OwnerSignature = None,
    canary_cache: CanaryCache = None,
    unsandboxed: Unsandboxed = False,
    stake: Annotated[
        str | None,
        typer.Option("--stake", metavar="KILN", help="Stake so much more; default: what the gateway asks, if missing."),
    ] = None,
    no_stake: Annotated[bool, typer.Option("--no-stake", help="Do nothing on chain.")] = False,
    operator_key: OperatorKey = None,
    rpc: Rpc = None,
    as_json: AsJson = False,
) -> None:
    """Tell a gateway what this node is, register its operator on chain with stake, and show how it stands."""
    owner, units = owner_of(owner, operator_key), units_of(stake)
    where, signature = check_offer(ask=ask, region=region, owner=owner, owner_signature=owner_signature)
    settings = AgentSettings(
        data=folder_of(data),
        gateway=gateway,
        name=name,
        unsandboxed=unsandboxed,
        owner=owner,
        owner_signature=signature,
        ask_usd_per_kiln_hour=ask,
        region=where,
        canary_folder=folder_of(canary_cache) if canary_cache else None,
        runner=_runner(device, threads, memory_gb, blender),
    )
    _log_to_stderr(False)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    launcher, hardware = choose_launcher(unsandboxed=unsandboxed), probe()
    client = GatewayClient(Transport(gateway, NodeKey.load_or_create(settings.data / "key")))
    client.info(patience=PATIENCE)  # before the seconds of the benchmark
    runtimes = tuple(found.as_class() for found in run_bench(settings, launcher, hardware))
    about = registration(settings, hardware, runtimes, sandboxed=launcher.sandboxed)
    joined = None
    if not no_stake:
        joined = join_as_asked(client, settings, operator_key, rpc, units, patience=PATIENCE)
    view = client.register(about, patience=PATIENCE)
    if as_json:
        print_json({**view.model_dump(mode="json"), "on_chain": None if joined is None else joined.as_json()})
        return
    for line in joined.done if joined is not None else ():
        typer.echo(f"on chain: {line}")
    if joined is not None:
        typer.echo(f"on chain: {joined.operator} has {display_kiln(joined.staked)} KILN of its own at stake")
    standing = "trusted worker" if view.trusted else "suspended: " + view.suspended if view.suspended else "node"
    typer.echo(f"{view.address} is registered at {client.transport.origin} as a {standing}")
    for line in offer_lines(view):
        typer.echo(f"  {line}")


@app.command()
def bench(
    data: Data = DEFAULT_DATA,
    device: Device = "CPU",
    threads: Threads = 0,
    memory_gb: Memory = None,
    blender: Blender = None,
    unsandboxed: Unsandboxed = False,
    as_json: AsJson = False,
) -> None:
    """Measure this machine: numerics class and score of every runtime."""
    settings = AgentSettings(
        data=folder_of(data), gateway="", unsandboxed=unsandboxed, runner=_runner(device, threads, memory_gb, blender)
    )
    _log_to_stderr(False)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    launcher, hardware = choose_launcher(unsandboxed=unsandboxed), probe()
    found = run_bench(settings, launcher, hardware, again=True)
    rows = [
        {**asdict(measured), "numerics_class": measured.numerics_class, "score": measured.score} for measured in found
    ]
    if as_json:
        print_json({"hardware": hardware.as_json(), "sandboxed": launcher.sandboxed, "runtimes": rows})
        return
    typer.echo(f"{hardware.cpu}, {hardware.threads} threads, {hardware.memory_bytes / GIB:.0f} GiB")
    for measured in found:
        typer.echo(f"  {measured.numerics_class}: score {measured.score:.2f} ({measured.seconds:.2f} s)")


register_standing(app)
register_money(app)


def run_agent(settings: AgentSettings, *, worker: WorkerFactory | None = None) -> int:
    """Run an agent with SIGTERM and SIGINT as its stop; a second one ends it at once. The exit code."""
    agent = Agent(settings) if worker is None else Agent(settings, worker=worker)

    def on_signal(_number: int, _frame: object) -> None:
        if agent.stop_event.is_set():
            os._exit(1)
        agent.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return agent.run()


def _log_to_stderr(verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("kilnet").setLevel(logging.DEBUG if verbose else logging.INFO)


def main() -> None:
    """`python -m node`: errors go to stderr in one line; the exit code says what kind it was."""
    try:
        app(standalone_mode=True)
    except KilnetError as error:
        typer.echo(f"kilnet: {error}", err=True)
        raise SystemExit(error.exit_code) from None
