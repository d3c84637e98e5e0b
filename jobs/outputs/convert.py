"""From the delivered predictions.npz to what was asked for, beside it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from jobs.errors import BadInput
from jobs.inputs.files import read_arrays

__all__ = ["FORMATS", "Format", "convert"]


class Format(StrEnum):
    """How predictions are written."""

    NPZ = "npz"
    """As delivered: an array for each output of the model."""
    PARQUET = "parquet"
    ARROW = "arrow"
    """An Arrow IPC file, which is also what Feather version 2 is."""
    FEATHER = "feather"
    IMAGES = "images"
    """A folder for each output that is a picture, a PNG for each item, called as the item is."""


FORMATS = tuple(str(one) for one in Format)


def convert(predictions: Path, wanted: Format, names: Sequence[str] | None = None) -> list[Path]:
    """Write `predictions` (an .npz as it was delivered) as `wanted` beside it; the files, or folders of pictures.

    The items stay in their order; `names`, one for each, become the column `name`, or the pictures' names. What was
    written before under the same name is replaced once the new one is whole. Raises BadInput where it cannot be written
    or no output is a picture.
    """
    if wanted is Format.NPZ:
        return [predictions]
    arrays = read_arrays(predictions)
    counts = {len(array) for array in arrays.values()}
    if names is not None and counts != {len(names)}:
        raise BadInput(f"{predictions}: holds {sorted(counts)} items, and there are {len(names)} names; fetch it again")
    try:
        if wanted is Format.IMAGES:
            from jobs.outputs.images import write_images

            return write_images(arrays, predictions.parent, names, where=str(predictions))
        from jobs.outputs.tables import write_table

        target = predictions.with_suffix(f".{wanted}")
        write_table(arrays, target, names)
        return [target]
    except OSError as error:
        raise BadInput(
            f"{error.filename or predictions}: cannot be written ({error.strerror}); make room for it"
        ) from error
