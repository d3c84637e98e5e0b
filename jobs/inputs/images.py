"""A folder of pictures as a batch: one item each, in the order of their names.

A picture becomes (channels, height, width) or (height, width, channels), whichever the model's input says: float inputs
get 0..1, uint8 inputs 0..255. Colour is sRGB as stored; nothing is resized unless asked.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadInput
from jobs.inputs.signature import ModelInput

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageBatch", "image_batch"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
_OPENING = threading.Lock()
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """frame9 before frame10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", path.name) if part]


def image_batch(
    folder: Path,
    inputs: tuple[ModelInput, ...] | None,
    *,
    resize: bool = False,
    size: tuple[int, int] | None = None,
    only: Collection[str] | None = None,
) -> ImageBatch:
    """The folder's pictures (those that `only` names, else all) for the model's only input, scaled to `size` (width,
    height), or with `resize` to what the model takes. Raises BadInput where there are none, one cannot be read, or a
    size does not fit, naming the file."""
    there = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    files = sorted((path for path in there if only is None or path.name in only), key=_natural)
    if not files:
        raise BadInput(f"{folder}: holds no images; put .png, .jpg, .webp, .bmp or .tif files in it")
    if inputs is None:
        raise BadInput("a folder of images needs the onnx package to see what the model takes: pip install onnx")
    if len(inputs) != 1:
        names = ", ".join(repr(one.name) for one in inputs)
        raise BadInput(f"{folder}: a folder of images fits a model with one input, this one has {names}; use .npz")
    return ImageBatch(files, inputs[0], resize=resize or size is not None, size=size)


class ImageBatch:
    """Pictures, decoded as they are asked for."""

    def __init__(
        self, files: list[Path], target: ModelInput, *, resize: bool, size: tuple[int, int] | None = None
    ) -> None:
        self._files, self._target = files, target
        self.items = len(files)
        self.names: tuple[str, ...] | None = tuple(path.name for path in files)
        self._channels_first, self._channels = _layout(target, files[0].parent)
        height, width = target.shape[1:] if self._channels_first else target.shape[:2]
        first_width, first_height = size or _size(files[0])
        self._size = (width or first_width, height or first_height)
        if size not in (None, self._size):
            takes = f"{width or 'any'}x{height or 'any'}"
            raise BadInput(f"size {first_width}x{first_height}: the model takes {takes} pixels; choose that")
        self._resize = resize
        for path in files:
            if not resize and _size(path) != self._size:
                have = "x".join(map(str, _size(path)))
                raise BadInput(
                    f"{path}: is {have} pixels, the model takes {self._size[0]}x{self._size[1]}; "
                    "resize it, or let --resize do it"
                )
        self.item_bytes = self._channels * self._size[0] * self._size[1] * target.dtype.itemsize

    def rows(self, first: int, last: int) -> dict[str, NDArray[Any]]:
        return {self._target.name: np.stack([self._one(path) for path in self._files[first:last]])}

    def _one(self, path: Path) -> NDArray[Any]:
        from PIL import Image

        with _reading(path), _open(path) as image:
            picture = image.convert(_MODES[self._channels])
            if picture.size != self._size:
                picture = picture.resize(self._size, Image.Resampling.BICUBIC)
            pixels = np.asarray(picture)
        pixels = pixels.reshape(self._size[1], self._size[0], self._channels)
        if self._channels_first:
            pixels = pixels.transpose(2, 0, 1)
        if self._target.dtype.kind == "f":
            return np.ascontiguousarray(pixels.astype(np.float32) / np.float32(255), dtype=self._target.dtype)
        return np.ascontiguousarray(pixels)


def _layout(target: ModelInput, folder: Path) -> tuple[bool, int]:
    """(channels come first, number of channels)."""
    shape = target.shape
    if target.dtype.kind != "f" and target.dtype != np.uint8:
        raise BadInput(
            f"{folder}: images give float or uint8, input {target.name!r} takes {target.dtype.name}; use .npz"
        )
    if len(shape) == 3 and shape[0] in _MODES:
        return True, int(shape[0] or 0)
    if len(shape) == 3 and shape[2] in _MODES:
        return False, int(shape[2] or 0)
    if len(shape) == 3 and shape[0] is None:
        return True, 3
    raise BadInput(f"{folder}: input {target.name!r} takes {target}, which is no picture; use .npz")


def _size(path: Path) -> tuple[int, int]:
    with _reading(path), _open(path) as image:
        return image.size


def _open(path: Path) -> Image:
    """The picture, its header read. Called from several threads, and Python's warning filters are everyone's."""
    from PIL import Image

    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns what Pillow raises for a damaged or enormous picture into BadInput."""
    from PIL import Image

    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInput(f"{path}: has too many pixels; make it smaller") from None
    except (OSError, ValueError, SyntaxError, EOFError):
        raise BadInput(f"{path}: is no image that can be read; save it again") from None
