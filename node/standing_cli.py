"""`kilnet node own`, `status`, `refusals`: how a node stands with a gateway, and with its owner."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.agent import folder_of
from node.gateway import GatewayClient, Transport
from node.keys import NodeKey
from node.options import DEFAULT_DATA, PATIENCE, AsJson, Data, Gateway, print_json
from node.owner import offer_lines, sign_for
from node.refusals import refusal_lines, stake_lines

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (own, status, refusals):
        app.command()(command)


def own(
    gateway: Gateway,
    node: Annotated[
        str, typer.Argument(metavar="NODE", help="Address of the node, as `kilnet node register` says it.")
    ],
    key: Annotated[Path, typer.Option("--key", help="File with the owner's key (0x-hex).")],
    as_json: AsJson = False,
) -> None:
    """As an owner, sign that a node is yours: jobs that trust you trust it then."""
    signature, owner = sign_for(gateway, node, key)
    if as_json:
        print_json({"node": node, "owner": owner, "owner_signature": signature})
        return
    typer.echo(f"--owner {owner} --owner-signature {signature}")


def status(gateway: Gateway, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """How this node stands with a gateway: tiles, audits, earnings, and every refusal with its reason."""
    client = GatewayClient(Transport(gateway, NodeKey.load_or_create(folder_of(data) / "key")))
    view = client.me(patience=PATIENCE)
    if as_json:
        print_json(view.model_dump(mode="json"))
        return
    typer.echo(
        f"{view.address}: {view.tiles_accepted} tiles accepted, {view.tiles_rejected} refused, {view.audits} audits"
    )
    for line in offer_lines(view):
        typer.echo(f"  {line}")
    if view.suspended:
        typer.echo(f"  suspended: {view.suspended}")
    if view.barred:
        typer.echo(f"  audits no more: {view.barred}")
    for line in stake_lines(view):
        typer.echo(f"  {line}")
    for strike in view.strikes:
        lane = f", lane {strike.lane}" if strike.lane else ""
        typer.echo(f"  {strike.kind} ({strike.state}{lane}), job {strike.job}, tile {strike.tile}: {strike.reason}")


def refusals(gateway: Gateway, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Why this node gets no tiles, which of its tiles were refused and why, and what it was slashed for."""
    key = folder_of(data) / "key"
    client = GatewayClient(Transport(gateway, NodeKey.load_or_create(key)))
    found, view = client.refusals(patience=PATIENCE).refusals, client.me(patience=PATIENCE)
    if as_json:
        stake = None if view.stake is None else view.stake.model_dump(mode="json")
        disputed = [one.model_dump(mode="json") for one in view.strikes if one.dispute]
        print_json({"refusals": [one.model_dump(mode="json") for one in found], "stake": stake, "disputes": disputed})
        return
    for line in (*stake_lines(view), *refusal_lines(found, client.transport.origin, key)):
        typer.echo(line)
