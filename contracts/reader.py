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
from web3.contract import Contract

from contracts.addresses import Addresses
from contracts.artifacts import abi
from contracts.errors import NotDeployed, WrongChain
from contracts.reverts import translated
from contracts.transactions import connect
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
    FINALIZED = 3
    """Paid. Final."""
    REFUNDED = 4
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


class ChainReader:
    """A look at one deployment.

    Args:
        rpc_url: http or https address of an EVM RPC.
        addresses: the deployment.
        timeout: seconds per request.
    """

    def __init__(self, rpc_url: str, addresses: Addresses, *, timeout: float = 20.0) -> None:
        self.url = rpc_url
        self.addresses = addresses
        self.web3 = connect(rpc_url, timeout)
        self._token = self._contract("KilnToken", addresses.token)
        self._escrow = self._contract("JobEscrow", addresses.escrow)
        self._distributor = self._contract("RewardDistributor", addresses.distributor)

    def check(self) -> None:
        """Raises WrongChain or NotDeployed unless the RPC serves the deployment. Call it once before anything."""
        with translated(self.url):
            actual = int(self.web3.eth.chain_id)
            if actual != self.addresses.chain_id:
                raise WrongChain(self.url, self.addresses.chain_id, actual)
            for contract in (self._token, self._escrow, self._distributor):
                if not self.web3.eth.get_code(contract.address):
                    raise NotDeployed(f"there is no contract at {contract.address} on chain {actual}: deploy again")

    def time(self) -> int:
        """The latest block's time."""
        with translated(self.url):
            return int(self.web3.eth.get_block("latest")["timestamp"])

    def escrow(self, job: bytes) -> EscrowState:
        """What the escrow keeps of a job; state NONE for one that was never opened.

        Whoever starts work compares ``client``, ``cap`` and ``deadline`` with the order first: anybody can open
        anything under an id that has become known.
        """
        client, deadline, proposed_at, state, cap, price, count, root = self._call(self._escrow, "escrowOf", job)
        return EscrowState(JobState(state), client, cap, deadline, price, bytes(root), count, proposed_at)

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

    def verify_receipt(self, receipt: Receipt, signature: bytes, proof: Sequence[bytes]) -> bool:
        """Whether a receipt is signed by a receipt signer and hangs on the root that was proposed for its job."""
        return bool(self._call(self._escrow, "verifyReceipt", _receipt_tuple(receipt), signature, list(proof)))

    def receipt_leaf(self, receipt: Receipt) -> bytes:
        """The contract's own computation of ``typed_data.receipt_leaf``."""
        return bytes(self._call(self._escrow, "receiptLeaf", _receipt_tuple(receipt)))

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

    def _call(self, contract: Contract, name: str, *arguments: Any) -> Any:
        with translated(self.url):
            return contract.get_function_by_name(name)(*arguments).call()

    def _contract(self, name: str, address: str) -> Contract:
        return self.web3.eth.contract(address=Web3.to_checksum_address(address), abi=abi(name))


def _receipt_tuple(receipt: Receipt) -> tuple[Any, ...]:
    return (receipt.job, receipt.tile, receipt.attempt, receipt.node, receipt.commitment, receipt.price)
