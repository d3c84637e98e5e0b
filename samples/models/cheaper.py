"""Cheaper copies of a model, as a node that wants to be paid for less work would make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["float16_weights", "int8_weights", "pruned_weights"]

_SMALLEST = 256  # elements: biases and scalars stay as they are, as in real quantisation


def int8_weights(model: Path, out: Path) -> Path:
    """Every weight rounded to one of 255 levels of its tensor, the values that an int8 kernel would compute with."""

    def rounded(weights: np.ndarray) -> np.ndarray:
        step = np.float32(max(float(np.abs(weights).max()), 1e-30) / 127)
        return np.asarray(np.rint(weights / step) * step, np.float32)

    return _changed(model, out, rounded)


def float16_weights(model: Path, out: Path) -> Path:
    """Every weight through float16 and back."""
    return _changed(model, out, lambda weights: weights.astype(np.float16).astype(np.float32))


def pruned_weights(model: Path, out: Path, share: float = 0.05) -> Path:
    """The smallest `share` of each tensor's weights set to zero."""

    def pruned(weights: np.ndarray) -> np.ndarray:
        return np.where(np.abs(weights) < np.quantile(np.abs(weights), share), np.float32(0), weights)

    return _changed(model, out, pruned)


def _changed(model: Path, out: Path, change: object) -> Path:
    """A copy with every large float32 weight changed, of a plain or an instrumented model; names and shapes stay."""
    assert callable(change)
    proto = onnx.load(str(model))
    tensors = list(proto.graph.initializer)
    for node in proto.graph.node:
        if node.op_type == "Constant":
            tensors += [attribute.t for attribute in node.attribute if attribute.name == "value"]
    for tensor in tensors:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) >= _SMALLEST:
            weights = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(change(weights).astype(np.float32), tensor.name))
    onnx.save(proto, str(out))
    return out
