"""Pictures out of predictions: mattes, upscaled frames, masks."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadInput

__all__ = ["file_names", "write_images"]

_CHANNELS = (1, 3, 4)
_UNSAFE = re.compile(r"[^\w.\-]+")
_LONGEST = 120
_RESERVED = ("con", "prn", "aux", "nul")


def write_images(
    arrays: Mapping[str, NDArray[Any]], folder: Path, names: Sequence[str] | None, *, where: str
) -> list[Path]:
    """A folder beneath `folder` for each output that is a picture: items of (channels, height, width), (height, width,
    channels) or (height, width) with 1, 3 or 4 channels, uint8 as they are, floats 0..1 scaled to 0..255 and clipped.

    Raises BadInput where no output is one, OSError."""
    pictures = {name: array for name, array in arrays.items() if _layout(array) is not None}
    if not pictures:
        told = ", ".join(f"{name!r} has items of {list(array.shape[1:])}" for name, array in arrays.items())
        raise BadInput(f"{where}: no output is a picture ({told}); ask for npz or parquet")
    made = []
    for name, array in pictures.items():
        target = folder / (_safe(name) or "output")
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=folder) as staging:
            for item, file in zip(array, file_names(names, len(array)), strict=True):
                _write(item, Path(staging) / file)
            if target.exists():
                shutil.rmtree(target)
            shutil.copytree(staging, target)
        made.append(target)
    return made


def file_names(names: Sequence[str] | None, count: int) -> list[str]:
    """A file name for each item, each once: its own with the suffix .png (`a_0001.exr` becomes `a_0001.png`), else its
    number."""
    if names is None:
        return [f"{number:05d}.png" for number in range(count)]
    stems = [_safe(PurePath(name).stem) for name in names]
    if len(set(map(str.lower, stems))) < count or "" in stems:
        stems = [f"{number:05d}_{stem}" for number, stem in enumerate(stems)]
    return [f"{stem}.png" for stem in stems]


def _safe(name: str) -> str:
    """A name may come from a table of anybody's making: it becomes one plain part of a path."""
    plain = _UNSAFE.sub("_", name).strip("._")[:_LONGEST]
    return f"_{plain}" if plain.lower() in _RESERVED else plain


def _layout(array: NDArray[Any]) -> str | None:
    shape = array.shape[1:]
    if (array.dtype.kind != "f" and array.dtype != np.uint8) or 0 in shape:
        return None
    if len(shape) == 2:
        return "plain" if min(shape) > 1 else None
    if len(shape) == 3 and shape[0] in _CHANNELS and shape[2] not in _CHANNELS:
        return "first"
    if len(shape) == 3 and shape[2] in _CHANNELS:
        return "last"
    return None


def _write(item: NDArray[Any], target: Path) -> None:
    from PIL import Image

    pixels = item.transpose(1, 2, 0) if _layout(item[None]) == "first" else item
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(np.nan_to_num(pixels.astype(np.float32)), 0, 1) * 255).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(pixels)).save(target, "PNG")
