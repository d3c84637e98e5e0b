"""The fingerprint of an item: 16 float32 that a cheaper computation of the same model cannot hit.

A late activation of the item, flattened in C order and padded with zeros to a multiple of 16, is multiplied by
random signs and summed into 16 buckets (element i into bucket i mod 16): a sparse random +-1 projection, which
keeps relative distances like a dense one at a sixteenth of the cost (Charikar, Chen, Farach-Colton, "Finding
frequent items in data streams", 2002). The sums are float64 and their order is fixed, element by element, so the
projection itself adds no difference between machines; what differs is what differed in the activation.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

__all__ = ["FINGERPRINT_BYTES", "FINGERPRINT_FLOATS", "fingerprints"]

FINGERPRINT_FLOATS = 16
FINGERPRINT_BYTES = 4 * FINGERPRINT_FLOATS
_LANES = 64  # buckets are summed in this many lanes first: long runs of additions, which numpy does fast


def fingerprints(activation: np.ndarray, seed: int) -> np.ndarray:
    """float32, (items, 16), little-endian, of a float activation (items, ...). `seed` is not negative."""
    items = activation.shape[0]
    flat = activation.reshape(items, -1)
    signs = _signs(flat.shape[1], seed)
    rows = signs.size // (_LANES * FINGERPRINT_FLOATS)
    out = np.empty((items, FINGERPRINT_FLOATS), "<f4")
    signed = np.zeros(signs.size, np.float64)
    for item in range(items):
        np.multiply(flat[item], signs[: flat.shape[1]], out=signed[: flat.shape[1]])
        # Reducing over the first axis adds whole rows one after the other: the order does not depend on the machine.
        lanes = np.add.reduce(signed.reshape(rows, _LANES * FINGERPRINT_FLOATS), axis=0)
        out[item] = np.add.reduce(lanes.reshape(_LANES, FINGERPRINT_FLOATS), axis=0)
    return out


@lru_cache(maxsize=4)
def _signs(length: int, seed: int) -> np.ndarray:
    """+1 or -1 in float64, `length` of them rounded up to whole rows, from SHAKE-256 of the seed."""
    row = _LANES * FINGERPRINT_FLOATS
    padded = max(1, -(-length // row)) * row
    stream = hashlib.shake_256(b"kilnet/fingerprint/1\0" + seed.to_bytes(16, "big")).digest(padded // 8)
    bits = np.unpackbits(np.frombuffer(stream, np.uint8))
    signs = 1.0 - 2.0 * bits.astype(np.float64)
    signs.setflags(write=False)
    return signs
