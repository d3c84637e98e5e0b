"""`kilnet node setup|start|unit|container`."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from jobs.constraints import parse_region
from jobs.errors import BadInput
from jobs.spec import explain
from node.agent import folder_of
from node.hardware import device_ids, probe
from node.options import DEFAULT_DATA, Data
from node.setup.config import DeviceChoice, Hours, NodeConfig
from node.setup.service import container_text, unit_text
from node.setup.watch import keep_running

__all__ = ["register"]


_FILE = "node.json"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("setup")(_setup)
    app.command("start")(_start)
    app.command("unit")(_unit)
    app.command("container")(_container)


def _setup(
    data: Data = DEFAULT_DATA,
    gateway: Annotated[str | None, typer.Option("--gateway", envvar="KILNET_GATEWAY", help="For whom to work.")] = None,
    devices: Annotated[
        str | None, typer.Option("--devices", help="Which, with commas: CPU, OPTIX:0. Others are switched off.")
    ] = None,
    ask: Annotated[float | None, typer.Option("--ask", help="Asking price in USD per kiln-hour.")] = None,
    hours: Annotated[str | None, typer.Option("--hours", help="always, night, or hours such as 22:00-07:00.")] = None,
    region: Annotated[str | None, typer.Option("--region", help="Where it stands, such as eu-de.")] = None,
    name: Annotated[str, typer.Option("--name", help="What people call this node.")] = "",
    memory_gb: Annotated[float | None, typer.Option("--memory-gb", min=1, help="Memory of one runner.")] = None,
    cache_gb: Annotated[float, typer.Option("--cache-gb", min=0.1, help="Disk for jobs' files; the oldest go.")] = 32.0,
    pause_for_me: Annotated[
        bool, typer.Option("--pause-for-me/--share-gpu", help="No work on a GPU that other programs use.")
    ] = True,
    stake_as_needed: Annotated[bool, typer.Option("--stake-as-needed", help="Stake what is asked.")] = False,
    unsandboxed: Annotated[bool, typer.Option("--unsandboxed", help="Without bubblewrap: only your own jobs.")] = False,
    register: Annotated[
        bool, typer.Option("--register", help="Benchmark the devices and register them now, with stake if asked.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; what is not named takes its default.")] = False,
) -> None:
    """Five questions, each also an option: gateway, devices, price, hours, region. Writes node.json."""
    folder = folder_of(data)
    hardware = probe()
    there = device_ids(hardware)
    asks = not yes and sys.stdin.isatty()
    typer.echo(f"{hardware.cpu}, {hardware.threads} threads, {hardware.memory_bytes / 1e9:.0f} GB", err=True)
    for gpu in hardware.gpus:
        size = f", {gpu.memory_bytes / 1e9:.0f} GB" if gpu.memory_bytes else ""
        typer.echo(f"{gpu.vendor} {gpu.name}{size}", err=True)

    def answered(given: str | None, question: str, default: str, check: Callable[[str], object]) -> str:
        while True:
            text = (
                given if given is not None else typer.prompt(question, default=default, err=True) if asks else default
            )
            try:
                check(text)
                return str(text).strip()
            except (ValueError, BadInput) as error:
                if given is not None or not asks:
                    raise BadInput(f"{question}: {error}") from None
                typer.echo(f"  {error}", err=True)

    def some(text: str) -> None:
        unknown = [one for one in _listed(text) if one not in there]
        if unknown or not _listed(text):
            raise ValueError(f"there are {', '.join(there)}")

    def price(text: str) -> None:
        if not 0 < float(text) <= 1e6:
            raise ValueError("write a positive price, such as 0.10")

    def url(text: str) -> None:
        if not text.startswith(("http://", "https://")):
            raise ValueError("write https://HOST or http://127.0.0.1:PORT, or name it with --gateway")

    default = next((one for one in there if one != "CPU"), "CPU")
    where = answered(gateway, "Gateway", "", url)
    chosen = answered(devices, "Devices", default, some)
    money = answered(None if ask is None else str(ask), "Price in USD per kiln-hour", "0.10", price)
    when = answered(hours, "Hours", "always", Hours.parse)
    stands = answered(region, "Region, or -", "-", lambda text: text == "-" or parse_region(text))
    listed = _listed(chosen)
    kept = [one for one in there if one in listed or one != "CPU"]
    try:
        config = NodeConfig(
            gateway=where, name=name, ask=float(money), region="" if stands == "-" else stands, hours=when,
            devices=tuple(DeviceChoice(device=one, enabled=one in listed) for one in kept),
            pause_for_me=pause_for_me, memory_gb=memory_gb, cache_gb=cache_gb, stake_as_needed=stake_as_needed,
            unsandboxed=unsandboxed,
        )  # fmt: skip
    except ValidationError as error:
        raise BadInput(explain(error)) from error
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config.save(folder / _FILE)
    if register:
        for choice in [one for one in config.devices if one.enabled]:
            options = config.registering(choice, folder)
            if subprocess.run([sys.executable, "-m", "node", "register", *options], check=False).returncode != 0:
                raise BadInput(
                    f"{choice.device}: not registered, for the reason above; node.json is written, "
                    "and `kilnet node start` tries again"
                )
    typer.echo(f"{folder / _FILE} is written; `kilnet node start` works by it, `kilnet node unit` keeps it running")


def _listed(text: str) -> list[str]:
    return [one.strip().upper() for one in text.split(",") if one.strip()]


def _start(data: Data = DEFAULT_DATA) -> None:
    """Work as node.json says, by its hours and while the GPU is free, until Ctrl-C or SIGTERM."""
    keep_running(folder_of(data) / _FILE, say=lambda line: typer.echo(line, err=True))


def _unit(data: Data = DEFAULT_DATA) -> None:
    """Print a systemd unit for this node."""
    folder = folder_of(data)
    NodeConfig.load(folder / _FILE)
    program = shutil.which("kilnet") or str(Path(sys.executable).with_name("kilnet"))
    typer.echo(unit_text(Path(program).resolve(), folder, getpass.getuser()), nl=False)


def _container() -> None:
    """Print a Containerfile for this node."""
    typer.echo(container_text(version("kilnet")), nl=False)
