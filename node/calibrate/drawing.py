"""Draws of challenged cells from pictures, as numbers: which cells differ, and how many pixels are off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.calibrate.studio import BLOCKS, Planes
from verification.compare import pixels_off

__all__ = ["cells_differing", "draw_shares", "off_by_cell"]


def off_by_cell(claimed: Planes, recomputed: Planes, difference: float, floor: float) -> NDArray[np.int64]:
    """How many pixels of each cell are off (verification.compare.pixels_off), in the order of the cells."""
    off = pixels_off(claimed, recomputed, difference, floor)
    return np.array([int(off[y0:y1, x0:x1].sum()) for x0, y0, x1, y1 in BLOCKS])


def cells_differing(claimed: Planes, recomputed: Planes) -> NDArray[np.bool_]:
    """Which cells differ in any bit."""
    bits = (np.ascontiguousarray(claimed).view(np.uint32) != np.ascontiguousarray(recomputed).view(np.uint32)).any(0)
    return np.array([bool(bits[y0:y1, x0:x1].any()) for x0, y0, x1, y1 in BLOCKS])


def draw_shares(off: NDArray[np.int64], *, probes: int, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Share of pixels that are off in `draws` draws of `probes` different cells of one picture."""
    pixels = np.array([block.area for block in BLOCKS])
    chosen = np.argsort(rng.random((draws, len(off))), axis=1)[:, :probes]
    return np.asarray(off[chosen].sum(axis=1) / pixels[chosen].sum(axis=1), np.float64)
