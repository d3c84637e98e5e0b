"""Builds canary.onnx: `python node/canary/build_model.py`. Run by developers only; the result is committed.

A small image classifier with the operators whose kernels differ between machines: convolutions, matrix products, layer
normalisation, erf, softmax. Its weights come from SHAKE-256, so that they are the same wherever it is built.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
TAP = "logits"
OPSET = 17


def weights(name: str, *shape: int) -> onnx.TensorProto:
    """Uniform in +-sqrt(3 / fan-in)."""
    raw = hashlib.shake_256(f"kilnet/canary/{name}".encode()).digest(4 * int(np.prod(shape)))
    unit = np.frombuffer(raw, "<u4").astype(np.float64) / 2**31 - 1
    fan_in = int(np.prod(shape[1:])) if len(shape) == 4 else shape[0]
    values: NDArray[np.float32] = (unit * np.sqrt(3 / fan_in)).astype(np.float32).reshape(shape)
    return numpy_helper.from_array(values, name)


def build() -> onnx.ModelProto:
    """The model, already with its tap as an output."""
    parts = [
        weights("c1", 16, 3, 3, 3), weights("c2", 32, 16, 3, 3), weights("c3", 32, 32, 3, 3), weights("m1", 32, 128),
        weights("m2", 128, 32),
    ]  # fmt: skip
    constants = {"scale": np.full(128, 1.5), "bias": np.full(128, 0.1), "root": np.array(2**0.5), "half": np.array(0.5)}
    constants |= {"one": np.array(1.0), "range": np.array(255.0)}
    parts += [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    node = helper.make_node
    same = [1, 1, 1, 1]
    nodes = [
        node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        node("Div", ["float", "range"], ["x0"]),
        node("Conv", ["x0", "c1"], ["x1"], pads=same),
        node("Relu", ["x1"], ["x2"]),
        node("Conv", ["x2", "c2"], ["x3"], strides=[2, 2], pads=same),
        node("Relu", ["x3"], ["x4"]),
        node("Conv", ["x4", "c3"], ["x5"], pads=same),
        node("Sigmoid", ["x5"], ["gate"]),
        node("Mul", ["x5", "gate"], ["x6"]),
        node("GlobalAveragePool", ["x6"], ["x7"]),
        node("Flatten", ["x7"], ["x8"]),
        node("MatMul", ["x8", "m1"], ["x9"]),
        node("LayerNormalization", ["x9", "scale", "bias"], ["x10"]),
        node("Div", ["x10", "root"], ["e0"]),
        node("Erf", ["e0"], ["e1"]),
        node("Add", ["e1", "one"], ["e2"]),
        node("Mul", ["x10", "e2"], ["e3"]),
        node("Mul", ["e3", "half"], ["x11"]),
        node("MatMul", ["x11", "m2"], [TAP]),
        node("Softmax", [TAP], ["classes"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "canary",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["batch", 32]),
            helper.make_tensor_value_info(TAP, TensorProto.FLOAT, ["batch", 32]),
        ],
        parts,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="kilnet")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    target = Path(__file__).resolve().parent / "canary.onnx"
    target.write_bytes(build().SerializeToString(deterministic=True))
