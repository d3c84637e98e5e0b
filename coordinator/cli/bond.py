"""`kilnet bond`: what stands for a coordinator's word that a tile was delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json, Key
from coordinator.cli.sending import Deployment, Escrow, GoOn, Rpc, client, confirm, find_deployment, gas, run
from coordinator.cli.times import when
from coordinator.cli.told import told
from coordinator.cli.typed import account, check_holds
from coordinator.cli.typed import amount as amount_of
from jobs.errors import BadInput
from jobs.pricing import display_kiln

if TYPE_CHECKING:
    from contracts.bonds import Bond
    from contracts.client import ChainClient
    from contracts.transactions import PreparedTx
    from jobs.wire import BondView

__all__ = ["register"]

Contract = Annotated[
    str | None, typer.Option("--bond", metavar="ADDRESS", help="The bond's contract. [default: as the gateway says]")
]
Whose = Annotated[
    str | None, typer.Option("--signer", metavar="ADDRESS", help="The coordinator that signs. [default: the gateway's]")
]
Amount = Annotated[str, typer.Argument(metavar="KILN", help="How much.")]
app = typer.Typer(no_args_is_help=True, help="The coordinator's bond: kilnet bond --help.")


def register(program: typer.Typer) -> None:
    """Adds the commands."""
    program.add_typer(app, name="bond")


@app.command()
def show(
    signer: Whose = None,
    bond: Contract = None,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    as_json: Json = False,
) -> None:
    """What stands for a coordinator's word, and what of it is leaving."""
    where, who = _of(signer, gateway, rpc, escrow, bond)
    chain = where.reader()
    with told():
        found, notice = chain.bond_of(who), chain.bond_notice()
    if as_json:
        answer({**_report(who, found), "notice_s": notice, "contract": chain.addresses.bond})
        return
    print(f"{who}: a bond of {display_kiln(found.amount)} KILN, at {chain.addresses.bond}")
    print(f"pays: {display_kiln(found.pays)} KILN of what it acknowledged and never paid; as much again is burned")
    if found.leaving:
        print(f"leaving: {display_kiln(found.leaving)} KILN, to be withdrawn from {when(found.ready_at)} on")
    print(f"notice: {notice / 86_400:g} days")


@app.command()
def add(
    amount: Amount,
    signer: Whose = None,
    bond: Contract = None,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    yes: GoOn = False,
    as_json: Json = False,
) -> None:
    """Add to a coordinator's bond. Only the signer can take it out again, after its notice."""
    units = amount_of(amount)
    where, who = _of(signer, gateway, rpc, escrow, bond)
    chain = client(where, key)
    with told():
        check_holds(chain, units, done="added", do="add")
        allow = chain.prepare_approve(units, chain.addresses.bond)
    confirm(
        f"{display_kiln(units)} KILN are added to the bond of {who}, in two transactions. Gas of one: {gas(allow)}.",
        yes=yes,
    )
    run(chain, allow)
    with told():
        prepared = chain.prepare_deposit_bond(who, units)
    _done(chain, prepared, who, as_json=as_json)


@app.command()
def notice(
    amount: Amount,
    bond: Contract = None,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    yes: GoOn = False,
    as_json: Json = False,
) -> None:
    """As the coordinator: say how much of the bond is to leave. It replaces what was said before and the wait begins
    anew; 0 takes it back. Until it is withdrawn it pays like the rest."""
    units = amount_of(amount, least=0)
    chain = client(_where(gateway, rpc, escrow, bond), key)
    with told():
        prepared, days = chain.prepare_give_notice(units), chain.bond_notice() / 86_400
    confirm(f"{display_kiln(units)} KILN of the bond can leave in {days:g} days. Gas: {gas(prepared)}.", yes=yes)
    _done(chain, prepared, chain.transactions.address, as_json=as_json)


@app.command()
def withdraw(
    bond: Contract = None,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    yes: GoOn = False,
    as_json: Json = False,
) -> None:
    """As the coordinator: take what notice was given of for long enough."""
    chain = client(_where(gateway, rpc, escrow, bond), key)
    me = chain.transactions.address
    with told():
        prepared, found = chain.prepare_withdraw_bond(), chain.bond_of(me)
    confirm(f"{display_kiln(found.leaving)} KILN of the bond go to {me}. Gas: {gas(prepared)}.", yes=yes)
    _done(chain, prepared, me, as_json=as_json)


def _where(gateway: str | None, rpc: str | None, escrow: str | None, bond: str | None) -> Deployment:
    """The deployment with its bond, which no other contract knows: as named, else as the gateway says."""
    from dataclasses import replace

    from contracts.errors import ChainError, ChainUnavailable

    found = find_deployment(gateway, rpc, escrow)
    if bond is None:
        if escrow is not None and rpc is not None:
            raise BadInput("the escrow does not know the bond's contract: name it with --bond")
        bond = _told(gateway).contract
    where = Deployment(found.rpc, replace(found.addresses, bond=account(bond)))
    with told():
        try:
            stands_for = where.reader().bond_escrow()
        except ChainUnavailable:
            raise
        except ChainError:
            stands_for = ""
    if stands_for.lower() != found.addresses.escrow.lower():
        raise BadInput(f"{bond} is no bond for jobs of escrow {found.addresses.escrow}: check the address")
    return where


def _of(
    signer: str | None, gateway: str | None, rpc: str | None, escrow: str | None, bond: str | None
) -> tuple[Deployment, str]:
    """The deployment, and whose bond is meant: as named, else the gateway's coordinator's."""
    if signer is not None:
        return _where(gateway, rpc, escrow, bond), account(signer)
    if escrow is not None and rpc is not None:
        raise BadInput("no gateway is asked whose bond is meant: name it with --signer, and its contract with --bond")
    named = _told(gateway)
    return _where(gateway, rpc, escrow, bond or named.contract), account(named.signer)


def _told(gateway: str | None) -> BondView:
    from coordinator.cli.public import PublicGateway
    from jobs.wire import BondView

    return PublicGateway(gateway).read(BondView, "/v1/ledger/bond")


def _report(signer: str, found: Bond) -> dict[str, Any]:
    return {
        "signer": signer, "bond": str(found.amount), "pays": str(found.pays), "leaving": str(found.leaving),
        "ready_at": found.ready_at,
    }  # fmt: skip


def _done(chain: ChainClient, prepared: PreparedTx, signer: str, *, as_json: bool) -> None:
    sent = run(chain, prepared)
    with told():
        found = chain.bond_of(signer)
    if as_json:
        answer({**_report(signer, found), "transaction": sent.hash})
    else:
        print(f"the bond of {signer} is {display_kiln(found.amount)} KILN now; transaction {sent.hash}")
