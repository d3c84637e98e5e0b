"""What the coordinator's bond owes this node: tiles acknowledged, and never paid since their job was refunded.

It needs the chain alone: whoever claims from a bond has a coordinator that does not answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from jobs.errors import BadInput
from jobs.pricing import display_kiln
from jobs.typed_data import chain_job_id, lease_id_bytes
from jobs.wire import Acknowledgement
from node.keys import NodeKey
from node.outbox import Acknowledgements, Kept
from node.stake import Chain

__all__ = [
    "Claim", "chain_of_kept", "claim_bonds", "claim_lines", "claims_json", "forget_paid", "look_at_claims",
    "send_claim",
]  # fmt: skip

_SHOWN = 20
_ESCROW = "(address,uint40,uint40,uint8,uint8,uint96,uint96,uint32,uint32,bytes32)"
_BOND = "(uint96,uint96,uint40,bool)"


class _State(IntEnum):
    """As the escrow counts them."""

    NONE, OPEN, PROPOSED, DISPUTED, FINALIZED, REFUNDED = range(6)


@dataclass(frozen=True, slots=True)
class Claim:
    """One acknowledgement, and how its job stands on chain."""

    told: Acknowledgement
    title: str
    state: _State
    refund_at: int
    """From when an open job can be refunded, in Unix seconds."""
    paid: int
    """What the bond has paid for it, in units."""
    covered: int
    """What the bond can pay for all of its signer's words, in units: half of it, since as much again is burned."""

    @property
    def owed(self) -> int:
        """What can be claimed as soon as the bond has it, in units."""
        return max(0, self.told.amount - self.paid) if self.state is _State.REFUNDED else 0


def look_at_claims(chain: Chain, kept: Sequence[Kept]) -> list[Claim]:
    """Each acknowledgement of this chain, with what the chain says of it. Raises Unavailable, Refused."""
    escrows: dict[str, tuple[str, int]] = {}
    jobs: dict[tuple[str, str], tuple[_State, int]] = {}
    bonds: dict[tuple[str, str], int] = {}
    found = []
    for one in kept:
        told = one.told
        if told.chain_id != chain.chain_id:
            continue
        if told.bond not in escrows:
            (escrow,) = chain.read(told.bond, "escrow()", ["address"])
            escrows[told.bond] = (escrow, *chain.read(escrow, "grace()", ["uint40"]))
        escrow, grace = escrows[told.bond]
        if (at := (told.bond, told.job)) not in jobs:
            (row,) = chain.read(escrow, "escrowOf(bytes32)", [_ESCROW], chain_job_id(told.job))
            jobs[at] = (_State(row[3]), max(row[1], row[8] if row[4] == 1 else 0) + grace)
        if (whose := (told.bond, told.signer)) not in bonds:
            bonds[whose] = chain.read(told.bond, "bondOf(address)", [_BOND], told.signer)[0][0] // 2
        (paid,) = chain.read(told.bond, "paidOf(address,bytes32)", ["uint96"], told.signer, lease_id_bytes(told.lease))
        found.append(Claim(told, one.title, *jobs[at], paid, bonds[whose]))
    return found


def claim_bonds(chain: Chain, payer: NodeKey, claims: Sequence[Claim]) -> list[str]:
    """Have all that is owed and covered paid, to whoever answers for the node; the transactions. Raises BadInput,
    Unavailable, ContractSaysNo."""
    sent = []
    left = {(one.told.bond, one.told.signer): one.covered for one in claims}
    for one in claims:
        whose = (one.told.bond, one.told.signer)
        if not one.owed or not left[whose]:
            continue
        sent.append(send_claim(chain, payer, one.told))
        left[whose] -= min(left[whose], one.owed)
    return sent


def send_claim(chain: Chain, payer: NodeKey, told: Acknowledgement) -> str:
    """One claim; its transaction. Raises as `claim_bonds`."""
    fields = (
        chain_job_id(told.job), told.tile, lease_id_bytes(told.lease), told.node, bytes.fromhex(told.root[2:]),
        told.amount,
    )  # fmt: skip
    return chain.send(
        payer, told.bond, "claim((bytes32,uint64,bytes32,address,bytes32,uint256),bytes)", fields,
        bytes.fromhex(told.signature[2:]),
    )  # fmt: skip


def forget_paid(store: Acknowledgements, claims: Sequence[Claim]) -> None:
    """What the chain will never owe any more: its job was finalized."""
    for one in claims:
        if one.state is _State.FINALIZED:
            store.drop(one.told.lease)


def chain_of_kept(kept: Sequence[Kept], rpc: str) -> Chain:
    """The chain that the latest acknowledgement is for. Raises BadInput for another one, Unavailable."""
    if not kept:
        raise BadInput(
            "no acknowledgement is kept here: nothing was delivered, or all of it was refused or paid; check --data"
        )
    return Chain(rpc, kept[-1].told.chain_id)


def claim_lines(claims: Sequence[Claim], now: int) -> list[str]:
    """For people; `now` is the chain's time in Unix seconds."""
    lines = []
    for one in claims[:_SHOWN]:
        lines.append(f"{display_kiln(one.told.amount):>16} KILN  {one.title}: {_said(one, now)}")
    if len(claims) > _SHOWN:
        lines.append(f"and {len(claims) - _SHOWN} more (--json has them)")
    for (bond, signer), covered in sorted({(one.told.bond, one.told.signer): one.covered for one in claims}.items()):
        owed = sum(one.owed for one in claims if (one.told.bond, one.told.signer) == (bond, signer))
        lines.append(
            f"the bond of {signer} can pay {display_kiln(covered)} KILN, and owes this node {display_kiln(owed)}"
        )
    return lines


def claims_json(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """The same for programs; with the acknowledgement itself, which anybody can claim with."""
    return [
        {**json.loads(one.told.model_dump_json()), "state": one.state.name.lower(), "refund_at": one.refund_at,
         "paid": str(one.paid), "owed": str(one.owed), "covered": str(one.covered)}
        for one in claims
    ]  # fmt: skip


def _said(one: Claim, now: int) -> str:
    match one.state:
        case _State.REFUNDED if one.owed:
            return "its job was refunded: claimable"
        case _State.REFUNDED:
            return "claimed from the bond"
        case _State.FINALIZED:
            return "its job was finalized, and the bond owes nothing"
        case _State.OPEN:
            left = one.refund_at - now
            if left < 0:
                return f"its job can be refunded: kilnet settle {one.told.job}"
            return f"its job is open, for another {left / 3600:.1f} h at most"
        case _State.NONE:
            return "the chain knows no such job"
        case _:
            return "a price is proposed for its job"
