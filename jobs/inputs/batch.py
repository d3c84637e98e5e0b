"""A batch of items: arrays whose first axis is the item, read in slices so that it need not fit into memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadInput
from jobs.inputs.signature import ModelInput

__all__ = ["ArrayBatch", "Batch", "fit_arrays"]


class Batch(Protocol):
    """Items that fit a model."""

    @property
    def items(self) -> int: ...

    @property
    def item_bytes(self) -> int: ...

    @property
    def names(self) -> tuple[str, ...] | None:
        """What each item is called, in order; None where they are only counted."""

    def rows(self, first: int, last: int) -> dict[str, NDArray[Any]]:
        """Items first <= i < last, by input. Raises BadInput for what turns out unreadable, and for NaN."""


class ArrayBatch:
    """A batch of arrays, by the model's input."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], where: str, names: tuple[str, ...] | None = None) -> None:
        self._arrays, self._where, self.names = dict(arrays), where, names
        self.items = len(next(iter(self._arrays.values())))
        self.item_bytes = sum(array.nbytes // self.items for array in self._arrays.values())

    def rows(self, first: int, last: int) -> dict[str, NDArray[Any]]:
        out = {}
        for name, array in self._arrays.items():
            part = np.ascontiguousarray(array[first:last])
            if part.dtype.kind == "f" and np.isnan(part).any():
                item = first + int(np.isnan(part.reshape(len(part), -1)).any(axis=1).argmax())
                raise BadInput(f"{self._where}: input {name!r} holds NaN, first in item {item}; replace it by numbers")
            out[name] = part
        return out


def fit_arrays(
    arrays: Mapping[str, NDArray[Any]],
    inputs: tuple[ModelInput, ...] | None,
    where: str,
    names: tuple[str, ...] | None = None,
) -> ArrayBatch:
    """The arrays as a batch for a model with these inputs (None: unknown). An array named "" goes to the only input.
    `names` says what the items are called.

    Raises BadInput that names the input whose name, dtype, shape or number of items does not fit.
    """
    if not arrays:
        raise BadInput(f"{where}: holds no arrays; save one for each input of the model")
    arrays = _named(arrays, inputs, where)
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise BadInput(f"{where}: input {name!r} is {array.dtype}, not numbers; convert it before sending")
        if array.ndim == 0:
            raise BadInput(f"{where}: input {name!r} is a single value; its first axis must be the items")
    for one in inputs or ():
        _fit_one(arrays[one.name], one, where)
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {count}" for name, count in lengths.items())
        raise BadInput(f"{where}: the inputs differ in items: {told}; give each as many")
    if 0 in lengths.values():
        raise BadInput(f"{where}: holds zero items; give at least one")
    little = {name: array.astype(array.dtype.newbyteorder("<"), copy=False) for name, array in arrays.items()}
    if names is not None and {len(names)} != set(lengths.values()):
        raise BadInput(f"{where}: has {len(names)} names for {max(lengths.values())} items; give each item one")
    return ArrayBatch(little, where, names)


def _named(
    arrays: Mapping[str, NDArray[Any]], inputs: tuple[ModelInput, ...] | None, where: str
) -> dict[str, NDArray[Any]]:
    if inputs is None:
        if "" in arrays:
            raise BadInput(
                f"{where}: whose input it is cannot be told without the onnx package; save an .npz with the "
                "input's name, or `pip install 'kilnet[node]'`"
            )
        return dict(arrays)
    wanted = [one.name for one in inputs]
    if set(arrays) == {""} and len(wanted) == 1:
        return {wanted[0]: arrays[""]}
    if "" in arrays:
        raise BadInput(f"{where}: is one array, and the model has {len(wanted)} inputs ({_list(wanted)}); use .npz")
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise BadInput(f"{where}: lacks the model's input {_list(missing)}, and holds {_list(list(arrays))}; add it")
    unknown = [name for name in arrays if name not in wanted]
    if unknown:
        raise BadInput(f"{where}: {_list(unknown)} is no input of the model, which takes {_list(wanted)}; leave it out")
    return {name: arrays[name] for name in wanted}


def _fit_one(array: NDArray[Any], one: ModelInput, where: str) -> None:
    if array.dtype.newbyteorder("=") != one.dtype:
        raise BadInput(
            f"{where}: input {one.name!r} is {array.dtype.name}, the model takes {one.dtype.name}; "
            f"convert it with .astype({one.dtype.name!r})"
        )
    have = array.shape[1:]
    fits = len(have) == len(one.shape) and all(b in (None, a) for a, b in zip(have, one.shape, strict=True))
    if not fits or 0 in have:
        raise BadInput(
            f"{where}: input {one.name!r} holds items of {list(have)}, the model takes {one}; the first axis "
            f"({len(array)}) is the items"
        )


def _list(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
