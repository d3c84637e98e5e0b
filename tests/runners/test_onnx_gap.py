"""Calibration of a model at admission: the gap between honest variants and cheats, and the refusal without one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from node.runner_process import RunnerError
from node.sandbox import GIB, sandbox_available
from samples.models.build import build_batch, find_model
from tests.runners.test_onnx_runner import Bench

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if not sandbox_available().available:
        pytest.skip("no sandbox here")
    made = Bench(tmp_path_factory.mktemp("gap"), 4 * GIB)
    yield made
    made.runner.stop()


def dense(weights: np.ndarray) -> onnx.ModelProto:
    """y = relu(x W), items of 64 values."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 64]) for name in "xy")
    graph = helper.make_graph(nodes, "dense", [x], [y], [numpy_helper.from_array(weights.astype(np.float32), "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_a_real_model_is_told_apart_from_its_cheaper_copies(bench: Bench) -> None:
    """Over a real model and real items the gap is far above ten, and the limits lie inside it."""
    (bench.assets / "text.onnx").write_bytes(find_model().read_bytes())
    np.savez(bench.assets / "lines.npz", x=build_batch(8)[0])
    answer = bench.ask("describe", model="/job/text.onnx", inputs="/job/lines.npz", micro_batch=4)
    found = answer["contract"]["extra"]["calibration"]
    assert found["gap"] >= 20 and found["items"] == 8
    assert found["honest"] <= found["accept"] < found["reject"] < min(found["cheats"].values())
    assert set(found["cheats"]) == {"fp16-weights", "bf16-weights", "int8-weights", "pruned-5"}


def test_a_model_whose_cheats_cannot_be_told_is_refused_with_the_reason(bench: Bench) -> None:
    """Weights that half precision holds all but exactly: whoever runs it in half precision is within rounding."""
    weights = np.random.default_rng(1).standard_normal((64, 64)).astype(np.float16).astype(np.float32)
    onnx.save(dense(weights * np.float32(1 + 2e-7)), str(bench.assets / "coarse.onnx"))
    with pytest.raises(RunnerError, match="10 times are needed") as caught:
        bench.ask("describe", model="/job/coarse.onnx")
    assert caught.value.code == "gap_too_small" and caught.value.scene_fault


def test_a_model_without_weights_is_not_calibrated_and_says_so(bench: Bench) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("Mul", ["h", "h"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 64]) for name in "xy")
    graph = helper.make_graph(nodes, "plain", [x], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        str(bench.assets / "plain.onnx"),
    )
    answer = bench.ask("describe", model="/job/plain.onnx")
    assert "calibration" not in answer["contract"]["extra"]
    assert any("not calibrated" in warning for warning in answer["warnings"])
