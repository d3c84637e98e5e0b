"""`kilnet dispute sign`, `rule` and `lapse`: what auditors decide of a challenge, and its end if they do not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.answer import answer
from coordinator.cli.dispute.standing import Number, known
from coordinator.cli.options import Gateway, Json, Key
from coordinator.cli.sending import (
    Deployment,
    Escrow,
    GoOn,
    Rpc,
    client,
    confirm,
    find_deployment,
    gas,
    run,
    wallet,
)
from coordinator.cli.told import told
from jobs.errors import BadInput

if TYPE_CHECKING:
    from contracts.transactions import TxResult

__all__ = ["register"]

Upheld = Annotated[bool | None, typer.Option("--uphold/--dismiss", help="Whether the challenge is right.")]
Slash = Annotated[
    float, typer.Option(min=0, max=100, metavar="PERCENT", help="With --uphold: what the operator loses of its stake.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for name, command in (("sign", _sign), ("rule", _rule), ("lapse", _lapse)):
        app.command(name)(command)


def _ruling(where: Deployment, number: int, upheld: bool | None, slash: float) -> tuple[bool, int]:
    """Whether it is upheld, and the slash in 1/10000. Raises BadInput."""
    if upheld is None:
        raise BadInput("say --uphold or --dismiss")
    bps = round(slash * 100)
    if bps and not upheld:
        raise BadInput("--slash: a dismissal slashes nobody; leave it out")
    found = known(where, number)
    if found["state"] != "open":
        raise BadInput(f"challenge {number} is {found['state']}: there is nothing to rule")
    if bps and found["operator"] is None:
        raise BadInput(f"--slash: challenge {number} names no operator; leave it out")
    with told():
        most = where.reader().max_ruling_bps()
    if bps > most:
        raise BadInput(f"--slash {slash:g}: a ruling slashes {most / 100:g}% at most")
    return upheld, bps


def _sign(
    number: Number,
    upheld: Upheld = None,
    slash: Slash = 0.0,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Sign a ruling, as an auditor. Nothing is sent: whoever has enough signatures sends them with `rule`."""
    from contracts.keys import account_from_key
    from contracts.typed_data import ruling_data, sign

    where = find_deployment(gateway, rpc, escrow)
    upheld, bps = _ruling(where, number, upheld, slash)
    account = account_from_key(wallet(key))
    with told():
        if not where.reader().is_auditor(account.address):
            raise BadInput(
                f"{account.address} is no auditor in office and its signature would not count: use another key"
            )
    signature = "0x" + sign(ruling_data(number, upheld, bps, where.addresses), account).hex()
    if as_json:
        answer(
            {
                "challenge": number,
                "upheld": upheld,
                "slash_bps": bps,
                "auditor": account.address,
                "signature": signature,
            }
        )
    else:
        print(signature)


def _rule(
    number: Number,
    signatures: Annotated[
        list[str], typer.Option("--signature", metavar="0x...", help="An auditor's; may be given again.")
    ],
    upheld: Upheld = None,
    slash: Slash = 0.0,
    yes: GoOn = False,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Send a ruling that enough auditors signed. Anybody may."""
    where = find_deployment(gateway, rpc, escrow)
    upheld, bps = _ruling(where, number, upheld, slash)
    ordered = _ordered(where, number, upheld, bps, signatures)
    sender = client(where, key)
    with told():
        prepared = sender.prepare_rule(number, upheld, bps, ordered)
    bond = "returned to the challenger" if upheld else "burned"
    confirm(
        f"challenge {number} is {'upheld' if upheld else 'dismissed'}, its bond {bond}. Gas: {gas(prepared)}.", yes=yes
    )
    _tell(where, number, run(sender, prepared), as_json=as_json)


def _ordered(where: Deployment, number: int, upheld: bool, bps: int, signatures: list[str]) -> list[bytes]:
    """In the ascending order of their signers. Raises BadInput."""
    from contracts.typed_data import ruling_data
    from jobs.typed_data import recover

    message = ruling_data(number, upheld, bps, where.addresses)
    signers: dict[int, bytes] = {}
    for text in signatures:
        signer = recover(message, text) if re.fullmatch(r"0x[0-9a-fA-F]{130}", text) else None
        if signer is None:
            raise BadInput(f"--signature {text[:20]}…: is none; `kilnet dispute sign {number}` prints one")
        signers[int(signer, 16)] = bytes.fromhex(text[2:])
    return [signers[signer] for signer in sorted(signers)]


def _lapse(
    number: Number,
    yes: GoOn = False,
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """End a challenge that the auditors left undecided: the proposal stands, the bond is returned. Anybody may."""
    where = find_deployment(gateway, rpc, escrow)
    sender = client(where, key)
    with told():
        prepared = sender.prepare_lapse(number)
    confirm(f"challenge {number} lapses, its bond is returned to the challenger. Gas: {gas(prepared)}.", yes=yes)
    _tell(where, number, run(sender, prepared), as_json=as_json)


def _tell(where: Deployment, number: int, result: TxResult, *, as_json: bool) -> None:
    found = known(where, number)
    if as_json:
        answer({**found, "tx": result.hash})
    else:
        print(f"challenge {number} is {found['state']}; transaction {result.hash}")
