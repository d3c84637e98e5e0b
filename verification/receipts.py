"""Receipts: the signed statement that a tile passed, and the Merkle tree that puts all of a job's on chain.

Leaf and tree are those of contracts/src/JobEscrow.sol: leaf = keccak256(EIP-712 struct hash), pairs hashed sorted, so
that OpenZeppelin's MerkleProof verifies a path without knowing sides. An odd node moves up as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

__all__ = ["ReceiptTree", "receipt_leaf", "reward_leaf", "verify_receipt_path"]


def receipt_leaf(message: dict[str, Any]) -> bytes:
    """The leaf (32 bytes) of a receipt given as typed data (jobs.typed_data.receipt_message)."""
    return keccak(encode_typed_data(full_message=message).body)


def reward_leaf(account: str, cumulative: int) -> bytes:
    """The leaf of RewardDistributor: keccak256(keccak256(abi.encode(account, cumulative)))."""
    encoded = bytes(12) + bytes.fromhex(account.removeprefix("0x")) + cumulative.to_bytes(32, "big")
    return keccak(keccak(encoded))


def _pair(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)


class ReceiptTree:
    """A keccak tree with sorted pairs over leaves in the order given."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves:
            raise ValueError("a receipt tree needs at least one leaf")
        self._levels = [list(leaves)]
        while len(level := self._levels[-1]) > 1:
            above = [_pair(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            if len(level) % 2:
                above.append(level[-1])
            self._levels.append(above)

    @property
    def root(self) -> bytes:
        return self._levels[-1][0]

    def proof(self, index: int) -> list[bytes]:
        """Siblings from the leaf at `index` up. Raises IndexError."""
        if not 0 <= index < len(self._levels[0]):
            raise IndexError(f"leaf {index} of {len(self._levels[0])}")
        path = []
        for level in self._levels[:-1]:
            if (sibling := index ^ 1) < len(level):
                path.append(level[sibling])
            index //= 2
        return path


def verify_receipt_path(leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` leads from `leaf` to `root`, as MerkleProof.verify on chain."""
    for sibling in proof:
        leaf = _pair(leaf, sibling)
    return leaf == root
