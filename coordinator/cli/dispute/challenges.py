"""`kilnet dispute challenge`, `show`, `sign`, `rule` and `lapse`: what auditors decide, from the bond to the ruling."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.answer import answer
from coordinator.cli.dispute.sending import (
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
from coordinator.cli.options import Gateway, Json, Key
from coordinator.cli.told import told
from jobs.errors import BadInput

if TYPE_CHECKING:
    from contracts.client import ChainClient
    from contracts.transactions import PreparedTx, TxResult

__all__ = ["register"]

_PIECE = 1 << 20
Number = Annotated[int, typer.Argument(metavar="CHALLENGE", min=1, help="The challenge's number.")]
Upheld = Annotated[bool | None, typer.Option("--uphold/--dismiss", help="Whether the challenge is right.")]
Slash = Annotated[
    float, typer.Option(min=0, max=100, metavar="PERCENT", help="With --uphold: what the operator loses of its stake.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for name, command in (
        ("challenge", _challenge), ("show", _show), ("sign", _sign), ("rule", _rule), ("lapse", _lapse),
    ):  # fmt: skip
        app.command(name)(command)


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
    if operator is not None and re.fullmatch(r"0x[0-9a-fA-F]{40}", operator) is None:
        raise BadInput(f"--operator {operator!r}: is no address; write 0x and 40 hexadecimal digits")
    digest = _digest(evidence)
    where = find_deployment(gateway, rpc, escrow)
    sender = client(where, key)
    me = sender.transactions.address
    with told():
        bond, held = sender.bond(), sender.balance_of(me)
        if held < bond:
            raise BadInput(
                f"{me} holds {held / 10**18:.6f} KILN and the bond is {bond / 10**18:.6f}: send it more KILN first",
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
        f"Bond: {bond / 10**18:.6f} KILN, burned if the auditors dismiss it. Gas: {gas(first)}"
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
        print(f"Auditors: kilnet dispute sign {number} --uphold|--dismiss --key KEY, until {_when(until)}")


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
    found = _known(where, number)
    if as_json:
        answer(found)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("state", "challenger", "job", "operator"):
        table.add_row(name, str(found[name] or "none"))
    table.add_row("bond", f"{int(found['bond']) / 10**18:.6f} KILN")
    table.add_row("auditors", f"can rule until {_when(found['until'])}")
    Console().print(table)


def _known(where: Deployment, number: int) -> dict[str, Any]:
    from contracts.disputes import Outcome

    with told():
        reader = where.reader()
        kept = reader.challenge_of(number)
        until = kept.opened_at + reader.ruling_period()
    if kept.outcome is Outcome.NONE:
        raise BadInput(f"there is no challenge {number}", code="not_found")
    return {
        "challenge": number, "state": kept.outcome.name.lower(), "challenger": kept.challenger,
        "job": None if kept.job is None else "0x" + kept.job.hex(), "operator": kept.operator, "bond": str(kept.bond),
        "until": until,
    }  # fmt: skip


def _ruling(where: Deployment, number: int, upheld: bool | None, slash: float) -> tuple[bool, int]:
    """Whether it is upheld, and the slash in 1/10000. Raises BadInput."""
    if upheld is None:
        raise BadInput("say --uphold or --dismiss")
    bps = round(slash * 100)
    if bps and not upheld:
        raise BadInput("--slash: a dismissal slashes nobody; leave it out")
    known = _known(where, number)
    if known["state"] != "open":
        raise BadInput(f"challenge {number} is {known['state']}: there is nothing to rule")
    if bps and known["operator"] is None:
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
    found = _known(where, number)
    if as_json:
        answer({**found, "tx": result.hash})
    else:
        print(f"challenge {number} is {found['state']}; transaction {result.hash}")


def _when(at: int) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
