"""`kilnet ledger`: supply, burned and minted, epoch by epoch, recounted from the chain's logs alone."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json
from coordinator.cli.told import told
from jobs.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from contracts.ledger import Ledger

__all__ = ["ledger_report", "register"]

_COLUMNS = (
    "number", "jobs", "burned_by_jobs", "burned_otherwise", "fees", "rewards_minted", "minted_otherwise", "total",
    "root", "posted_block", "vetoed",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("ledger")(_ledger)


def _ledger(
    rpc: Annotated[
        str | None, typer.Option(metavar="URL", help="Read the chain here. [default: as the gateway says]")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line for each epoch; amounts in 10^-18 KILN.")] = False,
    gateway: Gateway = None,
    as_json: Json = False,
) -> None:
    """Supply, burned and minted of all epochs, recounted from the chain's logs alone. Needs no account."""
    from contracts.addresses import Addresses
    from contracts.ledger import read_ledger
    from contracts.reader import ChainReader
    from coordinator.cli.public import PublicGateway

    if as_csv and as_json:
        raise BadInput("--csv and --json: choose one")
    info = PublicGateway(gateway).info()
    if info.chain is None:
        raise Unavailable("the gateway reaches no chain at the moment: try again later")
    url = rpc or info.chain.rpc_url
    if url is None:
        raise BadInput("the operator keeps its chain's address private: name one of your own with --rpc")
    where = Addresses(info.chain.chain_id, info.chain.token, info.chain.escrow, info.chain.distributor)
    with told():
        reader = ChainReader(url, where)
        reader.check()
        ledger = read_ledger(reader)
    report = ledger_report(ledger)
    if as_json:
        answer(report)
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, _COLUMNS)
        writer.writeheader()
        writer.writerows(report["epochs"])
    else:
        _show(ledger, info.kiln_per_usd)


def ledger_report(ledger: Ledger) -> dict[str, Any]:
    """As JSON: amounts are strings of whole units."""
    epochs = [
        {
            name: str(value) if isinstance(value := getattr(epoch, name), int) and name in _AMOUNTS else value
            for name in _COLUMNS
        }
        for epoch in ledger.epochs
    ]
    totals = {"supply": str(ledger.supply), "minted": str(ledger.minted), "burned": str(ledger.burned)}
    return {"block": ledger.block, **totals, "epochs": epochs}


_AMOUNTS = {"burned_by_jobs", "burned_otherwise", "fees", "rewards_minted", "minted_otherwise", "total"}


def _show(ledger: Ledger, kiln_per_usd: str) -> None:
    from decimal import Decimal

    from rich.console import Console
    from rich.table import Table

    from jobs.pricing import UNIT, display_kiln

    table = Table("epoch", "jobs", "burned by jobs", "burned otherwise", "fees", "rewards minted", box=None)
    for column in table.columns:
        column.justify = "right"
    for epoch in ledger.epochs:
        state = "" if epoch.posted_block else " (open)"
        table.add_row(
            f"{epoch.number}{' (vetoed)' if epoch.vetoed else state}", str(epoch.jobs),
            display_kiln(epoch.burned_by_jobs), display_kiln(epoch.burned_otherwise), display_kiln(epoch.fees),
            display_kiln(epoch.rewards_minted),
        )  # fmt: skip
    sums = [
        sum(getattr(epoch, name) for epoch in ledger.epochs)
        for name in ("burned_by_jobs", "burned_otherwise", "fees", "rewards_minted")
    ]
    jobs = sum(epoch.jobs for epoch in ledger.epochs)
    table.add_row("in all, KILN", str(jobs), *map(display_kiln, sums), style="bold")
    table.add_row("in all, USD", "", *(f"{Decimal(units) / UNIT / Decimal(kiln_per_usd):,.6f}" for units in sums))
    console = Console()
    console.print(table)
    usd = Decimal(ledger.supply) / UNIT / Decimal(kiln_per_usd)
    console.print(
        f"supply {display_kiln(ledger.supply)} KILN ({usd:,.2f} USD) = minted {display_kiln(ledger.minted)} - "
        f"burned {display_kiln(ledger.burned)}, at block {ledger.block}"
    )
