"""Challenges of what replays only as whole frames: the pictures, out of their cells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from jobs.contract import CELL_SIDE, RenderContract
from jobs.tiles import RenderTile

__all__ = ["planes_of"]


def planes_of(contract: RenderContract, tile: RenderTile, cells: Mapping[int, bytes]) -> dict[int, NDArray[np.float32]]:
    """Each frame that `cells` holds, (channels, height, width) float32.

    Raises ValueError where a frame is incomplete."""
    each = tile.area.block_count(CELL_SIDE)
    area = tile.area
    found: dict[int, NDArray[np.float32]] = {}
    for position in sorted({index // each for index in cells}):
        planes = np.empty((len(contract.channels), area.height, area.width), np.float32)
        for index in range(position * each, (position + 1) * each):
            if index not in cells:
                raise ValueError(f"cell {index} of frame {tile.frames[position]} is missing")
            x0, y0, x1, y1 = tile.cell(index).rect
            block = np.frombuffer(cells[index], np.dtype("<f4")).reshape(len(contract.channels), y1 - y0, x1 - x0)
            planes[:, y0 - area.y0 : y1 - area.y0, x0 - area.x0 : x1 - area.x0] = block
        found[tile.frames[position]] = planes
    return found
