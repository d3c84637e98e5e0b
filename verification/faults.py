"""Faults of a proposal that a chain can check for itself: what `Disputes` voids a proposal for, found among the
receipts that somebody shows. Pure: what the chain says is given as values.

A receipt counts only where it hangs on the root that was proposed: by the path shown with it, or by the tree that all
receipts shown make. Leaves that nobody shows are for auditors (docs/contracts.md, Disputes).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from jobs.typed_data import Domain, receipt_message, recover
from verification.receipts import LARGEST_SUM, ReceiptTree, Step, climb, receipt_leaf

__all__ = ["Fault", "FaultKind", "Looked", "Proposal", "ShownReceipt", "find_faults"]

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Of secp256k1: a signature with a larger s is none for the contracts."""
_MOST_TRIES = 4096


class FaultKind(StrEnum):
    """As `Disputes.Fault` has them."""

    UNSIGNED = "unsigned receipt"
    FOREIGN = "receipt of another job"
    TWICE = "tile paid twice"
    SUM = "wrong sum"


@dataclass(frozen=True)
class ShownReceipt:
    """A receipt as somebody shows it. `tile` and `attempt` below 2^64, `price` in units and below 2^256."""

    job: str
    tile: int
    attempt: int
    node: str
    commitment: bytes
    price: int
    signature: bytes
    path: tuple[Step, ...] | None = None
    """From its leaf up: hash and sum of the node beside it; None where none is shown."""


@dataclass(frozen=True)
class Proposal:
    """What stands on chain for a job."""

    job: str
    root: bytes
    price: int


@dataclass(frozen=True)
class Fault:
    """One fault with what proves it."""

    kind: FaultKind
    receipts: tuple[ShownReceipt, ...]
    """One, or the two of one tile; each with its path to the root."""
    claims: tuple[int, ...]
    """Of a wrong sum: for each step of the path, what the parent says that the node on the path sums up to."""
    what: str


@dataclass(frozen=True)
class Looked:
    """What was found."""

    faults: tuple[Fault, ...]
    under_root: int
    """How many of the receipts hang on the root."""


def find_faults(
    shown: Sequence[ShownReceipt], domain: Domain, proposal: Proposal, is_signer: Callable[[str], bool]
) -> Looked:
    """All faults of the proposal that these receipts prove. `is_signer`: whether the escrow takes receipts that an
    address signed; asked once for each address."""
    ordered = sorted(shown, key=lambda one: one.tile)
    leaves = [receipt_leaf(_message(one, domain), one.signature) for one in ordered]
    placed = _placed(ordered, leaves, proposal.root, proposal.job)
    faults = [*_unsigned(placed, domain, proposal, is_signer), *_twice(placed, domain), *_price(placed, proposal)]
    if not any(fault.kind is FaultKind.SUM for fault in faults):
        faults += _hidden_sum(ordered, leaves, proposal)
    return Looked(tuple(faults), len(placed))


def _message(one: ShownReceipt, domain: Domain) -> dict[str, Any]:
    return receipt_message(
        domain, job=one.job, tile=one.tile, attempt=one.attempt, node=one.node, commitment=one.commitment,
        price=one.price,
    )  # fmt: skip


def _placed(ordered: Sequence[ShownReceipt], leaves: Sequence[bytes], root: bytes, job: str) -> list[ShownReceipt]:
    """Those under the root, each with its path; one receipt in two places is there twice. All that are shown make the
    tree, or those of the job among them (a file may have receipts of many)."""
    both = list(zip(ordered, leaves, strict=True))
    for those in (both, [(one, leaf) for one, leaf in both if one.job == job]):
        tree = ReceiptTree([(leaf, one.price) for one, leaf in those]) if those else None
        if tree is not None and tree.root == root:
            return [replace(one, path=tree.steps(place)) for place, (one, _) in enumerate(those)]
    return [one for one, leaf in both if one.path is not None and climb(leaf, one.price, one.path)[0] == root]


