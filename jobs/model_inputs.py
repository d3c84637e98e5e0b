"""Reading a batch of items as people keep them, and checking it against a model's signature before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jobs.errors import BadInput

__all__ = ["ImagePreprocess", "InputSpec", "check_arrays", "load_inputs", "signature_from_json"]

_IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
_MAX_PIXELS = 1 << 28


@dataclass(frozen=True, slots=True)
class InputSpec:
    """An input of a model. `shape` is that of one item, None where any size will do."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePreprocess:
    """How a picture becomes numbers: resized to width x height, scaled to 0..1, then (value - mean) / std a channel."""

    width: int
    height: int
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    colour: Literal["RGB", "BGR", "L"] = "RGB"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    keep_aspect: bool = False
    """Fit the height, pad on the right with the mean: what text recognisers expect."""


def signature_from_json(described: Sequence[Mapping[str, Any]]) -> tuple[InputSpec, ...]:
    """From the `signature` that the runner's describe answers."""
    return tuple(InputSpec(str(i["name"]), str(i["dtype"]), tuple(i["shape"])) for i in described)


def load_inputs(
    path: Path, signature: Sequence[InputSpec], *, images: ImagePreprocess | None = None
) -> dict[str, np.ndarray]:
    """The arrays of a batch by input name, first axis = items, C order, checked. `path` is one of

    .npz (an array per input), .npy (a model with one input), .parquet (a column per input, needs pyarrow), or a
    folder of images in the order of their names, with `images` saying how they become numbers.

    Raises BadInput with the input's name, what it has and what the model takes.
    """
    if path.is_dir():
        arrays = {_only(signature, path).name: _read_images(path, images)}
    elif not path.exists():
        raise BadInput(f"{path}: no such file or folder", code="inputs_missing")
    elif path.suffix == ".npz":
        arrays = _read_npz(path, signature)
    elif path.suffix == ".npy":
        arrays = {_only(signature, path).name: _read_npy(path)}
    elif path.suffix == ".parquet":
        arrays = _read_parquet(path, signature)
    else:
        raise BadInput(f"{path.name}: inputs are .npz, .npy, .parquet or a folder of images", code="inputs_format")
    return check_arrays(arrays, signature, path.name)


def check_arrays(arrays: Mapping[str, np.ndarray], signature: Sequence[InputSpec], where: str) -> dict[str, np.ndarray]:
    """The arrays in the model's order and exact dtypes. A dtype is only changed where no value can change with it."""
    wanted = [spec.name for spec in signature]
    if unknown := [name for name in arrays if name not in wanted]:
        raise BadInput(f"{where}: the model has no input {unknown[0]!r}; it takes {wanted}", code="inputs_names")
    checked = {}
    for spec in signature:
        if spec.name not in arrays:
            raise BadInput(f"{where}: input {spec.name!r} is missing; it has {list(arrays)}", code="inputs_names")
        checked[spec.name] = _check(arrays[spec.name], spec, where)
    lengths = {name: len(array) for name, array in checked.items()}
    if len(set(lengths.values())) > 1:
        raise BadInput(f"{where}: the inputs do not hold equally many items: {lengths}", code="inputs_shape")
    if not next(iter(lengths.values())):
        raise BadInput(f"{where}: no items in it", code="inputs_empty")
    return checked


def _check(array: np.ndarray, spec: InputSpec, where: str) -> np.ndarray:
    at = f"{where}: {spec.name!r}"
    takes = f"[items, {', '.join('any' if d is None else str(d) for d in spec.shape)}]".replace(", ]", "]")
    shape = array.shape
    if array.ndim != 1 + len(spec.shape) or any(
        want not in (None, have) for want, have in zip(spec.shape, shape[1:], strict=True)
    ):
        raise BadInput(f"{at} has shape {list(shape)}, the model takes {takes}", code="inputs_shape")
    wanted = np.dtype(spec.dtype)
    if array.dtype != wanted:
        if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, wanted, "safe"):
            remedy = f"convert it with .astype({wanted.name!r}) if that is meant"
            raise BadInput(f"{at} is {array.dtype}, the model takes {wanted.name}: {remedy}", code="inputs_dtype")
        array = array.astype(wanted)
    if wanted.kind == "f" and not np.isfinite(array).all():
        first = int(np.argwhere(~np.isfinite(array).reshape(len(array), -1).all(axis=1))[0, 0])
        raise BadInput(f"{at} holds NaN or infinity, first in item {first}", code="inputs_not_finite")
    return np.ascontiguousarray(array)


