"""Integer pixel rectangles: half open, origin at the top left, in pixels of the full frame."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Rect"]


class Rect(NamedTuple):
    """Pixels with x0 <= x < x1 and y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def area(self) -> int:
        """Number of pixels; 0 where a side is empty."""
        return max(0, self.width) * max(0, self.height)

    def contains(self, other: Rect) -> bool:
        return self.x0 <= other.x0 and self.y0 <= other.y0 and self.x1 >= other.x1 and self.y1 >= other.y1

    def blocks(self, side: int) -> Iterator[Rect]:
        """Blocks of side x side pixels, row by row from the rectangle's own corner; those at the right and bottom
        edge are smaller where the side does not divide the rectangle."""
        for y in range(self.y0, self.y1, side):
            for x in range(self.x0, self.x1, side):
                yield Rect(x, y, min(x + side, self.x1), min(y + side, self.y1))

    def block_count(self, side: int) -> int:
        """How many blocks `blocks(side)` yields."""
        return -(-self.width // side) * -(-self.height // side)

    def block(self, index: int, side: int) -> Rect:
        """The block at `index` in the order of `blocks(side)`."""
        columns = -(-self.width // side)
        if not 0 <= index < self.block_count(side):
            raise IndexError(f"block {index} of {self.block_count(side)}")
        x, y = self.x0 + index % columns * side, self.y0 + index // columns * side
        return Rect(x, y, min(x + side, self.x1), min(y + side, self.y1))

    def split(self, columns: int, rows: int) -> Iterator[Rect]:
        """A grid of columns x rows rectangles that covers this one; sides differ by at most one pixel."""
        xs = [self.x0 + self.width * i // columns for i in range(columns + 1)]
        ys = [self.y0 + self.height * i // rows for i in range(rows + 1)]
        for y0, y1 in itertools.pairwise(ys):
            for x0, x1 in itertools.pairwise(xs):
                yield Rect(x0, y0, x1, y1)
