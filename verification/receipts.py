"""Receipts: the signed statement that a tile passed, and the Merkle tree that puts all of a job's on chain.

Leaf and tree are those of contracts/src (SignedMessages.sol, ReceiptTree.sol): a leaf holds the signature as well, and
every inner node hashes both of its children with the sums of the prices below them, so that a receipt that nobody
signed and a sum that does not add up can be shown to a chain. Rewards have a tree without sums, as OpenZeppelin's
MerkleProof expects. Pairs are hashed sorted in both, and an odd node moves up as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

__all__ = [
    "LARGEST_SUM", "ReceiptTree", "RewardTree", "Step", "climb", "receipt_leaf", "reward_leaf", "verify_receipt_path",
]  # fmt: skip

_Node = TypeVar("_Node")
Step = tuple[bytes, int]
"""The node beside a path: its hash and its sum."""
LARGEST_SUM = 2**96 - 1
"""What the contracts keep a price in."""


def receipt_leaf(message: dict[str, Any], signature: bytes) -> bytes:
    """The leaf (32 bytes) of a receipt given as typed data (jobs.typed_data.receipt_message), with its signature."""
    # eth-account's `body` is the EIP-712 struct hash.
    return keccak(keccak(encode_typed_data(full_message=message).body + keccak(signature)))


def reward_leaf(account: str, cumulative: int) -> bytes:
    """The leaf of RewardDistributor: keccak256(keccak256(abi.encode(account, cumulative)))."""
    encoded = bytes(12) + bytes.fromhex(account.removeprefix("0x")) + cumulative.to_bytes(32, "big")
    return keccak(keccak(encoded))


def _pair(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)


def _sum_pair(a: tuple[bytes, int], b: tuple[bytes, int]) -> tuple[bytes, int]:
    first, second = sorted((a, b))
    words = (first[0], first[1].to_bytes(32, "big"), second[0], second[1].to_bytes(32, "big"))
    return keccak(b"".join(words)), (first[1] + second[1]) % 2**256


class RewardTree:
    """A keccak tree with sorted pairs over leaves in the order given. Raises ValueError without a leaf."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = _levels(list(leaves), _pair)

    @property
    def root(self) -> bytes:
        return self._levels[-1][0]

    def proof(self, index: int) -> list[bytes]:
        """Siblings from the leaf at `index` up. Raises IndexError."""
        return _siblings(self._levels, index)


class ReceiptTree:
    """A keccak sum tree with sorted pairs over (leaf, price in units) in the order given. Raises ValueError without a
    leaf."""

    def __init__(self, leaves: Sequence[tuple[bytes, int]]) -> None:
        self._levels = _levels(list(leaves), _sum_pair)

    @property
    def root(self) -> bytes:
        return self._levels[-1][0][0]

    @property
    def total(self) -> int:
        """The sum of all prices."""
        return self._levels[-1][0][1]

    def proof(self, index: int) -> list[bytes]:
        """Two words of 32 bytes for each step from the leaf at `index` up: the node beside the path, and its sum, big
        endian. Raises IndexError."""
        return [word for node, total in self.steps(index) for word in (node, total.to_bytes(32, "big"))]

    def steps(self, index: int) -> tuple[Step, ...]:
        """The same as pairs. Raises IndexError."""
        return tuple(_siblings(self._levels, index))


def climb(leaf: bytes, price: int, path: Sequence[Step]) -> Step:
    """The root that a path leads to, and its sum. Hashes take sums by 256 bits, as the contracts do."""
    node = (leaf, price)
    for step in path:
        node = _sum_pair(node, step)
    return node


def verify_receipt_path(leaf: bytes, price: int, proof: Sequence[bytes], root: bytes, total: int) -> bool:
    """Whether `proof` (as ReceiptTree.proof gives it) leads from `leaf` to `root`, and the sums on its way add up to
    `total`, as JobEscrow.verifyReceipt does."""
    if len(proof) % 2 or price > LARGEST_SUM:
        return False
    node = (leaf, price)
    for sibling, word in zip(proof[::2], proof[1::2], strict=True):
        beside = int.from_bytes(word, "big")
        if len(word) != 32 or beside > LARGEST_SUM:
            return False
        node = _sum_pair(node, (sibling, beside))
    return node == (root, total)


def _levels(leaves: list[_Node], pair: Callable[[_Node, _Node], _Node]) -> list[list[_Node]]:
    if not leaves:
        raise ValueError("a tree of receipts or rewards needs at least one leaf")
    levels = [leaves]
    while len(level := levels[-1]) > 1:
        above = [pair(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        levels.append(above)
    return levels


def _siblings(levels: list[list[_Node]], index: int) -> list[_Node]:
    if not 0 <= index < len(levels[0]):
        raise IndexError(f"leaf {index} of {len(levels[0])}")
    path = []
    for level in levels[:-1]:
        if (sibling := index ^ 1) < len(level):
            path.append(level[sibling])
        index //= 2
    return path
