"""Challenges: which cells of a tile are redone.

H(secret) goes out with the lease, the worker commits to its root, and only then the cells are drawn from both: the
worker could not know them, and the coordinator could not choose them. The secret is shown when the job settles.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator

from jobs.contract import InferContract, RenderContract
from jobs.tiles import InferTile, RenderTile
from jobs.typed_data import lease_id_bytes

__all__ = ["draw_cells", "draw_frames", "new_secret", "redraw", "secret_hash"]


def new_secret() -> bytes:
    """32 random bytes, fresh for every lease."""
    return secrets.token_bytes(32)


def secret_hash(secret: bytes) -> bytes:
    """What is shown of a secret before it is used."""
    return hashlib.sha256(b"kilnet/secret/1" + secret).digest()


def _integers(seed: bytes, bound: int) -> Iterator[int]:
    """Uniform integers 0 <= i < bound from SHA-256 in counter mode, by rejection so that no value is favoured."""
    limit = (1 << 64) // bound * bound
    counter = 0
    while True:
        block = hashlib.sha256(seed + counter.to_bytes(8, "big")).digest()
        counter += 1
        for i in range(0, 32, 8):
            value = int.from_bytes(block[i : i + 8], "big")
            if value < limit:
                yield value % bound


def draw_cells(root: bytes, lease: str, secret: bytes, *, cells: int, probes: int) -> list[int]:
    """`probes` different cells of 0..cells-1 in ascending order (all of them where there are no more), drawn
    uniformly by H(root || lease || secret)."""
    if cells < 1 or probes < 1:
        raise ValueError("a challenge needs at least one cell and one probe")
    if probes >= cells:
        return list(range(cells))
    seed = hashlib.sha256(b"kilnet/challenge/1" + root + lease_id_bytes(lease) + secret).digest()
    drawn: set[int] = set()
    for index in _integers(seed, cells):
        drawn.add(index)
        if len(drawn) == probes:
            break
    return sorted(drawn)


def draw_frames(root: bytes, lease: str, secret: bytes, tile: RenderTile, *, frames: int) -> list[int]:
    """All cells of `frames` frames of a tile, drawn as cells are: for what replays in whole frames only."""
    count = len(tile.frames)
    each = tile.cell_count() // count
    drawn = draw_cells(root, lease, secret, cells=count, probes=frames)
    return [cell for frame in drawn for cell in range(frame * each, (frame + 1) * each)]


def redraw(
    contract: RenderContract | InferContract, tile: RenderTile | InferTile, root: bytes, lease: str, secret: bytes,
    cells: list[int],
) -> list[int]:  # fmt: skip
    """The challenge that a tile should have had if it had as many cells as `cells`: for whoever checks the drawing."""
    if isinstance(tile, RenderTile) and not contract.in_cells:
        each = tile.cell_count() // len(tile.frames)
        if not cells or len(cells) % each:
            return []  # no whole frames
        return draw_frames(root, lease, secret, tile, frames=len(cells) // each)
    return draw_cells(root, lease, secret, cells=tile.cell_count(), probes=max(1, len(cells)))
