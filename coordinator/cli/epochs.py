"""`kilnet epoch list` and `kilnet epoch verify`: anyone can make the reward roots again, from receipts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json
from coordinator.cli.times import when
from jobs.errors import BadInput

if TYPE_CHECKING:
    from coordinator.cli.epoch_sources import ChainSays
    from jobs.wire import EpochChain
    from verification.epochs import Finding

__all__ = ["register"]

Rpc = Annotated[str | None, typer.Option(metavar="URL", help="Read the chain here. [default: as the gateway says]")]
_SHOWN = 40

app = typer.Typer(no_args_is_help=True, help="Epochs of rewards: list them, make a root again: kilnet epoch --help.")


def register(program: typer.Typer) -> None:
    """Adds the commands."""
    program.add_typer(app, name="epoch")


@app.command("list")
def list_epochs(gateway: Gateway = None, as_json: Json = False) -> None:
    """The latest epochs, as the gateway has them."""
    from coordinator.cli.public import PublicGateway
    from jobs.pricing import display_kiln
    from jobs.wire import LedgerView

    ledger = PublicGateway(gateway).read(LedgerView, "/v1/ledger")
    if as_json:
        answer({"epochs": [epoch.model_dump(mode="json") for epoch in ledger.epochs]})
        return
    if not ledger.epochs:
        print("no epoch yet: the first follows the first job that was settled")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("epoch", "burned KILN", "rewards KILN", "state", "root", box=None, padding=(0, 2, 0, 0))
    for name in ("epoch", "burned KILN", "rewards KILN"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for epoch in ledger.epochs:
        table.add_row(
            str(epoch.number),
            display_kiln(epoch.burned),
            display_kiln(epoch.minted),
            epoch.state,
            epoch.root[:18] + "…",
        )
    Console().print(table)


@app.command()
def verify(
    epoch: Annotated[str, typer.Argument(metavar="EPOCH", help="Its number, or a file that --save wrote.")],
    first: Annotated[
        int, typer.Option("--from", min=1, metavar="N", help="Begin here, and believe the root of the epoch before.")
    ] = 1,
    rpc: Rpc = None,
    save: Annotated[Path | None, typer.Option(help="Also keep what the gateway gave, to verify it elsewhere.")] = None,
    gateway: Gateway = None,
    as_json: Json = False,
) -> None:
    """Check every receipt of an epoch and of all before it, make their roots again, and compare them with the chain's.
    Needs no account."""
    from coordinator.cli.epoch_sources import ask_chain, fetch, from_file
    from jobs.typed_data import Domain
    from verification.epochs import check_epochs, signers_of

    if epoch.isascii() and epoch.isdigit():
        number = int(epoch)
        if not 1 <= number < 1 << 62:
            raise BadInput(f"{epoch}: epochs count from 1; `kilnet epoch list` shows them")
        if first > number:
            raise BadInput(f"--from {first}: comes after epoch {number}; write {number} or less")
        given, chain = fetch(gateway, rpc, number, first)
    else:
        given = from_file(Path(epoch))
        if rpc is None:
            raise BadInput("a file says nothing about where its chain is read: name an RPC with --rpc URL")
        chain = rpc
    if save is not None:
        save.write_text(given.model_dump_json(indent=1), encoding="utf-8")
    last = given.epochs[-1]
    domain = Domain(chain_id=last.chain_id, escrow=last.escrow)
    signers = [signers_of(one, domain) for one in given.epochs]
    shown = str(save) if save is not None else epoch if not epoch.isdigit() else "FILE"
    says = ask_chain(given, domain, chain, signers, shown)
    findings = says.wrong or check_epochs(given.epochs, domain, says.epochs, signers)
    report = _report(given, says, findings)
    if as_json:
        answer(report)
    else:
        _show(report, findings)
    raise typer.Exit(1 if findings else 0)


def _report(given: EpochChain, says: ChainSays, findings: list[Finding]) -> dict[str, Any]:
    """As JSON; amounts are strings of whole units. What is not of the whole chain is of its last epoch."""
    from jobs.pricing import reward_units

    proof, facts = given.epochs[-1], says.epochs[-1] if says.epochs else None
    root = None if facts is None or facts.root is None else "0x" + facts.root.hex()
    return {
        "epoch": proof.number,
        "from": given.epochs[0].number,
        "receipts_in_all": sum(len(one.receipts) for one in given.epochs),
        "ok": not findings,
        "chain_id": proof.chain_id,
        "escrow": proof.escrow,
        "distributor": proof.distributor,
        "root": root,
        "receipts": len(proof.receipts),
        "jobs": len({receipt.job for receipt in proof.receipts}),
        "accounts": len(proof.accounts),
        "rewards": str(sum(reward_units(receipt.price) for receipt in proof.receipts)),
        "total": str(sum(one.cumulative for one in proof.accounts)),
        "claimed": None if facts is None else str(facts.claimed),
        "findings": [{"where": one.where, "what": one.what} for one in findings],
        "commands": list(says.commands),
        "vetoable_until": says.vetoable_until,
    }


def _show(report: dict[str, Any], findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    from jobs.pricing import display_kiln

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_row("epoch", f"{report['epoch']} on chain {report['chain_id']}")
    table.add_row("root", report["root"] or "not posted")
    table.add_row("receipts", f"{report['receipts']} of {report['jobs']} jobs, each 0.95 x what its own tile burned")
    table.add_row("rewards", f"{display_kiln(int(report['rewards']))} KILN in this epoch")
    table.add_row("in all", f"{display_kiln(int(report['total']))} KILN, to {report['accounts']} accounts")
    if report["claimed"] is not None:
        table.add_row("claimed", f"{display_kiln(int(report['claimed']))} KILN so far")
    for one in findings[:_SHOWN]:
        table.add_row("WRONG", f"{one.where}: {one.what}")
    if len(findings) > _SHOWN:
        table.add_row("", f"and {len(findings) - _SHOWN} more (--json has all)")
    for command in report["commands"]:
        table.add_row("now", command)
    if findings and report["vetoable_until"]:
        until = when(report["vetoable_until"])
        table.add_row("now", f"the guardian can veto this root until {until}: tell them")
    first = report["from"]
    if first > 1:
        table.add_row("believed", f"the root of epoch {first - 1}, and all before it (--from 1 checks them too)")
    if not findings:
        many = "" if first == report["epoch"] else f" of epochs {first} to {report['epoch']}"
        table.add_row("verified", f"every signature, reward and leaf{many}, and the roots are the chain's")
    Console().print(table)
