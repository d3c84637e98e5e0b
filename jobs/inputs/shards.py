"""Items as files: an .npz with an array per input, compressed with Zstandard where that makes it shorter.

The bytes depend on the arrays (and the version of libzstd) alone, so that the same items are uploaded once.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

__all__ = ["Shard", "pack_shard"]

_LEVEL = 1
"""The fastest: it must not be slower than the network."""
_PROBE_BYTES = 256 << 10
_WORTH_IT = 0.9


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard's bytes and how its name ends."""

    data: bytes
    suffix: str


def pack_shard(arrays: Mapping[str, NDArray[Any]]) -> Shard:
    """These items, by input: float, int or bool arrays of any shape with the item as the first axis."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    plain = buffer.getbuffer()
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    middle = max(0, (len(plain) - _PROBE_BYTES) // 2)
    probe = plain[middle : middle + _PROBE_BYTES]
    if len(compressor.compress(probe)) < _WORTH_IT * len(probe):
        return Shard(compressor.compress(plain), ".npz.zst")
    return Shard(bytes(plain), ".npz")
