"""An epoch of rewards, made again from its receipts: pure, for what the chain says is given as values.

A receipt earns 0.95 x what its own tile burned (jobs.pricing.reward_units), its account's leaf grows by that, and the
leaves make the root. What does not hold is named by the receipt, the job or the account that it is about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.pricing import FEE_BPS, REWARD_BPS, reward_units
from jobs.typed_data import Domain, receipt_message, recover
from jobs.wire import EpochAccount, EpochProof, EpochReceipt
from verification.receipts import ReceiptTree, RewardTree, receipt_leaf, reward_leaf

__all__ = ["ChainEpoch", "ChainJob", "Finding", "check_epoch", "check_epochs", "message_of", "signers_of"]


@dataclass(frozen=True)
class Finding:
    """Something that does not hold."""

    where: str
    """The receipt, job, account or root that it is about."""
    what: str


@dataclass(frozen=True)
class ChainJob:
    """A job as the escrow has it. Amounts in units of KILN."""

    finalized: bool
    price: int
    receipt_root: bytes
    receipt_count: int


@dataclass(frozen=True)
class ChainEpoch:
    """What the chain says of an epoch."""

    root: bytes | None
    """None: never posted."""
    total: int
    vetoed: bool
    root_before: bytes | None
    """Of the epoch before; None for the first, or where that was never posted."""
    signers: frozenset[str]
    """Those of the addresses that signed receipts whom the escrow takes receipts of."""
    jobs: Mapping[str, ChainJob]
    claimed: int
    """Units that all accounts have claimed so far."""
    claimable: int
    """Units that the root on which claims are made now allows in all."""


def message_of(receipt: EpochReceipt, domain: Domain) -> dict[str, Any]:
    """The typed data of a receipt."""
    return receipt_message(
        domain, job=receipt.job, tile=receipt.tile, attempt=receipt.attempt, node=receipt.node,
        commitment=bytes.fromhex(receipt.commitment[2:]), price=receipt.price,
    )  # fmt: skip


def signers_of(proof: EpochProof, domain: Domain) -> dict[int, str | None]:
    """Who signed each receipt, by its place; None where the signature is none."""
    return {place: recover(message_of(one, domain), one.signature) for place, one in enumerate(proof.receipts)}


def check_epoch(
    proof: EpochProof, domain: Domain, chain: ChainEpoch, signers: Mapping[int, str | None]
) -> list[Finding]:
    """All that does not hold of an epoch; nothing where it does. `signers` are those of `signers_of`."""
    found = [*_receipts(proof, chain, signers), *_jobs(proof, domain, chain)]
    found += _leaves("before", proof.before, chain.root_before if proof.number > 1 else None)
    if proof.number == 1 and proof.before:
        found.append(Finding("epoch 0", "the first epoch has none before it, but leaves of one are given"))
    if proof.number > 1 and chain.root_before is None:
        found.append(Finding(f"root of epoch {proof.number - 1}", "was never posted on this chain"))
    found += _growth(proof)
    found += _root(proof, chain)
    return found


def check_epochs(
    proofs: Sequence[EpochProof],
    domain: Domain,
    chain: Sequence[ChainEpoch],
    signers: Sequence[Mapping[int, str | None]],
) -> list[Finding]:
    """All that does not hold of epochs that follow each other: each grows from the one before it, and no job is paid in
    two. A veto counts for the last alone: nobody can claim on an earlier one anyway. Of each epoch before the last its
    number comes first."""
    found: list[Finding] = []
    paid: dict[str, int] = {}
    for place, (proof, says, of) in enumerate(zip(proofs, chain, signers, strict=True)):
        last = place == len(proofs) - 1
        own = check_epoch(proof, domain, says if last else replace(says, vetoed=False), of)
        if place > 0 and _cumulative(proof.before) != _cumulative(proofs[place - 1].accounts):
            own.append(Finding("leaves of the epoch before", "are not those that the epoch before was checked with"))
        for job in sorted({receipt.job for receipt in proof.receipts}):
            if paid.setdefault(job, proof.number) != proof.number:
                own.append(Finding(f"job {job}", f"is paid a second time: epoch {paid[job]} pays it already"))
        found += own if last else [Finding(f"epoch {proof.number}: {one.where}", one.what) for one in own]
    return found


def _cumulative(accounts: Sequence[EpochAccount]) -> dict[str, int]:
    return {one.account.lower(): one.cumulative for one in accounts}


def _name(receipt: EpochReceipt) -> str:
    return f"receipt of job {receipt.job}, tile {receipt.tile}, attempt {receipt.attempt}"


def _receipts(proof: EpochProof, chain: ChainEpoch, signers: Mapping[int, str | None]) -> list[Finding]:
    found = []
    tiles = Counter((receipt.job, receipt.tile) for receipt in proof.receipts)
    for place, receipt in enumerate(proof.receipts):
        signer = signers[place]
        if signer is None:
            found.append(Finding(_name(receipt), "its signature is none"))
        elif signer not in chain.signers:
            found.append(
                Finding(
                    _name(receipt),
                    f"is not signed as it stands by a receipt signer of this escrow: its signature gives {signer}; a "
                    "field was changed, somebody else signed it, or it is of another chain",
                )
            )
        if tiles[receipt.job, receipt.tile] > 1:
            found.append(Finding(_name(receipt), "its tile is paid more than once"))
    return found


def _jobs(proof: EpochProof, domain: Domain, chain: ChainEpoch) -> list[Finding]:
    """The receipts of each job must be all of its receipts: those under the root that the escrow settled it by."""
    found = []
    by_job: defaultdict[str, list[EpochReceipt]] = defaultdict(list)
    for receipt in proof.receipts:
        by_job[receipt.job].append(receipt)
    for job, receipts in by_job.items():
        known = chain.jobs[job]
        if not known.finalized:
            found.append(Finding(f"job {job}", "was not settled on this chain: it has burned nothing"))
            continue
        receipts.sort(key=lambda receipt: receipt.tile)
        leaves = [
            (receipt_leaf(message_of(one, domain), bytes.fromhex(one.signature[2:])), one.price) for one in receipts
        ]
        tree = ReceiptTree(leaves)
        if len(receipts) != known.receipt_count:
            found.append(
                Finding(f"job {job}", f"was settled by {known.receipt_count} receipts; {len(receipts)} are given here")
            )
        elif tree.root != known.receipt_root:
            found.append(Finding(f"job {job}", "its receipts do not make the root that the escrow settled it by"))
        if tree.total != known.price:
            found.append(
                Finding(f"job {job}", f"was settled for {known.price} units; its receipts add up to {tree.total}")
            )
    return found


def _leaves(which: str, accounts: Sequence[EpochAccount], root: bytes | None) -> list[Finding]:
    if root is None or (accounts and _tree(accounts) == root):
        return []
    return [Finding(f"leaves of the epoch {which}", f"do not make the root 0x{root.hex()} that was posted for it")]


def _tree(accounts: Sequence[EpochAccount]) -> bytes:
    ordered = sorted((one.account, one.cumulative) for one in accounts)
    return RewardTree([reward_leaf(account, cumulative) for account, cumulative in ordered]).root


def _growth(proof: EpochProof) -> list[Finding]:
    """Each account's leaf must have grown by what its receipts earn, and by nothing else."""
    earned: defaultdict[str, int] = defaultdict(int)
    for receipt in proof.receipts:
        earned[receipt.account.lower()] += reward_units(receipt.price)
    before, now = _cumulative(proof.before), _cumulative(proof.accounts)
    found = []
    for account in sorted({*earned, *before, *now}):
        wanted = before.get(account, 0) + earned[account]
        if now.get(account, 0) != wanted:
            found.append(
                Finding(
                    f"account {account}",
                    f"the epoch's leaf says {now.get(account, 0)} units; {before.get(account, 0)} before and "
                    f"{earned[account]} of its receipts are {wanted}",
                )
            )
    return found


def _root(proof: EpochProof, chain: ChainEpoch) -> list[Finding]:
    where = f"root of epoch {proof.number}"
    if chain.root is None:
        return [Finding(where, "was never posted on this chain")]
    found = []
    if not proof.accounts or _tree(proof.accounts) != chain.root:
        found.append(Finding(where, f"the leaves do not make the root 0x{chain.root.hex()} that was posted"))
    if chain.vetoed:
        found.append(Finding(where, "was vetoed: nobody can claim on it"))
    total = sum(one.cumulative for one in proof.accounts)
    if total != chain.total:
        found.append(Finding(where, f"says {chain.total} units in all; its leaves add up to {total}"))
    earned = sum(reward_units(receipt.price) for receipt in proof.receipts)
    burned = sum(job.price - job.price * FEE_BPS // 10_000 for job in chain.jobs.values() if job.finalized)
    if earned * 10_000 > burned * REWARD_BPS:
        found.append(Finding(where, f"pays {earned} units for jobs that burned {burned}: more than 0.95 of it"))
    if chain.claimed > chain.claimable:
        found.append(Finding("claims", f"{chain.claimed} units were minted; the root allows {chain.claimable} in all"))
    return found
