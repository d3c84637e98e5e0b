"""Proofs, challenges and rulings, typed: ``Disputes`` from Python.

Units are those of ``contracts.reader``. Errors are those of ``contracts.client``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from contracts.connection import Connection, Sender
from contracts.errors import ChainError
from contracts.transactions import PreparedTx, TxResult
from contracts.typed_data import Commitment, Receipt

__all__ = ["Challenge", "DisputeActions", "DisputeViews", "Outcome", "ProvenReceipt", "Sibling", "SumClaim"]


ZERO = "0x" + "00" * 20


class Outcome(IntEnum):
    """Where a challenge stands; all but OPEN are final."""

    NONE = 0
    """There is no such challenge."""
    OPEN = 1
    UPHELD = 2
    DISMISSED = 3
    """The bond was burned."""
    LAPSED = 4
    """The auditors did not decide in time."""


@dataclass(frozen=True)
class Challenge:
    """A challenge of a job's proposal, of an operator, or of both."""

    challenger: str
    opened_at: int
    outcome: Outcome
    bond: int
    operator: str | None
    job: bytes | None


@dataclass(frozen=True)
class Sibling:
    """The node beside a path in a tree of receipts."""

    hash: bytes
    sum: int


@dataclass(frozen=True)
class SumClaim:
    """A step of a path: what the parent says that this node sums up to, and the node beside it."""

    sum: int
    sibling: Sibling


@dataclass(frozen=True)
class ProvenReceipt:
    """A receipt with its signature and its place under a job's root."""

    receipt: Receipt
    signature: bytes
    path: tuple[Sibling, ...]

    def encoded(self) -> tuple[Any, ...]:
        """As the contracts take it."""
        return (receipt_tuple(self.receipt), self.signature, [(step.hash, step.sum) for step in self.path])


def receipt_tuple(receipt: Receipt) -> tuple[Any, ...]:
    """A receipt as the contracts take it."""
    return (receipt.job, receipt.tile, receipt.attempt, receipt.node, receipt.commitment, receipt.price)


class DisputeViews(Connection):
    """What stands in the Disputes contract."""

    def challenge_of(self, number: int) -> Challenge:
        """All that is kept of a challenge."""
        challenger, opened_at, outcome, bond, operator, job = self._call(self._disputes, "challengeOf", number)
        return Challenge(
            challenger, opened_at, Outcome(outcome), bond, operator if int(operator, 16) else None,
            bytes(job) if any(job) else None,
        )  # fmt: skip

    def open_challenge(self, job: bytes) -> int | None:
        """The number of the challenge that holds a job's proposal up."""
        return int(self._call(self._disputes, "openChallenge", job)) or None

    def bond(self) -> int:
        """What a challenge costs until it is decided."""
        return int(self._call(self._disputes, "bond"))

    def ruling_period(self) -> int:
        """Seconds that the auditors have."""
        return int(self._call(self._disputes, "rulingPeriod"))

    def max_ruling_bps(self) -> int:
        """The most that a ruling may slash, in 1/10000."""
        return int(self._call(self._disputes, "maxRulingBps"))

    def is_auditor(self, account: str) -> bool:
        """Whether somebody is on the panel in office."""
        return bool(self._call(self._disputes, "isAuditor", account))


