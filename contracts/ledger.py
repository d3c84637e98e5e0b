"""The books of a deployment, recounted from the chain's logs alone: what was minted, burned and paid in each epoch.

Amounts are in the smallest unit of KILN (10^-18).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import decode
from web3 import Web3

from contracts.connection import Connection
from contracts.errors import ChainError
from contracts.reverts import translated

__all__ = ["Ledger", "LedgerEpoch", "read_ledger"]

_SPAN = 5_000
"""Blocks per request: what public RPCs answer without complaint."""
_ZERO = bytes(32)
_TRANSFER = Web3.keccak(text="Transfer(address,address,uint256)")
_FINALIZED = Web3.keccak(text="Finalized(bytes32,uint256,uint256,uint256)")
_CLAIMED = Web3.keccak(text="Claimed(address,uint256,uint256)")
_POSTED = Web3.keccak(text="RootPosted(uint64,bytes32,uint256,uint40)")
_VETOED = Web3.keccak(text="RootVetoed(uint64,bytes32)")


@dataclass
class LedgerEpoch:
    """From the root before (or the deployment) up to this epoch's own root; the last row has none yet."""

    number: int
    posted_block: int | None = None
    root: str = ""
    total: int = 0
    """What its root says that all accounts together ever earned."""
    vetoed: bool = False
    jobs: int = 0
    """Finalized in it."""
    burned_by_jobs: int = 0
    fees: int = 0
    burned_otherwise: int = 0
    """Slashes, bonds, and what people burned of their own."""
    rewards_minted: int = 0
    minted_otherwise: int = 0
    """The genesis supply."""


@dataclass
class Ledger:
    """All epochs, and the sums that have to agree with the contracts' own."""

    block: int
    """The last block that was read."""
    supply: int
    epochs: list[LedgerEpoch] = field(default_factory=list)

    @property
    def minted(self) -> int:
        return sum(epoch.rewards_minted + epoch.minted_otherwise for epoch in self.epochs)

    @property
    def burned(self) -> int:
        return sum(epoch.burned_by_jobs + epoch.burned_otherwise for epoch in self.epochs)


def read_ledger(chain: Connection) -> Ledger:
    """Recounts everything up to the latest block. Raises ChainError where the books do not close to the unit."""
    with translated(chain.url):
        block = int(chain.web3.eth.block_number)
        supply = int(chain._token.functions.totalSupply().call(block_identifier=block))
    ledger = Ledger(block, supply, [LedgerEpoch(1)])
    for log in _logs(chain, block):
        _count(chain, ledger, log)
    if ledger.minted - ledger.burned != supply:
        raise ChainError(
            f"the books do not close: {ledger.minted} minted - {ledger.burned} burned is not the supply of {supply}; "
            "the RPC may keep only recent logs: ask one that keeps all"
        )
    return ledger


def _logs(chain: Connection, last: int) -> Iterator[Mapping[str, Any]]:
    """Of token, escrow and distributor, in the chain's order."""
    sources = [chain._token.address, chain._escrow.address, chain._distributor.address]
    topics = [_TRANSFER, _FINALIZED, _CLAIMED, _POSTED, _VETOED]
    for first in range(chain.addresses.deploy_block, last + 1, _SPAN):
        with translated(chain.url):
            yield from chain.web3.eth.get_logs(
                {
                    "address": sources,
                    "topics": [topics],
                    "fromBlock": first,
                    "toBlock": min(first + _SPAN - 1, last),
                }
            )


def _count(chain: Connection, ledger: Ledger, log: Mapping[str, Any]) -> None:
    topics = [bytes(topic) for topic in log["topics"]]
    source, data, epoch = str(log["address"]), bytes(log["data"]), ledger.epochs[-1]
    if source == chain._token.address and topics[0] == _TRANSFER:
        (amount,) = decode(["uint256"], data)
        if topics[1] == _ZERO:
            epoch.minted_otherwise += amount
        elif topics[2] == _ZERO:
            epoch.burned_otherwise += amount
    elif source == chain._escrow.address and topics[0] == _FINALIZED:
        # The escrow tells of it first and burns then: so much of the next burning is not counted twice.
        burned, fee, _ = decode(["uint256"] * 3, data)
        epoch.jobs += 1
        epoch.burned_by_jobs += burned
        epoch.burned_otherwise -= burned
        epoch.fees += fee
    elif source == chain._distributor.address:
        _count_reward(ledger, epoch, topics, data, int(log["blockNumber"]))


def _count_reward(ledger: Ledger, epoch: LedgerEpoch, topics: list[bytes], data: bytes, block: int) -> None:
    if topics[0] == _CLAIMED:
        amount, _ = decode(["uint256", "uint256"], data)
        epoch.rewards_minted += amount
        epoch.minted_otherwise -= amount
    elif topics[0] == _POSTED:
        root, total, _ = decode(["bytes32", "uint256", "uint40"], data)
        epoch.posted_block, epoch.root, epoch.total = block, "0x" + root.hex(), total
        ledger.epochs.append(LedgerEpoch(epoch.number + 1))
    elif topics[0] == _VETOED:
        number = int.from_bytes(topics[1], "big")
        for one in ledger.epochs:
            one.vetoed = one.vetoed or one.number == number
