"""What stands on chain, typed. Nothing here needs a key or costs gas.

Amounts are in the smallest unit of KILN (10^-18), times in unix seconds, jobs and roots 32 bytes, addresses
checksummed hex. Every method raises ChainUnavailable where nothing answers and NotDeployed where something else does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from eth_abi.abi import decode
from hexbytes import HexBytes
from web3 import Web3

from contracts.bonds import BondViews
from contracts.disputes import DisputeViews, Sibling, receipt_tuple
from contracts.reverts import translated
from contracts.stakes import StakeViews
from contracts.typed_data import Receipt

__all__ = ["ChainReader", "EscrowState", "EscrowTerms", "JobState", "RewardEpoch", "SettlementAmounts"]

_FINALIZED_TOPIC = Web3.keccak(text="Finalized(bytes32,uint256,uint256,uint256)")


class JobState(IntEnum):
    """Where a job stands on chain."""

    NONE = 0
    """Never opened."""
    OPEN = 1
    """The cap is locked."""
    PROPOSED = 2
    """A price was proposed; after the challenge window anybody can finalize."""
    DISPUTED = 3
    """The proposal was challenged and waits for the auditors."""
    FINALIZED = 4
    """Paid. Final."""
    REFUNDED = 5
    """Cancelled or refunded, all of the cap returned. Final."""


@dataclass(frozen=True)
class EscrowState:
    """All that the escrow keeps of a job."""

    state: JobState
    client: str
    cap: int
    deadline: int
    price: int
    receipt_root: bytes
    receipt_count: int
    proposed_at: int
    """0 before a proposal."""
    voided: int = 0
    """How many proposals of the job were proven or ruled wrong."""
    voided_at: int = 0
    """When the latest of them was; 0 before."""

    def last_proposal(self, grace: int) -> int:
        """The last second in which a price can be proposed; after it there is only the refund. The first voiding gives
        `grace` from then on."""
        return max(self.deadline, self.voided_at if self.voided == 1 else 0) + grace


@dataclass(frozen=True)
class EscrowTerms:
    """What the escrow was deployed with."""

    fee_bps: int
    """The fee's share of a price, in 1/10000."""
    challenge_window: int
    grace: int
    treasury: str


@dataclass(frozen=True)
class SettlementAmounts:
    """What a finalized job paid: ``burned + fee + refund`` is its cap."""

    burned: int
    fee: int
    refund: int
    tx_hash: str

    @classmethod
    def from_logs(cls, logs: Iterable[Mapping[str, Any]], *, job: bytes, escrow: str) -> "SettlementAmounts | None":
        """The amounts of a job's Finalized event of this escrow among the logs, or None."""
        for log in logs:
            topics = [bytes(topic) for topic in log["topics"]]
            if log["address"] == escrow and topics == [bytes(_FINALIZED_TOPIC), job]:
                burned, fee, refund = decode(["uint256"] * 3, bytes(log["data"]))
                return cls(burned, fee, refund, "0x" + bytes(log["transactionHash"]).hex())
        return None


@dataclass(frozen=True)
class RewardEpoch:
    """One posted statement of rewards."""

    number: int
    root: bytes
    total: int
    active_at: int
    """From when claims are made on it; 0 once they are."""


class ChainReader(StakeViews, DisputeViews, BondViews):
    """All that stands on chain, without a key."""

    def escrow(self, job: bytes) -> EscrowState:
        """What the escrow keeps of a job; state NONE for one that was never opened.

        Whoever starts work compares ``client``, ``cap`` and ``deadline`` with the order first: anybody can open
        anything under an id that has become known.
        """
        client, deadline, proposed_at, state, voided, cap, price, count, voided_at, root = self._call(
            self._escrow, "escrowOf", job
        )
        return EscrowState(
            JobState(state), client, cap, deadline, price, bytes(root), count, proposed_at, voided, voided_at
        )

    def terms(self) -> EscrowTerms:
        """What the escrow was deployed with."""
        names = ("feeBps", "challengeWindow", "grace", "treasury")
        return EscrowTerms(*(self._call(self._escrow, name) for name in names))

    def settlement(self, job: bytes) -> SettlementAmounts | None:
        """What a finalized job paid, from its event; None if it is not finalized."""
        with translated(self.url):
            logs = self.web3.eth.get_logs(
                {
                    "address": self._escrow.address,
                    "topics": [_FINALIZED_TOPIC, HexBytes(job)],
                    "fromBlock": self.addresses.deploy_block,
                    "toBlock": "latest",
                }
            )
        return SettlementAmounts.from_logs(logs, job=job, escrow=self.addresses.escrow)

    def verify_receipt(self, receipt: Receipt, signature: bytes, path: Sequence[Sibling]) -> bool:
        """Whether a receipt is signed by a receipt signer, hangs on the root that was proposed for its job, and the
        sums on its way add up to the job's price."""
        steps = [(step.hash, step.sum) for step in path]
        return bool(self._call(self._escrow, "verifyReceipt", receipt_tuple(receipt), signature, steps))

    def receipt_leaf(self, receipt: Receipt, signature: bytes) -> bytes:
        """The contract's own computation of ``typed_data.receipt_leaf``."""
        return bytes(self._call(self._escrow, "receiptLeaf", receipt_tuple(receipt), signature))

    def total_burned(self) -> int:
        """All that jobs have burned."""
        return int(self._call(self._escrow, "totalBurned"))

    def paused(self) -> bool:
        """Whether the intake of new jobs is stopped."""
        return bool(self._call(self._escrow, "paused"))

    def balance_of(self, address: str) -> int:
        """KILN of an address."""
        return int(self._call(self._token, "balanceOf", address))

    def total_supply(self) -> int:
        """KILN in circulation."""
        return int(self._call(self._token, "totalSupply"))

    def allowance(self, owner: str, spender: str | None = None) -> int:
        """What ``owner`` allows ``spender`` (the escrow by default) to take."""
        return int(self._call(self._token, "allowance", owner, spender or self.addresses.escrow))

    def permit_nonce(self, owner: str) -> int:
        """The nonce of the owner's next permit."""
        return int(self._call(self._token, "nonces", owner))

    def active_epoch(self) -> RewardEpoch:
        """The root that claims are made on now; number 0 before the first."""
        return self._epoch("activeEpoch")

    def pending_epoch(self) -> RewardEpoch | None:
        """The root that can still be vetoed, if there is one."""
        epoch = self._epoch("pendingEpoch")
        return epoch if any(epoch.root) else None

    def last_epoch(self) -> int:
        """The number of the last root posted, vetoed or not; post the next one."""
        return int(self._call(self._distributor, "lastEpoch"))

    def claimed(self, account: str) -> int:
        """What an account has claimed so far."""
        return int(self._call(self._distributor, "claimed", account))

    def _epoch(self, view: str) -> RewardEpoch:
        root, total, active_at, number = self._call(self._distributor, view)
        return RewardEpoch(number, bytes(root), total, active_at)
