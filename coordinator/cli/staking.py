"""`kilnet stake`: stake with an operator, share its rewards and slashes, and leave again; as an operator, say whether
others may."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json, Key
from coordinator.cli.sending import Escrow, GoOn, Rpc, client, confirm, find_deployment, gas, run, wallet
from coordinator.cli.times import when
from coordinator.cli.told import told
from coordinator.cli.typed import account, check_holds
from coordinator.cli.typed import amount as amount_of
from jobs.errors import BadInput
from jobs.pricing import display_kiln

if TYPE_CHECKING:
    from contracts.client import ChainClient
    from contracts.transactions import PreparedTx

__all__ = ["register"]

_PERMIT_SECONDS = 600
Operator = Annotated[str, typer.Argument(metavar="OPERATOR", help="The operator's address.")]
Amount = Annotated[str, typer.Argument(metavar="KILN", help="How much.")]
Some = Annotated[str, typer.Argument(metavar="KILN|all", help="How much.")]
app = typer.Typer(no_args_is_help=True, help="Stake with an operator and share what it earns: kilnet stake --help.")


def register(program: typer.Typer) -> None:
    """Adds the commands."""
    program.add_typer(app, name="stake")


@app.command()
def show(
    operator: Operator,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """What is staked with an operator, its terms, what it was slashed and why, and what is yours of it."""
    from contracts.slashes import slashes_of

    chain = client(find_deployment(gateway, rpc, escrow), key)
    who = _operator(chain, operator)
    with told():
        found, mine, slashes = chain.operator(who), chain.stake_of(who, _me(chain)), slashes_of(chain, who)
    if as_json:
        slashed = [{"amount": str(one.amount), "why": one.why, "transaction": one.tx} for one in slashes]
        mine_now = {"staked": str(mine.active), "unbonding": str(mine.unbonding), "ready_at": mine.ready_at}
        answer(
            {"operator": who, "open": found.open, "commission": found.commission_bps / 10_000,
             "staked": str(found.active), "unbonding": str(found.unbonding), "slashes": slashed, "yours": mine_now}
        )  # fmt: skip
        return
    terms = f"commission {found.commission_bps / 100:g}%" if found.open else "takes no stake of others"
    print(f"{who}: {display_kiln(found.active)} KILN at stake, {terms}")
    if found.unbonding:
        print(f"unbonding: {display_kiln(found.unbonding)} KILN")
    for one in slashes:
        print(f"slashed {display_kiln(one.amount)} KILN: {one.why} (transaction {one.tx})")
    share = f", {mine.active / found.active:.1%} of it" if found.active else ""
    print(f"yours: {display_kiln(mine.active)} KILN{share}")
    if mine.unbonding:
        print(f"yours, unbonding: {display_kiln(mine.unbonding)} KILN, to be withdrawn from {when(mine.ready_at)} on")


@app.command()
def add(
    operator: Operator,
    amount: Amount,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    yes: GoOn = False,
    as_json: Json = False,
) -> None:
    """Stake with an operator: its rewards and its slashes are yours in proportion."""
    from contracts.keys import account_from_key
    from contracts.typed_data import sign_permit

    chain = client(find_deployment(gateway, rpc, escrow), key)
    who, units, me = _operator(chain, operator), amount_of(amount), _me(chain)
    with told():
        found = chain.operator(who)
        if not found.open and who != me:
            raise BadInput(f"operator {who} takes no stake of others: choose another one", code="not_open")
        check_holds(chain, units, done="staked", do="stake")
        permit = sign_permit(
            account_from_key(wallet(key)), value=units, nonce=chain.permit_nonce(me), addresses=chain.addresses,
            spender=chain.addresses.registry, deadline=max(int(time.time()), chain.time()) + _PERMIT_SECONDS,
        )  # fmt: skip
        prepared = chain.prepare_stake(units, who, permit)
        days = chain.unbonding_period() / 86_400
    _send(
        chain, prepared, yes=yes, as_json=as_json, operator=who,
        what=f"{display_kiln(units)} KILN are staked with {who}, commission {found.commission_bps / 100:g}%: they are "
        f"slashed with it, and take {days:g} days to leave.",
    )  # fmt: skip


@app.command()
def unbond(
    operator: Operator,
    amount: Some,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    yes: GoOn = False,
    as_json: Json = False,
) -> None:
    """Begin to leave an operator: it earns nothing, and can still be slashed until it is withdrawn."""
    from contracts.stakes import ALL

    chain = client(find_deployment(gateway, rpc, escrow), key)
    who = _operator(chain, operator)
    units = ALL if amount.strip().lower() == "all" else amount_of(amount)
    with told():
        prepared = chain.prepare_unbond(units, who)
    words = "all" if units == ALL else f"{amount} KILN"
    _send(chain, prepared, yes=yes, as_json=as_json, operator=who, what=f"{words} of yours begin to leave {who}.")


@app.command()
def withdraw(
    operator: Operator,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    yes: GoOn = False,
    as_json: Json = False,
) -> None:
    """Take what has been unbonding for long enough."""
    chain = client(find_deployment(gateway, rpc, escrow), key)
    who = _operator(chain, operator)
    with told():
        prepared = chain.prepare_withdraw(who)
    _send(chain, prepared, yes=yes, as_json=as_json, operator=who, what=f"What left {who} goes to {_me(chain)}.")


@app.command()
def terms(
    commission: Annotated[float, typer.Option(min=0, max=100, metavar="PERCENT", help="Yours of each reward.")],
    closed: Annotated[bool, typer.Option("--closed", help="Take no more stake of others.")] = False,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    yes: GoOn = False,
    as_json: Json = False,
) -> None:
    """As an operator: open to stake of others, who share what you earn from then on. Claim before what you earned
    alone."""
    chain = client(find_deployment(gateway, rpc, escrow), key)
    who = _operator(chain, _me(chain))
    with told():
        prepared = chain.prepare_set_terms(not closed, round(commission * 100))
    what = f"{who} takes no more stake of others." if closed else f"Others may stake with {who}: {commission:g}% first."
    _send(chain, prepared, yes=yes, as_json=as_json, operator=who, what=what)


@app.command()
def retire(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Its address.")],
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    yes: GoOn = False,
    as_json: Json = False,
) -> None:
    """As an operator: answer no more for a node, whose key is lost, say. It takes the unbonding period, in which you
    still do, and is for ever."""
    chain = client(find_deployment(gateway, rpc, escrow), key)
    who, whom = _operator(chain, _me(chain)), account(node)
    with told():
        prepared, until = chain.prepare_retire_node(whom), chain.time() + chain.unbonding_period()
    _send(
        chain, prepared, yes=yes, as_json=as_json, operator=who,
        what=f"{who} answers for node {whom} until {when(until)}, and never again after that.",
    )  # fmt: skip


def _me(chain: ChainClient) -> str:
    return chain.transactions.address


def _operator(chain: ChainClient, address: str) -> str:
    """Its address, with its checksum. Raises BadInput for what is none, or no operator's."""
    who = account(address)
    with told():
        if not chain.operator(who).registered:
            raise BadInput(f"{who} is no operator on this chain: `kilnet node register` makes one", code="no_operator")
    return who


def _send(chain: ChainClient, prepared: PreparedTx, *, what: str, operator: str, yes: bool, as_json: bool) -> None:
    confirm(f"{what} Gas: {gas(prepared)}.", yes=yes)
    sent = run(chain, prepared)
    with told():
        mine = chain.stake_of(operator, _me(chain))
    if as_json:
        report: dict[str, Any] = {"operator": operator, "transaction": sent.hash}
        answer({**report, "staked": str(mine.active), "unbonding": str(mine.unbonding), "ready_at": mine.ready_at})
    else:
        print(f"transaction {sent.hash}")
