"""`kilnet dispute challenge` and `show`: a bond is put up for what the chain cannot check, and auditors are asked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.answer import answer
from coordinator.cli.dispute.standing import Number, known
from coordinator.cli.options import Gateway, Json, Key
from coordinator.cli.sending import (
    Escrow,
    GoOn,
    Rpc,
    client,
    confirm,
    find_deployment,
    gas,
    run,
)
from coordinator.cli.times import when
from coordinator.cli.told import told
from jobs.addresses import check_address
from jobs.errors import BadInput
from jobs.pricing import display_kiln

if TYPE_CHECKING:
    from contracts.client import ChainClient
    from contracts.transactions import PreparedTx

__all__ = ["register"]

_PIECE = 1 << 20


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("challenge")(_challenge)
    app.command("show")(_show)


def _challenge(
    evidence: Annotated[Path, typer.Option(help="What the auditors are shown: its SHA-256 goes on chain.")],
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Whose proposal is challenged.")] = None,
    operator: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The operator who is challenged, or one of its nodes.")
    ] = None,
    yes: GoOn = False,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Challenge what the chain cannot check: puts up a bond and asks the auditors. Dismissed, the bond is burned;
    upheld or undecided, it is returned."""
    from contracts.errors import Reverted
    from jobs.typed_data import chain_job_id

    if job is None and operator is None:
        raise BadInput("a challenge is of a job, an operator, or both: name one with JOB or --operator")
    if operator is not None:
        check_address(operator, "--operator")
    digest = _digest(evidence)
    where = find_deployment(gateway, rpc, escrow)
    sender = client(where, key)
    me = sender.transactions.address
    with told():
        bond, held = sender.bond(), sender.balance_of(me)
        if held < bond:
            raise BadInput(
                f"{me} holds {display_kiln(held)} KILN and the bond is {display_kiln(bond)}: send it more KILN first",
                code="not_enough_tokens",
            )
        against = _operator(sender, operator)
        chain_job = None if job is None else chain_job_id(job)
        prepared: PreparedTx | None = None
        try:
            prepared = sender.prepare_challenge(chain_job, against, digest)
        except Reverted as error:
            # The bond is taken last: whatever else is wrong with a challenge is said before.
            if error.name != "ERC20InsufficientAllowance":
                raise
        approval = sender.prepare_approve(bond, where.addresses.disputes) if prepared is None else None
    names = " and ".join(name for name in (job and f"job {job}", against and f"operator {against}") if name)
    first = prepared or approval
    assert first is not None
    confirm(
        f"challenge of {names}; evidence 0x{digest.hex()} (SHA-256 of {evidence})\n"
        f"Bond: {display_kiln(bond)} KILN, burned if the auditors dismiss it. Gas: {gas(first)}"
        + ("" if approval is None else " to allow the bond, and as much again to challenge")
        + ".",
        yes=yes,
    )
    if approval is not None:
        run(sender, approval)
        with told():
            prepared = sender.prepare_challenge(chain_job, against, digest)
    assert prepared is not None
    result = run(sender, prepared)
    with told():
        number = sender.challenge_number(result)
        until = sender.challenge_of(number).opened_at + sender.ruling_period()
    if as_json:
        answer(
            {"challenge": number, "bond": str(bond), "evidence": "0x" + digest.hex(), "until": until, "tx": result.hash}
        )
    else:
        print(f"challenge {number} is open; transaction {result.hash}")
        print(f"Auditors: kilnet dispute sign {number} --uphold|--dismiss --key KEY, until {when(until)}")


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        raise BadInput(f"--evidence {path}: cannot be read ({error.strerror})") from error
    return digest.digest()


def _operator(sender: ChainClient, named: str | None) -> str | None:
    if named is None:
        return None
    from eth_utils.address import to_checksum_address

    address = str(to_checksum_address(named))
    if sender.operator(address).registered:
        return address
    found = sender.answers_for(address)
    if found is None:
        raise BadInput(
            f"--operator {address}: is neither an operator nor a node that one answers for; check the address"
        )
    return found


def _show(
    number: Number, rpc: Rpc = None, escrow: Escrow = None, gateway: Gateway = None, as_json: Json = False
) -> None:
    """Show where a challenge stands."""
    where = find_deployment(gateway, rpc, escrow)
    found = known(where, number)
    if as_json:
        answer(found)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("state", "challenger", "job", "operator"):
        table.add_row(name, str(found[name] or "none"))
    table.add_row("bond", f"{display_kiln(int(found['bond']))} KILN")
    table.add_row("auditors", f"can rule until {when(found['until'])}")
    Console().print(table)
