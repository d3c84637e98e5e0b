"""Pictures, out of the cells of a render or of an item of a batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from jobs.contract import CELL_SIDE, InferContract, RenderContract
from jobs.tiles import RenderTile

__all__ = ["item_picture", "planes_of"]


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


def item_picture(contract: InferContract) -> tuple[int, tuple[int, ...]] | None:
    """(offset in bytes, shape) of the first output that is a picture: float32, three axes, 1, 3 or 4 channels first or
    last, at least 16 pixels high and wide. None where the model makes none."""
    at = 0
    for spec in contract.outputs:
        if spec.dtype == "float32" and len(spec.shape) == 3:
            for channels, size in ((spec.shape[0], spec.shape[1:]), (spec.shape[2], spec.shape[:2])):
                if channels in (1, 3, 4) and min(size) >= 16:
                    return at, spec.shape
        at += int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize
    return None