def _unsigned(
    placed: Sequence[ShownReceipt], domain: Domain, proposal: Proposal, is_signer: Callable[[str], bool]
) -> list[Fault]:
    found, asked = [], dict[str, bool]()
    for one in placed:
        if one.job != proposal.job:
            what = f"the receipt of tile {one.tile} is of job {one.job}, and hangs on the root of {proposal.job}"
            found.append(Fault(FaultKind.FOREIGN, (one,), (), what))
            continue
        signer = recover(_message(one, domain), "0x" + one.signature.hex()) if _canonical(one.signature) else None
        if signer is not None and signer not in asked:
            asked[signer] = is_signer(signer)
        if signer is None or not asked[signer]:
            by = "nobody's signature" if signer is None else f"signed by {signer}, who is no receipt signer"
            found.append(Fault(FaultKind.UNSIGNED, (one,), (), f"the receipt of tile {one.tile} is {by}"))
    return found


def _canonical(signature: bytes) -> bool:
    return len(signature) == 65 and signature[64] in (27, 28) and int.from_bytes(signature[32:64], "big") <= _HALF_ORDER


def _twice(placed: Sequence[ShownReceipt], domain: Domain) -> list[Fault]:
    found, first = [], dict[int, ShownReceipt]()
    for one in placed:
        other = first.setdefault(one.tile, one)
        if other is not one and (other != one or _has_twin(one, domain)):
            what = f"tile {one.tile} is paid by two receipts, attempts {other.attempt} and {one.attempt}"
            found.append(Fault(FaultKind.TWICE, (other, one), (), what))
    return found


def _has_twin(one: ShownReceipt, domain: Domain) -> bool:
    """Whether its path meets a node that is its own sibling: one path for two places. A receipt that is merely shown
    twice has none."""
    node = (receipt_leaf(_message(one, domain), one.signature), one.price)
    for step in one.path or ():
        if node[0] == step[0]:
            return True
        node = climb(*node, (step,))
    return False


def _price(placed: Sequence[ShownReceipt], proposal: Proposal) -> list[Fault]:
    """A path whose sums are what lies below them, and do not come to the price; or one with a sum beyond 96 bits."""
    for one in placed:
        assert one.path is not None
        claims, total = [], one.price
        for _, beside in one.path:
            claims.append(total)
            total += beside
        huge = one.price > LARGEST_SUM or any(beside > LARGEST_SUM for _, beside in one.path)
        if total != proposal.price or huge:
            what = f"the receipts under the root come to {total} units, and {proposal.price} are asked for"
            return [Fault(FaultKind.SUM, (one,), tuple(claims), what)]
    return []


def _hidden_sum(ordered: Sequence[ShownReceipt], leaves: Sequence[bytes], proposal: Proposal) -> list[Fault]:
    """A sum on the way that is not what lies below it: what the paths of other receipts say of the nodes on this one's,
    tried in its place, leads to the root."""
    said: defaultdict[bytes, set[int]] = defaultdict(set)
    for one in ordered:
        for beside, total in one.path or ():
            said[beside].add(total)
    for leaf, one in zip(leaves, ordered, strict=True):
        if one.path is None:
            continue
        claims = _search(leaf, one, said, proposal.root)
        if claims is not None:
            what = f"on the way from tile {one.tile} to the root a sum is not what lies below it"
            return [Fault(FaultKind.SUM, (one,), claims, what)]
    return []


def _search(leaf: bytes, one: ShownReceipt, said: dict[bytes, set[int]], root: bytes) -> tuple[int, ...] | None:
    """Claimed sums, at least one of them wrong, with which the path leads to the root."""
    path = one.path or ()
    open_ends: list[tuple[bytes, int, tuple[int, ...], bool]] = [(leaf, one.price, (), True)]
    for _ in range(_MOST_TRIES):
        if not open_ends:
            return None
        node, below, claims, honest = open_ends.pop()
        if len(claims) == len(path):
            if node == root and not honest:
                return claims
            continue
        step = path[len(claims)]
        for claim in {below, *said.get(node, ())}:
            parent = climb(node, claim, (step,))[0]
            open_ends.append((parent, claim + step[1], (*claims, claim), honest and claim == below))
    return None
