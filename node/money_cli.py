"""`kilnet node earnings`, `claim`, `claims`, `unbond`, `withdraw`: the operator's money."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Annotated

import typer

from jobs.errors import BadInput, KilnetError
from jobs.pricing import display_kiln
from node.agent import folder_of
from node.claims import chain_of_kept, claim_bonds, claim_lines, claims_json, forget_paid, look_at_claims
from node.earnings import ALL, both, claim_rewards, earnings_lines, unbond_stake, withdraw_stake
from node.gateway import GatewayClient, Transport
from node.keys import NodeKey
from node.options import DEFAULT_DATA, PATIENCE, AsJson, Data, Gateway, OperatorKey, Rpc, print_json
from node.outbox import Acknowledgements
from node.stake.command import units_of

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (earnings, claim, claims, unbond, withdraw):
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
    view = _client(gateway, data)[0].earnings(job, patience=PATIENCE)
    if job is not None and view.job is None:
        raise BadInput(f"--job {job}: this node earned nothing with it; `kilnet node earnings` lists those it did")
    if as_json:
        print_json(view.model_dump(mode="json"))
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
    info, view = client.info(patience=PATIENCE), client.earnings(patience=PATIENCE)
    payer = key if operator_key is None else NodeKey.load(operator_key)
    sent = claim_rewards(info, view.rewards, payer, rpc=rpc)
    assert view.rewards is not None
    amount = view.rewards.claimable
    if as_json:
        print_json({"account": view.account, "claimed": str(amount), "transaction": sent})
    elif sent is None:
        before, coming = view.rewards.claimed, view.unpaid + view.rewards.pending
        typer.echo(
            f"nothing to claim: {display_kiln(before)} KILN were claimed before, {display_kiln(coming)} KILN are on "
            "their way"
        )
    else:
        typer.echo(f"claimed {both(amount, view.kiln_per_usd).strip()} for {view.account}")
        typer.echo(f"transaction {sent}")


def claims(
    gateway: Annotated[
        str | None, typer.Option("--gateway", envvar="KILNET_GATEWAY", help="URL of the gateway, if it still answers.")
    ] = None,
    data: Data = DEFAULT_DATA,
    operator_key: OperatorKey = None,
    rpc: Rpc = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Claim what can be claimed.")] = False,
    as_json: AsJson = False,
) -> None:
    """What was delivered and is not paid, by the coordinator's own signed word; what of it its bond owes since the job
    was refunded. With --yes that is claimed, for whoever answers for this node on chain. Needs no gateway."""
    folder = folder_of(data)
    if not (folder / "outbox").is_dir():
        raise BadInput(f"--data {data}: no node has worked with this folder; name that of the node")
    with contextlib.closing(Acknowledgements(folder / "outbox")) as store:
        kept = store.all()
        chain = chain_of_kept(kept, rpc or _rpc_of(gateway, data))
        found = look_at_claims(chain, kept)
        payer = NodeKey.load(folder / "key") if operator_key is None else NodeKey.load(operator_key)
        sent = claim_bonds(chain, payer, found) if yes else []
        if sent:
            found = look_at_claims(chain, kept)
        forget_paid(store, found)
    if as_json:
        print_json({"acknowledgements": claims_json(found), "transactions": sent})
        return
    for line in claim_lines(found, chain.now()):
        typer.echo(line)
    for one in sent:
        typer.echo(f"transaction {one}")
    if yes and not sent:
        typer.echo("nothing to claim")
    elif not yes and any(one.owed and one.covered for one in found):
        typer.echo("claim it: the same command with --yes")


def _rpc_of(gateway: str | None, data: Path) -> str:
    """Where the gateway says that its chain is. Raises BadInput where nobody says so."""
    why = "no gateway is named"
    if gateway is not None:
        try:
            where = _client(gateway, data)[0].info(patience=0).chain
            if where is not None and where.rpc_url is not None:
                return where.rpc_url
            why = "the gateway names none"
        except KilnetError as error:
            why = str(error)
    raise BadInput(f"the chain's RPC is not known ({why}): name one with --rpc")


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
    sent = unbond_stake(client.info(patience=PATIENCE), operator, units, rpc=rpc)
    if as_json:
        print_json({"operator": operator.address, "transaction": sent})
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
    sent = withdraw_stake(client.info(patience=PATIENCE), operator, rpc=rpc)
    if as_json:
        print_json({"operator": operator.address, "transaction": sent})
    else:
        typer.echo(f"withdrawn to {operator.address}. Transaction {sent}")
