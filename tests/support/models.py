"""Small models for whole runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["matte"]


def matte(path: Path) -> None:
    """Pictures in, pictures out: a 3x3 filter and a sigmoid, float 0..1."""
    weights = np.random.default_rng(3).standard_normal((3, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "W"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["c"], ["alpha"]),
    ]
    graph = helper.make_graph(
        nodes, "matte", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [numpy_helper.from_array(weights, "W")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
