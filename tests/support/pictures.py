"""Reading and comparing pictures: EXR channels by name, PNG by value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray
from PIL import Image

__all__ = ["channels", "differing_bits", "largest_step", "worst_relative"]

NOT_REPEATED = ("Render Time", "Debug Sample Count")
"""Passes that hold how long something took, not what was seen."""


def channels(path: Path) -> dict[str, NDArray[np.float32]]:
    """Every channel of every part by its full name, (height, width) float32, top row first."""
    found: dict[str, NDArray[np.float32]] = {}
    with OpenEXR.File(str(path), separate_channels=True) as file:
        for part in file.parts:
            for name, channel in part.channels.items():
                if not any(word in name for word in NOT_REPEATED):
                    found[name] = np.array(channel.pixels, np.float32)
    return found


def differing_bits(a: dict[str, NDArray[np.float32]], b: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Share of values with other bits, for each channel that has any; channels that one side lacks count as 1."""
    shares = {}
    for name in a.keys() | b.keys():
        if name not in a or name not in b or a[name].shape != b[name].shape:
            shares[name] = 1.0
        elif share := float((a[name].view(np.uint32) != b[name].view(np.uint32)).mean()):
            shares[name] = share
    return shares


def worst_relative(a: dict[str, NDArray[np.float32]], b: dict[str, NDArray[np.float32]]) -> float:
    """The largest |a-b| / max(1, |b|) over all channels; infinity where they do not match up."""
    if a.keys() != b.keys():
        return float("inf")
    worst = 0.0
    for name in a:
        x, y = a[name].astype(np.float64), b[name].astype(np.float64)
        if x.shape != y.shape:
            return float("inf")
        with np.errstate(invalid="ignore"):
            difference = np.where(x == y, 0.0, np.abs(x - y) / np.maximum(1.0, np.abs(y)))
        worst = max(worst, float(np.nan_to_num(difference, nan=np.inf).max()))
    return worst


def largest_step(a: Path, b: Path) -> int:
    """The largest difference of two 8-bit pictures in steps of 1/255; 255 where their sizes differ."""
    with Image.open(a) as first, Image.open(b) as second:
        if first.size != second.size or first.mode != second.mode:
            return 255
        x, y = np.asarray(first).astype(int), np.asarray(second).astype(int)
    return int(np.abs(x - y).max())
