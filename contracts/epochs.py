"""What stands on chain of an epoch of rewards, and of the jobs and signers behind it. Nothing here needs a key."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode
from web3 import Web3

from contracts.logs import logs_of
from contracts.reader import ChainReader

__all__ = ["PostedRoot", "is_receipt_signer", "posted_roots", "total_claimed"]

_POSTED = Web3.keccak(text="RootPosted(uint64,bytes32,uint256,uint40)")
_VETOED = Web3.keccak(text="RootVetoed(uint64,bytes32)")
_SIGNER_ROLE = Web3.keccak(text="RECEIPT_SIGNER_ROLE")


@dataclass(frozen=True)
class PostedRoot:
    """A root as it was posted."""

    number: int
    root: bytes
    total: int
    """Units that all accounts together ever earned."""
    block: int
    vetoed: bool = False


def posted_roots(chain: ChainReader, numbers: Iterable[int]) -> dict[int, PostedRoot]:
    """The roots of these epochs, by number, as far as they were posted, from the distributor's events."""
    topics: list[Any] = [[_POSTED, _VETOED], ["0x" + number.to_bytes(32, "big").hex() for number in numbers]]
    found: dict[int, PostedRoot] = {}
    for log in logs_of(chain, chain.addresses.distributor, topics):
        kind, number = bytes(log["topics"][0]), int.from_bytes(bytes(log["topics"][1]), "big")
        if kind == bytes(_POSTED):
            root, total, _ = decode(["bytes32", "uint256", "uint40"], bytes(log["data"]))
            found[number] = PostedRoot(number, bytes(root), int(total), int(log["blockNumber"]))
        elif number in found:
            known = found[number]
            found[number] = PostedRoot(number, known.root, known.total, known.block, vetoed=True)
    return found


def is_receipt_signer(chain: ChainReader, address: str) -> bool:
    """Whether the escrow takes receipts that this address signed."""
    return bool(chain._call(chain._escrow, "hasRole", _SIGNER_ROLE, address))


def total_claimed(chain: ChainReader) -> int:
    """All that was ever minted as rewards, in units."""
    return int(chain._call(chain._distributor, "totalClaimed"))
