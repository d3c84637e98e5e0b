"""Raw results as they were uploaded: unpacked within bounds, and put against their commitment."""

from __future__ import annotations

import zstandard

from coordinator.blobs import BlobStore
from jobs.contract import InferContract, RenderContract
from jobs.tiles import InferTile, RenderTile
from verification.commitment import MalformedResult, cell_bytes, commit, commit_cells, split_cells

__all__ = ["RootMismatch", "audit_cells", "claimed_cells", "tile_bytes", "unpack"]


class RootMismatch(MalformedResult):
    """Well-formed bytes that are not those whose root was signed: a contradiction, where the other is only a fault."""


_WINDOW = 1 << 27
"""Bytes; what zstd's levels up to 22 need, and no more."""


def unpack(store: BlobStore, sha: str, length: int) -> bytes:
    """Exactly `length` bytes out of a zstd blob. Raises MalformedResult for anything else; never unpacks more."""
    with store.open(sha) as file:
        try:
            with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(file) as reader:
                parts, left = [], length + 1
                while left and (part := reader.read(min(left, 1 << 24))):
                    parts.append(part)
                    left -= len(part)
        except zstandard.ZstdError as error:
            raise MalformedResult(f"the upload is not zstd data ({error})") from error
    data = b"".join(parts)
    if len(data) != length:
        more = "more than that" if len(data) > length else f"{len(data)}"
        raise MalformedResult(f"the result should have {length} bytes, the upload holds {more}")
    return data


def tile_bytes(
    store: BlobStore,
    sha: str,
    lease: str,
    root: str,
    contract: RenderContract | InferContract,
    tile: RenderTile | InferTile,
) -> bytes:
    """A tile's raw result. Raises RootMismatch where it is not what its worker committed to, MalformedResult where it
    cannot be any result of this lease."""
    length = tile.result_bytes(contract)  # type: ignore[arg-type]
    data = unpack(store, sha, length)
    found = "0x" + commit(lease, contract, tile, data).root.hex()
    if found != root:
        raise RootMismatch(f"the upload has the root {found}, the signed commitment says {root}")
    return data


def claimed_cells(
    contract: RenderContract | InferContract, tile: RenderTile | InferTile, data: bytes, cells: list[int]
) -> dict[int, bytes]:
    """The challenged cells of a tile's raw result."""
    return {index: cell_bytes(contract, tile, data, index) for index in cells}


def audit_cells(
    store: BlobStore,
    sha: str,
    lease: str,
    root: str,
    contract: RenderContract | InferContract,
    tile: RenderTile | InferTile,
    cells: list[int],
    length: int,
) -> dict[int, bytes]:
    """An audit's cells by index. Raises MalformedResult where they are not what the auditor committed to."""
    redone = split_cells(contract, tile, cells, unpack(store, sha, length))
    found = "0x" + commit_cells(lease, contract, redone).root.hex()
    if found != root:
        raise MalformedResult(f"the audit has the root {found}, its signed commitment says {root}")
    return redone
