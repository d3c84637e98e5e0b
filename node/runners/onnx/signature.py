"""A model's inputs and outputs: as declared, and with every axis known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jobs.model_check import ModelReport

from .arrays import Tensor, shard_shapes
from .fingerprint import FINGERPRINT_BYTES
from .session import run
from .wire import RequestError

__all__ = ["Axis", "chosen_outputs", "concrete_inputs", "declared_inputs", "random_batch", "seen_outputs"]

_DTYPES = {
    **{
        f"tensor({name})": name
        for name in ("double", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
    },
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
}
_MAX_ITEM_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Axis:
    """A model's input as it is declared: `batch` is the fixed first axis, or None where it is free."""

    name: str
    dtype: np.dtype[Any]
    batch: int | None
    shape: tuple[int | None, ...]

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "dtype": self.dtype.name, "shape": list(self.shape), "batch": self.batch}


def declared_inputs(session: Any, report: ModelReport) -> list[Axis]:
    """What the session takes. Raises RequestError `model_inputs` where an input cannot be cut into items."""
    overridable = {tensor.name for tensor in report.model.graph.initializer}
    axes = []
    for value in session.get_inputs():
        if value.name in overridable:
            continue
        dtype = _DTYPES.get(value.type)
        if dtype is None:
            raise RequestError(
                "model_inputs", f"input {value.name!r} is {value.type}: only number tensors are run", scene_fault=True
            )
        if not value.shape:
            raise RequestError(
                "model_inputs", f"input {value.name!r} has no axis for items: make it a constant", scene_fault=True
            )
        dims = [dim if isinstance(dim, int) and dim > 0 else None for dim in value.shape]
        axes.append(Axis(value.name, np.dtype(dtype), dims[0], tuple(dims[1:])))
    if not axes:
        raise RequestError("model_inputs", "the model has no inputs: export it with some", scene_fault=True)
    if len({axis.batch for axis in axes if axis.batch is not None}) > 1:
        sizes = {axis.name: axis.batch for axis in axes}
        raise RequestError(
            "model_inputs",
            f"the first axes of the inputs differ: {sizes}; make the items the first axis of each",
            scene_fault=True,
        )
    return axes


def concrete_inputs(axes: list[Axis], files: object) -> tuple[Tensor, ...]:
    """The inputs with every axis known: from the model, else from the headers of the first shard."""
    free = [axis.name for axis in axes if None in axis.shape]
    stated: dict[str, tuple[int, ...]] = {}
    if free:
        first = files if isinstance(files, str) else files[0]["path"] if isinstance(files, list) and files else None
        if first is None:
            raise RequestError("inputs_needed", f"inputs {free} have free axes: describe needs the items too")
        stated = shard_shapes(Path(first), [axis.name for axis in axes])
    found = []
    for axis in axes:
        shape = axis.shape
        if None in shape:
            stated_shape = stated.get(axis.name, ())[1:]
            fits = len(stated_shape) == len(shape) and all(
                a in (None, b) for a, b in zip(shape, stated_shape, strict=True)
            )
            if not fits:
                told = f"{axis.name!r} takes items of {_free(shape)}, the inputs hold {list(stated_shape)}"
                message = f"{told}; change the inputs"
                raise RequestError("inputs_mismatch", message, scene_fault=True)
            shape = stated_shape
        found.append(Tensor(axis.name, axis.dtype.newbyteorder("<"), tuple(int(dim or 0) for dim in shape)))
    return tuple(found)


def chosen_outputs(session: Any, names: object) -> list[Any]:
    """The session's outputs of these names, in their order; all where none are named.

    Raises RequestError `output_unknown`, `bad_request`."""
    values = {value.name: value for value in session.get_outputs()}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError("bad_request", "outputs must be a list of names")
    for name in names:
        if name not in values:
            raise RequestError(
                "output_unknown",
                f"the model has no output {name[:100]!r}; choose of {list(values)[:20]}",
                scene_fault=True,
            )
    return [values[name] for name in names] or list(values.values())


def seen_outputs(
    session: Any, values: list[Any], inputs: tuple[Tensor, ...], batch: int, report: ModelReport, options: Any
) -> tuple[Tensor, ...]:
    """The shapes of these outputs, seen on two very different batches."""
    for value in values:
        if value.type not in _DTYPES:
            raise RequestError(
                "model_outputs",
                f"output {value.name!r} is {value.type}: only number tensors are proven",
                scene_fault=True,
            )
    names = [value.name for value in values]
    seen = [
        run(session, names, feed, options)
        for feed in (random_batch(inputs, batch, 1), random_batch(inputs, batch, None))
    ]
    found = []
    for value, one, other in zip(values, *seen, strict=True):
        first_axis = one.shape[0] if one.ndim else None
        if one.shape != other.shape or first_axis != batch:
            because = f" ({', '.join(report.data_shaped)})" if report.data_shaped else ""
            raise RequestError(
                "output_shape",
                f"output {value.name!r} has shape {list(one.shape)} for {batch} items, {list(other.shape)} for {batch} "
                f"others{because}: each item must give a result of one fixed shape; leave the output out or pad it",
                scene_fault=True,
            )
        dtype = np.dtype(_DTYPES[value.type]).newbyteorder("<")
        found.append(Tensor(value.name, dtype, tuple(one.shape[1:])))
    total = sum(tensor.item_bytes for tensor in found)
    if total > _MAX_ITEM_BYTES - FINGERPRINT_BYTES:
        raise RequestError(
            "model_outputs", f"one item gives {total:,} bytes, at most {_MAX_ITEM_BYTES:,}", scene_fault=True
        )
    return tuple(found)


def random_batch(inputs: tuple[Tensor, ...], rows: int, seed: int | None) -> dict[str, np.ndarray]:
    """Values that models take: floats between 0 and 1, integers 0 and 1 (also good as tokens). None: all zeros."""
    rng = np.random.default_rng(seed)
    feed = {}
    for tensor in inputs:
        shape = (rows, *tensor.shape)
        if seed is None:
            feed[tensor.name] = np.zeros(shape, tensor.dtype)
        elif tensor.dtype.kind == "f":
            feed[tensor.name] = rng.random(shape, np.float32).astype(tensor.dtype)
        else:
            feed[tensor.name] = rng.integers(0, 2, shape).astype(tensor.dtype)
    return feed


def _free(shape: tuple[int | None, ...]) -> list[int | str]:
    return ["any" if dim is None else dim for dim in shape]
