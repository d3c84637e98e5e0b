"""`kilnet up`, `kilnet demo`, `kilnet doctor`, `kilnet faucet`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.stack.layout import DEVICE_VARIABLE
from jobs.addresses import check_address

if TYPE_CHECKING:
    from coordinator.stack.doctor import Check

__all__ = ["register"]

# What these commands do is imported when one is called: `kilnet --help` must not wait for a chain library.


def register(app: typer.Typer) -> None:
    """Adds the commands of the local stack to the `kilnet` program."""
    app.command("up")(_up)
    app.command("demo")(_demo)
    app.command("doctor")(_doctor)
    app.command("faucet")(_faucet)


def _up(
    nodes: Annotated[int, typer.Option(min=0, max=256, help="Local nodes; together they use all cores.")] = 1,
    data: Annotated[Path | None, typer.Option(help="Data folder. [default: $KILNET_DATA or the user's data]")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the gateway on 127.0.0.1.")] = None,
    device: Annotated[
        str, typer.Option(envvar=DEVICE_VARIABLE, help="What its nodes work on: CPU, or OPTIX:0, CUDA:0, HIP:0.")
    ] = "CPU",
    unsandboxed: Annotated[
        bool, typer.Option("--unsandboxed", help="Run scenes without a sandbox: only your own.")
    ] = False,
) -> None:
    """Run the whole stack on this machine, with N local nodes, until Ctrl-C."""
    from coordinator.stack.layout import Layout
    from coordinator.stack.plan import StackOptions
    from coordinator.stack.serve import serve
    from coordinator.stack.status import StatusDisplay

    options = StackOptions(nodes=nodes, port=port, unsandboxed=unsandboxed, device=device)
    with StatusDisplay() as display:
        serve(Layout.at(data), options, display.show)


def _demo(
    out: Annotated[Path, typer.Option(help="Where frames and predictions go.")] = Path("kilnet-demo"),
) -> None:
    """The whole story on this machine: render, infer, catch a cheat, settle, prove again."""
    from coordinator.stack.demo import run_demo

    run_demo(out)


def _doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False) -> None:
    """What this machine has, what it lacks, and how to get it."""
    from coordinator.stack.doctor import examine

    checks = examine()
    ok = all(check.ok for check in checks if check.needed)
    if as_json:
        typer.echo(json.dumps({"ok": ok, "checks": [check.as_json() for check in checks]}))
    else:
        _print_checks(checks, ok=ok)
    raise typer.Exit(0 if ok else 1)


def _faucet(
    address: Annotated[str, typer.Argument(help="Who gets them: 0x and 40 hex digits.")],
    kiln: Annotated[int, typer.Option(min=0, max=1_000_000, help="KILN that the account is filled up to.")] = 1_000,
    data: Annotated[Path | None, typer.Option(help="Data folder. [default: $KILNET_DATA or the user's data]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Fill an account up with KILN and gas of this machine's local chain, where they are worth nothing."""

    from contracts.errors import ChainError
    from coordinator.config import Settings
    from coordinator.stack.faucet import fill_up
    from coordinator.stack.layout import Layout
    from jobs.errors import Unavailable
    from jobs.pricing import display_kiln

    check_address(address)
    layout = Layout.at(data)
    if not layout.addresses.exists():
        raise Unavailable(f"no local stack has run in {layout.data}: start one with `kilnet up`")
    try:
        sent = fill_up(Settings.load(layout.settings), [to_checksum(address)], kiln)
    except ChainError as error:
        raise Unavailable(str(error)) from error
    if as_json:
        typer.echo(json.dumps({"address": address, "sent": str(sent)}))
    else:
        typer.echo(f"{address}: {display_kiln(sent)} KILN sent, and gas where it had little")


def to_checksum(address: str) -> str:
    """The address as the chain library wants it."""
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(address))


def _print_checks(checks: list[Check], *, ok: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, show_header=False, padding=(0, 1))
    for check in checks:
        mark = (
            Text("ok", "green") if check.ok else Text("missing", "red") if check.needed else Text("without", "yellow")
        )
        table.add_row(mark, check.name, Text(check.found))
        if check.remedy:
            table.add_row("", "", Text(check.remedy, "bold"))
    console.print(table)
    console.print("Everything that is needed is there." if ok else "Something that is needed is missing: see above.")
