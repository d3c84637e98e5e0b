"""Binary Merkle trees with SHA-256, leaves and inner nodes told apart by a prefix (as RFC 6962 does, section 2.1).

For n leaves the left subtree holds the largest power of two below n, so that no leaf is ever doubled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = ["Tree", "leaf_hash", "root_of", "verify_path"]


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data), 32 bytes."""
    return hashlib.sha256(b"\0" + data).digest()


def _inner(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """A tree over 32-byte leaf hashes, kept level by level: building is linear, a path logarithmic.

    An odd node at the end of a level moves up as it is, which gives the same root as the split by powers of two.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves:
            raise ValueError("a tree needs at least one leaf")
        self._levels = [list(leaves)]
        while len(level := self._levels[-1]) > 1:
            above = [_inner(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            if len(level) % 2:
                above.append(level[-1])
            self._levels.append(above)

    def __len__(self) -> int:
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        return self._levels[-1][0]

    def path(self, index: int) -> list[bytes]:
        """The sibling hashes from the leaf at `index` up to the root. Raises IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"leaf {index} of {len(self)}")
        path = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            index //= 2
        return path


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes. Raises ValueError where there is none."""
    return Tree(leaves).root


def verify_path(leaf: bytes, index: int, count: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` leads from the leaf hash at `index` of `count` leaves to `root`.

    False for a path of the wrong length, never an exception.
    """
    if not 0 <= index < count:
        return False
    node, rest = leaf, list(path)
    while count > 1:
        sibling = index ^ 1
        if sibling < count:
            if not rest:
                return False
            other = rest.pop(0)
            node = _inner(other, node) if index % 2 else _inner(node, other)
        index //= 2
        count = (count + 1) // 2
    return not rest and node == root