def _only(signature: Sequence[InputSpec], path: Path) -> InputSpec:
    if len(signature) != 1:
        names = [spec.name for spec in signature]
        raise BadInput(f"{path.name} is one array, the model takes {names}: put them into an .npz", code="inputs_names")
    return signature[0]


def _read_npz(path: Path, signature: Sequence[InputSpec]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            if len(names) == 1 and len(signature) == 1:  # then its name is of no consequence
                return {signature[0].name: archive[names[0]]}
            return {name: archive[name] for name in names}
    except Exception as error:
        raise BadInput(f"{path.name} cannot be read as .npz: {error}", code="inputs_unreadable") from error


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except Exception as error:
        raise BadInput(f"{path.name} cannot be read as .npy: {error}", code="inputs_unreadable") from error


def _read_parquet(path: Path, signature: Sequence[InputSpec]) -> dict[str, np.ndarray]:
    import importlib

    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise BadInput(
            f"{path.name}: reading .parquet needs pyarrow: pip install pyarrow", code="inputs_format"
        ) from None
    try:
        table = parquet.read_table(path)
        rows = len(table)
        arrays = {name: np.asarray(table.column(name).to_pylist()) for name in table.column_names}
    except Exception as error:
        raise BadInput(f"{path.name} cannot be read as .parquet: {error}", code="inputs_unreadable") from error
    for spec in signature:  # a column is flat lists of numbers of Python's widths
        if spec.name in arrays and None not in spec.shape and arrays[spec.name].dtype.kind in "biuf":
            shape = (rows, *(int(d or 0) for d in spec.shape))
            if arrays[spec.name].size == int(np.prod(shape)):
                arrays[spec.name] = arrays[spec.name].reshape(shape).astype(spec.dtype)
    return arrays


def _read_images(folder: Path, how: ImagePreprocess | None) -> np.ndarray:
    """float32, (items, C, H, W) or (items, H, W, C)."""
    from PIL import Image

    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES)
    if not paths:
        raise BadInput(f"{folder}: no images in it ({', '.join(sorted(_IMAGES))})", code="inputs_empty")
    if how is None:
        raise BadInput(
            f"{folder}: say how images become numbers (width, height, layout, mean, std)", code="inputs_format"
        )
    channels = 1 if how.colour == "L" else 3
    if len(how.mean) != channels or len(how.std) != channels or not all(how.std):
        raise BadInput(f"mean and std need {channels} numbers each, std none that is 0", code="inputs_format")
    items = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                if picture.width * picture.height > _MAX_PIXELS:
                    raise BadInput(f"{path.name}: over {_MAX_PIXELS:,} pixels", code="inputs_too_large")
                items.append(_numbers(picture.convert("L" if channels == 1 else "RGB"), how))
        except OSError as error:
            raise BadInput(f"{path.name} cannot be read as an image: {error}", code="inputs_unreadable") from error
    return np.stack(items)


def _numbers(picture: Any, how: ImagePreprocess) -> np.ndarray:
    from PIL import Image

    width = how.width
    if how.keep_aspect:
        width = min(how.width, max(1, round(picture.width * how.height / picture.height)))
    pixels = np.asarray(picture.resize((width, how.height), Image.Resampling.BILINEAR), np.float32) / np.float32(255)
    pixels = pixels.reshape(how.height, width, -1)
    if how.colour == "BGR":
        pixels = pixels[:, :, ::-1]
    value = (pixels - np.asarray(how.mean, np.float32)) / np.asarray(how.std, np.float32)
    item = np.zeros((how.height, how.width, value.shape[2]), np.float32)
    item[:, :width] = value
    return np.ascontiguousarray(item.transpose(2, 0, 1) if how.layout == "NCHW" else item)
