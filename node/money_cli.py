"""`kilnet node earnings`, `claim`, `unbond`, `withdraw`: the operator's money."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from jobs.errors import BadInput
from jobs.pricing import display_kiln
from node.agent import folder_of
from node.earnings import ALL, both, claim_rewards, earnings_lines, unbond_stake, withdraw_stake
from node.gateway import GatewayClient, Transport
from node.keys import NodeKey
from node.stake.command import units_of

__all__ = ["register"]

_PATIENCE = 10.0
Data = Annotated[Path, typer.Option("--data", help="Folder of this node: key, outbox, cache.")]
Gateway = Annotated[str, typer.Option("--gateway", envvar="KILNET_GATEWAY", help="URL of the gateway.")]
OperatorKey = Annotated[
    Path | None, typer.Option("--operator-key", help="Key file of the owner; default: the node's own.")
]
Rpc = Annotated[str | None, typer.Option("--rpc", help="The chain's RPC; default: as the gateway says.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")]
DEFAULT_DATA = Path("~/.local/share/kilnet/node")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (earnings, claim, unbond, withdraw):
        app.command()(command)


def _client(gateway: str, data: Path) -> tuple[GatewayClient, NodeKey]:
    key = NodeKey.load_or_create(folder_of(data) / "key")
    return GatewayClient(Transport(gateway, key)), key


def earnings(
    gateway: Gateway,
    data: Data = DEFAULT_DATA,
    job: Annotated[str | None, typer.Option("--job", help="Show the frames of this job; default: the latest.")] = None,
    as_json: AsJson = False,
) -> None:
    """What this node earned: per job, per frame, per epoch; claimable, claimed, at stake, locked, slashed."""
    if job is not None and re.fullmatch(r"[0-9A-Za-z_-]{1,24}", job) is None:
        raise BadInput(f"--job {job[:40]!r}: is no id of a job; `kilnet node earnings` lists them")
    view = _client(gateway, data)[0].earnings(job, patience=_PATIENCE)
    if job is not None and view.job is None:
        raise BadInput(f"--job {job}: this node earned nothing with it; `kilnet node earnings` lists those it did")
    if as_json:
        typer.echo(json.dumps(view.model_dump(mode="json")))
        return
    for line in earnings_lines(view):
        typer.echo(line)


def claim(
    gateway: Gateway,
    data: Data = DEFAULT_DATA,
    operator_key: OperatorKey = None,
    rpc: Rpc = None,
    as_json: AsJson = False,
) -> None:
    """Have what this node's owner has earned minted to his account; the node's own key (or --operator-key) pays gas."""
    client, key = _client(gateway, data)
    info, view = client.info(patience=_PATIENCE), client.earnings(patience=_PATIENCE)
    payer = key if operator_key is None else NodeKey.load(operator_key)
    sent = claim_rewards(info, view.rewards, payer, rpc=rpc)
    assert view.rewards is not None
    amount = view.rewards.claimable
    if as_json:
        typer.echo(json.dumps({"account": view.account, "claimed": str(amount), "transaction": sent}))
    elif sent is None:
        before, coming = view.rewards.claimed, view.unpaid + view.rewards.pending
        typer.echo(
            f"nothing to claim: {display_kiln(before)} KILN were claimed before, {display_kiln(coming)} KILN are on "
            "their way"
        )
    else:
        typer.echo(f"claimed {both(amount, view.kiln_per_usd).strip()} for {view.account}")
        typer.echo(f"transaction {sent}")


def unbond(
    gateway: Gateway,
    amount: Annotated[str, typer.Argument(metavar="KILN|all", help="How much of the operator's own stake.")],
    data: Data = DEFAULT_DATA,
    operator_key: OperatorKey = None,
    rpc: Rpc = None,
    as_json: AsJson = False,
) -> None:
    """Begin to leave with stake: it earns nothing and can still be slashed until `kilnet node withdraw` takes it."""
    client, key = _client(gateway, data)
    units = ALL if amount.strip().lower() == "all" else units_of(amount, "unbond")
    assert units is not None
    operator = key if operator_key is None else NodeKey.load(operator_key)
    sent = unbond_stake(client.info(patience=_PATIENCE), operator, units, rpc=rpc)
    if as_json:
        typer.echo(json.dumps({"operator": operator.address, "transaction": sent}))
    else:
        typer.echo(f"unbonding; `kilnet node earnings` says from when it can be withdrawn. Transaction {sent}")


def withdraw(
    gateway: Gateway,
    data: Data = DEFAULT_DATA,
    operator_key: OperatorKey = None,
    rpc: Rpc = None,
    as_json: AsJson = False,
) -> None:
    """Take stake that has been unbonding for long enough."""
    client, key = _client(gateway, data)
    operator = key if operator_key is None else NodeKey.load(operator_key)
    sent = withdraw_stake(client.info(patience=_PATIENCE), operator, rpc=rpc)
    if as_json:
        typer.echo(json.dumps({"operator": operator.address, "transaction": sent}))
    else:
        typer.echo(f"withdrawn to {operator.address}. Transaction {sent}")
