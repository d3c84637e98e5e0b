"""`kilnet epoch claim`: anybody has rewards minted to whom they belong, of many accounts in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.answer import answer
from coordinator.cli.epochs import app
from coordinator.cli.options import Gateway, Json, Key
from coordinator.cli.sending import Escrow, GoOn, Rpc, client, confirm, find_deployment, gas, run
from coordinator.cli.told import told
from jobs.addresses import check_address
from jobs.errors import BadInput

if TYPE_CHECKING:
    from contracts.client import ChainClient, RewardClaim

__all__ = ["register"]

_AT_ONCE = 100
"""Accounts in one transaction: up to 63,000 gas each (contracts/gas.json), and a block has an end."""


def register() -> None:
    """Adds the command to those of `kilnet epoch`."""
    app.command("claim")(claim)


def claim(
    accounts: Annotated[
        list[str] | None, typer.Argument(metavar="[ACCOUNT]...", help="Whose. [default: all that have something left]")
    ] = None,
    leaves: Annotated[
        Path | None,
        typer.Option("--leaves", help="A file of `kilnet epoch verify N --save FILE`, instead of a gateway."),
    ] = None,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    yes: GoOn = False,
    as_json: Json = False,
) -> None:
    """Have rewards minted to the accounts that they belong to: what operators earned, of which those who stake with
    them have their share. Whoever sends it pays the gas and gains nothing by it."""
    from jobs.pricing import display_kiln

    chain = client(find_deployment(gateway, rpc, escrow), key)
    wanted = _wanted(accounts or ())
    rewards = _rewards(chain, gateway, leaves)
    if unknown := sorted(wanted - {one.account.lower() for one in rewards}):
        raise BadInput(f"{unknown[0]} has earned nothing up to the last root; `kilnet epoch list` shows the epochs")
    with told():
        left = {
            one: one.cumulative - chain.claimed(one.account)
            for one in rewards
            if not wanted or one.account.lower() in wanted
        }
    due = [one for one, amount in left.items() if amount > 0]
    sent = []
    for first in range(0, len(due), _AT_ONCE):
        batch = due[first : first + _AT_ONCE]
        with told():
            prepared = chain.prepare_claim_many(batch)
        total = display_kiln(sum(left[one] for one in batch))
        confirm(f"{total} KILN are minted to {len(batch)} accounts that earned them. Gas: {gas(prepared)}.", yes=yes)
        sent.append(run(chain, prepared).hash)
    if as_json:
        claimed = [{"account": one.account, "claimed": str(left[one])} for one in due]
        answer({"claimed": claimed, "transactions": sent})
        return
    for one in due:
        print(f"{display_kiln(left[one]):>20} KILN  {one.account}")
    print("\n".join(f"transaction {one}" for one in sent) or "nothing to claim: all of it was claimed before")


def _wanted(accounts: Sequence[str]) -> set[str]:
    """In lower case. Raises BadInput."""
    for one in accounts:
        check_address(one)
    return {one.lower() for one in accounts}


def _rewards(chain: ChainClient, gateway: str | None, leaves: Path | None) -> list[RewardClaim]:
    """All that the root on chain says, each with its path. Raises BadInput where they do not make it, Unavailable."""
    from contracts.client import RewardClaim
    from coordinator.cli.epoch_sources import accounts_of, from_file
    from coordinator.cli.public import PublicGateway
    from verification.receipts import RewardTree, reward_leaf

    with told():
        active = chain.active_epoch()
    if not active.number:
        return []
    if leaves is None:
        found = accounts_of(PublicGateway(gateway), active.number)
    else:
        kept = {one.number: one for one in from_file(leaves).epochs}
        if active.number not in kept:
            raise BadInput(f"{leaves}: has no epoch {active.number}, on which claims are made now; save that one")
        found = kept[active.number].accounts
    rows = sorted((one.account, one.cumulative) for one in found)
    tree = RewardTree([reward_leaf(account, units) for account, units in rows]) if rows else None
    if tree is None or tree.root != active.root:
        raise BadInput(
            f"what is said of epoch {active.number} does not make the root on chain: `kilnet epoch verify "
            f"{active.number}` says what is wrong"
        )
    return [RewardClaim(account, units, tuple(tree.proof(place))) for place, (account, units) in enumerate(rows)]
