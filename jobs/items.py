"""A tile of a batch as arrays: the same reading for whoever puts predictions together and whoever follows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from jobs.contract import InferContract
from jobs.errors import Refused
from jobs.tiles import InferTile

__all__ = ["split_items", "unpack"]


def unpack(blob: bytes, expected: int) -> bytes:
    """The raw result of `expected` bytes out of its zstd-compressed blob. Raises Refused where it is another."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(blob) as reader:
            data: bytes = reader.read(expected)
            whole = len(data) == expected and not reader.read(1)
    except zstandard.ZstdError as error:
        raise Refused(
            f"a result cannot be unpacked ({error}); ask the gateway's operator", code="bad_result"
        ) from error
    if not whole:
        raise Refused(f"a result does not have {expected:,} bytes; ask the gateway's operator", code="bad_result")
    return data


def split_items(contract: InferContract, tile: InferTile, data: bytes) -> dict[str, NDArray[Any]]:
    """The outputs of a tile's items by name, each (tile.count, *shape) of the output's own dtype, little endian. `data`
    is the raw result, tile.result_bytes(contract) long; the fingerprints in it are for the proof and are left out."""
    rows, at, outputs = np.frombuffer(data, np.uint8).reshape(tile.count, contract.item_bytes), 0, {}
    for spec in contract.outputs:
        dtype = np.dtype(spec.dtype).newbyteorder("<")
        length = int(np.prod(spec.shape, dtype=np.int64)) * dtype.itemsize
        values = np.ascontiguousarray(rows[:, at : at + length]).view(dtype)
        outputs[spec.name] = values.reshape(tile.count, *spec.shape)
        at += length
    return outputs
