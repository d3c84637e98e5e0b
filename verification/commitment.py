"""Commitments: a Merkle root over all cells of a tile, made before its worker can know which of them will be redone.

leaf = SHA-256(0x00 || "kilnet/cell/1" || lease || contract || index || cell bytes)

Lease (32 bytes) and contract digest (32 bytes) bind a cell to its work, so that nothing that was computed for another
lease fits; the index binds it to its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from jobs.contract import CELL_SIDE, InferContract, RenderContract, contract_digest
from jobs.tiles import InferTile, RenderTile
from jobs.typed_data import lease_id_bytes
from verification.merkle import Tree, leaf_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MalformedResult", "cell_bytes", "cell_leaf", "cells_length", "commit", "commit_cells", "split_cells"]

_DOMAIN = b"kilnet/cell/1"


class MalformedResult(ValueError):
    """A result whose bytes cannot be what the contract says; the message tells which rule it breaks."""


def _result_array(
    contract: RenderContract | InferContract, tile: RenderTile | InferTile, data: bytes | memoryview
) -> NDArray[np.uint8] | NDArray[np.uint32]:
    """The raw result as an array without copying it: render (frames, channels, height, width) uint32 (float32 bits),
    inference (items, item_bytes) uint8. Raises MalformedResult where the length is wrong."""
    if isinstance(tile, InferTile):
        assert isinstance(contract, InferContract)
        expected = tile.result_bytes(contract)
        if len(data) != expected:
            raise MalformedResult(f"the result has {len(data)} bytes, the lease says {expected}")
        return np.frombuffer(data, np.uint8).reshape(tile.count, contract.item_bytes)
    assert isinstance(contract, RenderContract)
    expected = tile.result_bytes(contract)
    if len(data) != expected:
        raise MalformedResult(f"the result has {len(data)} bytes, the lease says {expected}")
    shape = (len(tile.frames), len(contract.channels), tile.area.height, tile.area.width)
    return np.frombuffer(data, np.dtype("<u4")).reshape(shape)


def _cells(
    contract: RenderContract | InferContract, tile: RenderTile | InferTile, data: bytes | memoryview
) -> Iterator[bytes]:
    """Every cell's bytes in the order of their index; render cells as (channels, height, width) float32."""
    array = _result_array(contract, tile, data)
    if isinstance(tile, InferTile):
        for item in array:
            yield item.tobytes()
        return
    height, width = array.shape[2:]
    for frame in array:
        for y in range(0, height, CELL_SIDE):
            # One copy for a row of blocks: then every block is contiguous.
            row = frame[:, y : y + CELL_SIDE]
            for x in range(0, width, CELL_SIDE):
                yield row[:, :, x : x + CELL_SIDE].tobytes()


def cell_bytes(
    contract: RenderContract | InferContract, tile: RenderTile | InferTile, data: bytes | memoryview, index: int
) -> bytes:
    """One cell of a raw result. Raises MalformedResult for a wrong length, IndexError for no such cell."""
    array = _result_array(contract, tile, data)
    if isinstance(tile, InferTile):
        return bytes(array[tile.cell(index) - tile.first].tobytes())
    cell = tile.cell(index)
    x0, y0, x1, y1 = cell.rect
    dx, dy = tile.area.x0, tile.area.y0
    frame = array[tile.frames.index(cell.frame)]
    return bytes(frame[:, y0 - dy : y1 - dy, x0 - dx : x1 - dx].tobytes())


def cells_length(contract: RenderContract | InferContract, tile: RenderTile | InferTile, cells: Iterable[int]) -> int:
    """Bytes of the given cells put one after the other: the length of an audit's result."""
    if isinstance(tile, InferTile):
        assert isinstance(contract, InferContract)
        return sum(contract.item_bytes for _ in cells)
    assert isinstance(contract, RenderContract)
    total = 0
    for index in cells:
        x0, y0, x1, y1 = tile.cell(index).rect
        total += 4 * len(contract.channels) * (x1 - x0) * (y1 - y0)
    return total


def split_cells(
    contract: RenderContract | InferContract, tile: RenderTile | InferTile, cells: Iterable[int], data: bytes
) -> dict[int, bytes]:
    """An audit's result (cells one after the other) by cell index. Raises MalformedResult for a wrong length."""
    wanted = list(cells)
    expected = cells_length(contract, tile, wanted)
    if len(data) != expected:
        raise MalformedResult(f"the audit has {len(data)} bytes, its {len(wanted)} cells have {expected}")
    out, at = {}, 0
    for index in wanted:
        length = cells_length(contract, tile, [index])
        out[index] = data[at : at + length]
        at += length
    return out


def cell_leaf(lease: str, contract: RenderContract | InferContract, index: int, data: bytes) -> bytes:
    """The leaf (32 bytes) of one cell, of a tile's tree as of an audit's."""
    return _leaves(lease, contract, [(index, data)])[0]


def _leaves(lease: str, contract: RenderContract | InferContract, cells: Iterable[tuple[int, bytes]]) -> list[bytes]:
    prefix = _DOMAIN + lease_id_bytes(lease) + contract_digest(contract)
    return [leaf_hash(prefix + index.to_bytes(8, "big") + data) for index, data in cells]


def commit(
    lease: str,
    contract: RenderContract | InferContract,
    tile: RenderTile | InferTile,
    data: bytes | memoryview,
) -> Tree:
    """The tree over all cells of a tile's raw result. Raises MalformedResult where its length is wrong."""
    return Tree(_leaves(lease, contract, enumerate(_cells(contract, tile, data))))


def commit_cells(lease: str, contract: RenderContract | InferContract, cells: dict[int, bytes]) -> Tree:
    """The tree over an audit's cells, in ascending order of their index."""
    return Tree(_leaves(lease, contract, sorted(cells.items())))
