"""Cheaper copies of a model, as a node that wants to be paid for less work would make them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

__all__ = [
    "CHEAPER", "bfloat16", "cheapened", "cheaper_weights", "float16", "float16_weights", "half_rank", "int8",
    "int8_weights", "pruned", "pruned_weights",
]  # fmt: skip

_WEIGHTED = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": -1}
"""Operators whose second input is quantised in practice, and that input's axis of output channels. Biases and the
statistics of normalisations stay as they are: rounding those would break the model rather than cheapen it.
"""
Change = Callable[[np.ndarray, int], np.ndarray]
"""(weights, axis of output channels) -> other weights of the same shape, float32."""


def int8(weights: np.ndarray, axis: int) -> np.ndarray:
    """Rounded to one of 255 levels of the output channel, as weight-only int8 quantisation does."""
    others = tuple(a for a in range(weights.ndim) if a != axis % weights.ndim)
    step = np.maximum(np.abs(weights).max(axis=others, keepdims=True), 1e-30) / 127
    return np.asarray(np.rint(weights / step) * step, np.float32)


def float16(weights: np.ndarray, _axis: int) -> np.ndarray:
    """Through float16 and back."""
    return weights.astype(np.float16).astype(np.float32)


def bfloat16(weights: np.ndarray, _axis: int) -> np.ndarray:
    """Through bfloat16 (rounded to nearest, ties to even) and back."""
    bits = np.ascontiguousarray(weights, np.float32).view(np.uint32)
    bits = bits + 0x7FFF + ((bits >> 16) & 1)
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


def pruned(share: float) -> Change:
    """The smallest `share` of each tensor's weights set to zero."""
    return lambda weights, _axis: np.where(
        np.abs(weights) < np.quantile(np.abs(weights), share), np.float32(0), weights
    )


def half_rank(weights: np.ndarray, axis: int) -> np.ndarray:
    """The best approximation of half the rank: a smaller model of the same shape."""
    moved = np.moveaxis(weights, axis, 0)
    flat = moved.reshape(moved.shape[0], -1).astype(np.float64)
    rank = max(1, min(flat.shape) // 2)
    left, values, right = np.linalg.svd(flat, full_matrices=False)
    low = (left[:, :rank] * values[:rank]) @ right[:rank]
    return np.ascontiguousarray(np.moveaxis(low.reshape(moved.shape), 0, axis), np.float32)


def cheaper_weights(model: ModelProto, change: Change) -> dict[str, np.ndarray]:
    """The float32 weight matrices of a plain or an instrumented model, changed, by the name of their value."""
    channels = {n.input[1]: _WEIGHTED[n.op_type] for n in model.graph.node if n.op_type in _WEIGHTED}
    tensors = _constants(model)
    return {
        name: change(numpy_helper.to_array(tensors[name]), axis).astype(np.float32)
        for name, axis in channels.items()
        if name in tensors and tensors[name].data_type == onnx.TensorProto.FLOAT and len(tensors[name].dims) >= 2
    }


def cheapened(model: ModelProto, change: Change) -> ModelProto:
    """A copy of a plain or an instrumented model with its float32 weight matrices changed; names and shapes stay."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model)
    tensors = _constants(proto)
    for name, weights in cheaper_weights(proto, change).items():
        tensors[name].CopyFrom(numpy_helper.from_array(weights, tensors[name].name))
    return proto


def _constants(model: ModelProto) -> dict[str, TensorProto]:
    """Stored tensors by the name of their value: initializers, and what Constant nodes hold."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            tensors.update((node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value")
    return tensors


def _file(model: Path, out: Path, change: Change) -> Path:
    onnx.save(cheapened(onnx.load(str(model)), change), str(out))
    return out


def int8_weights(model: Path, out: Path) -> Path:
    return _file(model, out, int8)


def float16_weights(model: Path, out: Path) -> Path:
    return _file(model, out, float16)


def pruned_weights(model: Path, out: Path, share: float = 0.05) -> Path:
    return _file(model, out, pruned(share))


CHEAPER: dict[str, Callable[[Path, Path], Path]] = {
    "fp16-weights": float16_weights,
    "bf16-weights": lambda model, out: _file(model, out, bfloat16),
    "int8-weights": int8_weights,
    "pruned-5": pruned_weights,
    "pruned-30": lambda model, out: pruned_weights(model, out, 0.3),
    "smaller-model": lambda model, out: _file(model, out, half_rank),
}
"""The cheats that classes are calibrated against: (model file, new file) -> the new file."""
