"""Reading items out of input shards. The shards are a stranger's files: headers are checked before anything is read."""

from __future__ import annotations

import io
import time
import zipfile
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import zstandard

from .wire import RequestError

__all__ = ["Items", "Tensor", "tensors"]

_SHARD_BYTES = 4 * 1024**3
_HEADER_BYTES = 10_000
_ARRIVAL_SECONDS = 300.0
"""How long a shard that is not there yet is waited for; the agent cancels sooner where it cannot be had."""
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a contract, without its first axis."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def item_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "dtype": self.dtype.name, "shape": list(self.shape)}


def tensors(described: object) -> tuple[Tensor, ...]:
    """From a contract's JSON. Raises RequestError `bad_request`."""
    try:
        assert isinstance(described, list) and described
        return tuple(
            Tensor(str(t["name"]), np.dtype(t["dtype"]).newbyteorder("<"), tuple(t["shape"])) for t in described
        )
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise RequestError("bad_request", f"the contract's inputs or outputs are malformed: {error!r}") from error


class Items:
    """The items of a batch, spread over shards: .npz with an array per input (.npz.zst: compressed with Zstandard), or
    .npy where there is one input.

    `files` is a path, or a list of `{"path", "first"}` in the order of the batch, `first` being the shard's first item.
    A shard that has not arrived yet is waited for, `waiting` being called meanwhile.
    """

    def __init__(self, files: object, inputs: Sequence[Tensor], waiting: Callable[[], None] = lambda: None) -> None:
        if isinstance(files, str):
            files = [{"path": files, "first": 0}]
        if not isinstance(files, list) or not files:
            raise RequestError("bad_request", "inputs must be a path or a list of {path, first}")
        self._files = sorted(((int(file["first"]), Path(file["path"])) for file in files), key=lambda entry: entry[0])
        self._inputs, self._waiting = tuple(inputs), waiting
        self._loaded: tuple[int, dict[str, np.ndarray]] | None = None

    def rows(self, items: Sequence[int], pad_to: int) -> dict[str, np.ndarray]:
        """The arrays of these items in this order, zeros after them up to `pad_to` rows."""
        batch = {t.name: np.zeros((pad_to, *t.shape), t.dtype) for t in self._inputs}
        for row, item in enumerate(items):
            first, arrays = self._shard_of(item)
            for name, target in batch.items():
                target[row] = arrays[name][item - first]
        return batch

    def count(self) -> int:
        """Items up to the end of the last shard."""
        first, arrays = self._load(len(self._files) - 1)
        return first + len(next(iter(arrays.values())))

    def _shard_of(self, item: int) -> tuple[int, dict[str, np.ndarray]]:
        index = bisect_right(self._files, item, key=lambda entry: entry[0]) - 1
        if index >= 0:
            first, arrays = self._load(index)
            if item - first < len(next(iter(arrays.values()))):
                return first, arrays
        raise RequestError("item_missing", f"item {item} is in none of the input shards; send it", scene_fault=True)

    def _load(self, index: int) -> tuple[int, dict[str, np.ndarray]]:
        first, path = self._files[index]
        if self._loaded is None or self._loaded[0] != index:
            self._await(path)
            self._loaded = (index, _read_shard(path, self._inputs))
        return first, self._loaded[1]

    def _await(self, path: Path) -> None:
        """Files appear whole, by their name."""
        until = time.monotonic() + _ARRIVAL_SECONDS
        while not path.exists():
            if time.monotonic() > until:
                raise RequestError(
                    "inputs_late", f"{path.name} did not arrive within {_ARRIVAL_SECONDS:.0f} s; try again"
                )
            self._waiting()
            time.sleep(_LOOK_SECONDS)


def _open_shard(path: Path) -> BinaryIO:
    """The shard's bytes. Raises ValueError where a compressed one does not say how long it is, or is too long."""
    if path.suffix != ".zst":
        return path.open("rb")
    packed = path.read_bytes()
    try:
        length = zstandard.frame_content_size(packed)
        if not 0 <= length <= _SHARD_BYTES:
            raise ValueError(f"it must state its length in its first frame, at most {_SHARD_BYTES:,} bytes")
        return io.BytesIO(zstandard.ZstdDecompressor().decompress(packed))
    except zstandard.ZstdError as error:
        raise ValueError(f"not Zstandard data ({error})") from error


def _read_shard(path: Path, inputs: tuple[Tensor, ...]) -> dict[str, np.ndarray]:
    try:
        if path.suffix == ".npy":
            if len(inputs) != 1:
                raise RequestError(
                    "inputs_mismatch", f"{path.name} holds one array, the model has {len(inputs)} inputs: use .npz"
                )
            with path.open("rb") as plain:
                _check_header(plain, path.name, inputs[0])
            return {inputs[0].name: np.load(path, mmap_mode="r", allow_pickle=False, max_header_size=_HEADER_BYTES)}
        with _open_shard(path) as file, zipfile.ZipFile(file) as archive:
            arrays = {tensor.name: _read_member(archive, path.name, tensor) for tensor in inputs}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise RequestError("inputs_unreadable", f"{path.name}: {error}", scene_fault=True) from error
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise RequestError(
            "inputs_mismatch",
            f"{path.name}: first axes differ: {lengths}; give each input as many items",
            scene_fault=True,
        )
    return arrays


def _read_member(archive: zipfile.ZipFile, file: str, tensor: Tensor) -> np.ndarray:
    member = f"{tensor.name}.npy"
    if member not in archive.namelist():
        names = [name.removesuffix(".npy") for name in archive.namelist()][:10]
        message = f"{file} has no array {tensor.name!r}, only {names}; add it"
        raise RequestError("inputs_mismatch", message, scene_fault=True)
    with archive.open(member) as stream:
        _check_header(stream, f"{file}: {tensor.name}", tensor)
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False, max_header_size=_HEADER_BYTES)


def _check_header(stream: Any, where: str, tensor: Tensor) -> None:
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(stream, max_header_size=_HEADER_BYTES)
    if dtype.newbyteorder("<") != tensor.dtype:
        message = f"{where} is {dtype}, the model takes {tensor.dtype.name}"
        raise RequestError("inputs_mismatch", message, scene_fault=True)
    if not shape or tuple(shape[1:]) != tensor.shape:
        message = f"{where} has shape {list(shape)}, items must be {list(tensor.shape)}"
        raise RequestError("inputs_mismatch", message, scene_fault=True)
    if shape[0] * max(1, tensor.item_bytes) > _SHARD_BYTES:
        message = f"{where} holds {shape[0]} items; at most {_SHARD_BYTES // max(1, tensor.item_bytes)} fit a shard"
        raise RequestError("inputs_too_large", message, scene_fault=True)


def shard_shapes(path: Path, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The shapes (first axis included) that a shard's headers state, for the inputs of a model with dynamic axes."""
    found: dict[str, tuple[int, ...]] = {}
    try:
        if path.suffix == ".npy":
            with path.open("rb") as plain:
                found[names[0]] = _header_shape(plain)
        else:
            with _open_shard(path) as file, zipfile.ZipFile(file) as archive:
                for name in names:
                    if f"{name}.npy" in archive.namelist():
                        with archive.open(f"{name}.npy") as stream:
                            found[name] = _header_shape(stream)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise RequestError("inputs_unreadable", f"{path.name}: {error}", scene_fault=True) from error
    return found


def _header_shape(stream: Any) -> tuple[int, ...]:
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return tuple(reader(stream, max_header_size=_HEADER_BYTES)[0])
