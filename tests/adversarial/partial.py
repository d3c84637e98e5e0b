"""Cheats on a part of a tile, made anew for every trial: where they strike is drawn each time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from node.calibrate.studio import BLOCKS, Planes

__all__ = ["PARTIAL"]

Partial = Callable[[Planes, np.random.Generator], Planes]


def _tampered(share: float) -> Partial:
    def made(honest: Planes, rng: np.random.Generator) -> Planes:
        out = honest.copy()
        height, width = out.shape[1:]
        w = max(1, round((share * height * width) ** 0.5))
        h = max(1, round(share * height * width / w))
        y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        out[:, y : y + h, x : x + w] += np.float32(0.25)
        return out

    return made


def _filled_in(done: float) -> Partial:
    """Cells left out are filled with the pixels of a cell beside them."""

    def made(honest: Planes, rng: np.random.Generator) -> Planes:
        out = honest.copy()
        for index in rng.choice(len(BLOCKS), max(1, round((1 - done) * len(BLOCKS))), replace=False):
            x0, y0, x1, y1 = BLOCKS[int(index)]
            beside = -8 if x0 else 8
            out[:, y0:y1, x0:x1] = honest[:, y0:y1, x0 + beside : x1 + beside]
        return out

    return made


def _swapped(honest: Planes, rng: np.random.Generator) -> Planes:
    out = honest.copy()
    i, j = (BLOCKS[int(k)] for k in rng.choice(len(BLOCKS), 2, replace=False))
    out[:, i.y0 : i.y1, i.x0 : i.x1] = honest[:, j.y0 : j.y1, j.x0 : j.x1]
    out[:, j.y0 : j.y1, j.x0 : j.x1] = honest[:, i.y0 : i.y1, i.x0 : i.x1]
    return out


PARTIAL: dict[str, tuple[str, Partial]] = {
    "tampered-0.1%": ("0.1% of the area changed", _tampered(0.001)),
    "tampered-1%": ("1% of the area changed", _tampered(0.01)),
    "tampered-10%": ("10% of the area changed", _tampered(0.1)),
    "cells-99%": ("99% of the cells done, the rest filled in from beside", _filled_in(0.99)),
    "cells-90%": ("90% of the cells done, the rest filled in from beside", _filled_in(0.9)),
    "swapped": ("two blocks in each other's place", _swapped),
}