class DisputeActions(DisputeViews, Sender):
    """What anybody sends who found something wrong, and what auditors decided."""

    def prepare_prove_equivocation(
        self, first: Commitment, first_signature: bytes, second: Commitment, second_signature: bytes, **options: int
    ) -> PreparedTx:
        """Shows two commitments of one node for one lease and token: its operator is slashed."""
        one, two = (tuple(vars(each).values()) for each in (first, second))
        arguments = (one, first_signature, two, second_signature)
        return self._prepare(self._disputes, "proveEquivocation", arguments, options)

    def prove_equivocation(
        self, first: Commitment, first_signature: bytes, second: Commitment, second_signature: bytes
    ) -> TxResult:
        """Shows two commitments of one node for one lease and token: its operator is slashed."""
        return self._run(self.prepare_prove_equivocation(first, first_signature, second, second_signature))

    def prepare_prove_invalid_receipt(self, job: bytes, leaf: ProvenReceipt, **options: int) -> PreparedTx:
        """Shows a receipt under a job's root that no signer signed, or that is another job's: the proposal is void."""
        return self._prepare(self._disputes, "proveInvalidReceipt", (job, leaf.encoded()), options)

    def prove_invalid_receipt(self, job: bytes, leaf: ProvenReceipt) -> TxResult:
        """Shows a receipt under a job's root that no signer signed, or that is another job's: the proposal is void."""
        return self._run(self.prepare_prove_invalid_receipt(job, leaf))

    def prepare_prove_duplicate_tile(
        self, job: bytes, first: ProvenReceipt, second: ProvenReceipt, **options: int
    ) -> PreparedTx:
        """Shows one tile twice under a job's root: the proposal is void."""
        return self._prepare(self._disputes, "proveDuplicateTile", (job, first.encoded(), second.encoded()), options)

    def prove_duplicate_tile(self, job: bytes, first: ProvenReceipt, second: ProvenReceipt) -> TxResult:
        """Shows one tile twice under a job's root: the proposal is void."""
        return self._run(self.prepare_prove_duplicate_tile(job, first, second))

    def prepare_prove_wrong_sum(
        self, job: bytes, receipt: Receipt, signature: bytes, path: Sequence[SumClaim], **options: int
    ) -> PreparedTx:
        """Shows a path on which a sum is not what lies below it, or not the price: the proposal is void."""
        steps = [(step.sum, (step.sibling.hash, step.sibling.sum)) for step in path]
        arguments = (job, receipt_tuple(receipt), signature, steps)
        return self._prepare(self._disputes, "proveWrongSum", arguments, options)

    def prove_wrong_sum(self, job: bytes, receipt: Receipt, signature: bytes, path: Sequence[SumClaim]) -> TxResult:
        """Shows a path on which a sum is not what lies below it, or not the price: the proposal is void."""
        return self._run(self.prepare_prove_wrong_sum(job, receipt, signature, path))

    def prepare_challenge(self, job: bytes | None, operator: str | None, evidence: bytes, **options: int) -> PreparedTx:
        """Puts up the bond (``approve`` it for the Disputes contract first) and asks the auditors. ``evidence`` is the
        32-byte hash of what they are shown."""
        arguments = (job or bytes(32), operator or ZERO, evidence)
        return self._prepare(self._disputes, "challenge", arguments, options)

    def challenge(self, job: bytes | None, operator: str | None, evidence: bytes) -> int:
        """Puts up the bond and asks the auditors, as ``prepare_challenge``; the challenge's number."""
        return self.challenge_number(self._run(self.prepare_challenge(job, operator, evidence)))

    def challenge_number(self, result: TxResult) -> int:
        """The number of the challenge that a transaction opened. Raises ChainError where it opened none."""
        for log in result.logs:
            if str(log["address"]) == self._disputes.address and len(log["topics"]) == 4:
                return int.from_bytes(bytes(log["topics"][1]), "big")
        raise ChainError(f"transaction {result.hash} opened no challenge")

    def prepare_rule(
        self, number: int, upheld: bool, slash_bps: int, signatures: Sequence[bytes], **options: int
    ) -> PreparedTx:
        """Carries a ruling out; signatures of ``ruling_data`` in the ascending order of their signers."""
        return self._prepare(self._disputes, "rule", (number, upheld, slash_bps, list(signatures)), options)

    def rule(self, number: int, upheld: bool, slash_bps: int, signatures: Sequence[bytes]) -> TxResult:
        """Carries a ruling out; signatures of ``ruling_data`` in the ascending order of their signers."""
        return self._run(self.prepare_rule(number, upheld, slash_bps, signatures))

    def prepare_lapse(self, number: int, **options: int) -> PreparedTx:
        """Ends a challenge that the auditors left undecided; anybody may."""
        return self._prepare(self._disputes, "lapse", (number,), options)

    def lapse(self, number: int) -> TxResult:
        """Ends a challenge that the auditors left undecided; anybody may."""
        return self._run(self.prepare_lapse(number))

    def announce_panel(self, auditors: Sequence[str], threshold: int) -> TxResult:
        """Announces another panel of auditors (the admin's); it takes office when everybody could have left."""
        return self._run(self._prepare(self._disputes, "announcePanel", (list(auditors), threshold), {}))
