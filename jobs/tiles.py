"""What one lease of tile work covers, and how it divides into cells (what one probe covers)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobs.contract import CELL_SIDE, InferContract, RenderContract
from jobs.geometry import Rect

__all__ = ["InferTile", "RenderCell", "RenderTile", "Tile"]


class _Tile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RenderCell(_Tile):
    """Where one cell of a render tile lies."""

    frame: int
    rect: tuple[int, int, int, int]


class RenderTile(_Tile):
    """A rectangle of one frame (or of a run of frames), for the samples s0 <= s < s1.

    Where ranges of samples do not merge, a tile has all of them, or is a preview by itself (`only_seen`): the rectangle
    rendered with s1 samples, which is looked at and becomes no part of the frame.

    Its result is raw float32, shape (len(frames), len(channels), height, width), little endian, top row first.
    Cells are numbered frame by frame, in each frame row by row from the tile's own top left corner.
    """

    kind: Literal["render"] = "render"
    frames: tuple[int, ...] = Field(min_length=1)
    rect: tuple[int, int, int, int]
    samples: tuple[int, int]

    @property
    def area(self) -> Rect:
        return Rect(*self.rect)

    def only_seen(self, contract: RenderContract) -> bool:
        """Whether this is a preview by itself, and no part of the frame."""
        return not contract.merges_samples and self.samples != (0, contract.samples)

    def cell_count(self) -> int:
        return len(self.frames) * self.area.block_count(CELL_SIDE)

    def cell(self, index: int) -> RenderCell:
        """The cell at `index`. Raises IndexError outside 0..cell_count()-1."""
        per_frame = self.area.block_count(CELL_SIDE)
        if not 0 <= index < self.cell_count():
            raise IndexError(f"cell {index} of {self.cell_count()}")
        return RenderCell(frame=self.frames[index // per_frame], rect=self.area.block(index % per_frame, CELL_SIDE))

    def result_bytes(self, contract: RenderContract) -> int:
        return len(self.frames) * contract.result_bytes(self.area)


class InferTile(_Tile):
    """Items first <= i < first + count of the batch. Its result is count x item_bytes bytes; a cell is an item."""

    kind: Literal["infer"] = "infer"
    first: int = Field(ge=0)
    count: int = Field(ge=1)

    def cell_count(self) -> int:
        return self.count

    def cell(self, index: int) -> int:
        """The item at cell `index`, counted from the start of the batch."""
        if not 0 <= index < self.count:
            raise IndexError(f"cell {index} of {self.count}")
        return self.first + index

    def result_bytes(self, contract: InferContract) -> int:
        return self.count * contract.item_bytes


Tile = Annotated[RenderTile | InferTile, Field(discriminator="kind")]
