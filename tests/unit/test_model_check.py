"""Models made to hurt are refused before a runtime sees them, each with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jobs.model_check import ModelLimits, ModelRefused, check_model


def graph_of(nodes: list[Any], weights: tuple[Any, ...] = (), name: str = "g") -> onnx.GraphProto:
    return helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])],
        list(weights),
    )


def saved(
    folder: Path,
    nodes: list[Any],
    weights: tuple[Any, ...] = (),
    *,
    opset: int = 17,
    functions: tuple[Any, ...] = (),
    **domains: int,
) -> Path:
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, v) for d, v in domains.items())]
    model = helper.make_model(graph_of(nodes, weights), opset_imports=opsets, ir_version=9, functions=list(functions))
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def refused(path: Path, limits: ModelLimits | None = None) -> ModelRefused:
    with pytest.raises(ModelRefused) as caught:
        check_model(path, limits)
    assert len(str(caught.value)) < 600
    return caught.value


def external(location: str, **extra: object) -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **extra}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    return tensor


ADD = [helper.make_node("Add", ["x", "w"], ["y"])]


def test_a_plain_model_passes(tmp_path: Path) -> None:
    report = check_model(saved(tmp_path, ADD, (numpy_helper.from_array(np.ones(4, np.float32), "w"),)))
    assert (report.opset, report.nodes, report.weights_bytes, report.batch_bound, report.warnings) == (
        17,
        1,
        16,
        (),
        (),
    )


@pytest.mark.parametrize("data", [b"", b"not a model", b"\xff" * 1000, b"\x08\x09"])
def test_what_is_no_model(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    assert refused(tmp_path / "m.onnx").code == "model_unreadable"
    assert refused(tmp_path / "missing.onnx").code == "model_missing"


@pytest.mark.parametrize(
    "location", ["../key", "/etc/passwd", "a/../../key", "..", "", "a\\..\\key", "link", "folder_link/w"]
)
def test_external_data_stays_beside_the_model(tmp_path: Path, location: str) -> None:
    (tmp_path / "key").write_bytes(bytes(16))
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "key")
    (folder / "folder_link").symlink_to(tmp_path)
    assert refused(saved(folder, ADD, (external(location),))).code == "model_external_data"


def test_external_data_must_be_there_and_long_enough(tmp_path: Path) -> None:
    assert refused(saved(tmp_path, ADD, (external("w.bin"),))).code == "model_external_missing"
    (tmp_path / "w.bin").write_bytes(bytes(16))
    assert check_model(saved(tmp_path, ADD, (external("w.bin"),))).weights_bytes == 16
    for extra in ({"offset": 8}, {"length": 1 << 60}, {"offset": -1}, {"offset": "x"}):
        assert refused(saved(tmp_path, ADD, (external("w.bin", **extra),))).code == "model_external_data"


def test_external_data_hidden_in_a_branch_or_an_attribute_is_seen(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["b"])],
        "body",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
        [external("../key")],
    )
    branch = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    condition = numpy_helper.from_array(np.array(True), "c")
    assert refused(saved(tmp_path, [branch], (condition,))).code == "model_external_data"
    constant = helper.make_node("Constant", [], ["y"], value=external("/etc/passwd"))
    assert refused(saved(tmp_path, [constant])).code == "model_external_data"


@pytest.mark.parametrize("shape", [[1 << 28, 8], [1 << 40]])
def test_a_bomb_of_constants_is_refused_before_it_goes_off(tmp_path: Path, shape: list[int]) -> None:
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["c"]), helper.make_node("ReduceSum", ["c"], ["t"], keepdims=0)]
    nodes.append(helper.make_node("Add", ["x", "t"], ["y"]))
    path = saved(tmp_path, nodes, (numpy_helper.from_array(np.array(shape, np.int64), "s"),))
    assert path.stat().st_size < 300
    assert refused(path).code == "model_memory"


def test_many_chained_functions_are_refused(tmp_path: Path) -> None:
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]

    def chain(count: int, last: str = "Relu") -> list[Any]:
        made = []
        for i in range(count):
            callee = (f"f{i + 1}", "own") if i + 1 < count else (last, "own" if last.startswith("f") else "")
            body = [helper.make_node(callee[0], ["a"], ["b"], domain=callee[1])]
            made.append(helper.make_function("own", f"f{i}", ["a"], ["b"], body, opset))
        return made

    call = [helper.make_node("f0", ["x"], ["y"], domain="own")]
    check_model(saved(tmp_path, call, functions=tuple(chain(5)), own=1))
    assert refused(saved(tmp_path, call, functions=tuple(chain(3000)), own=1)).code == "model_functions"
    assert "100 deep" in str(refused(saved(tmp_path, call, functions=tuple(chain(100)), own=1)))
    assert "themselves" in str(refused(saved(tmp_path, call, functions=tuple(chain(3, last="f0")), own=1)))


def loop(trips: str) -> Any:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Sin", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    return helper.make_node("Loop", [trips, "yes", "x"], ["y"], body=body)


def test_loops_need_a_bound(tmp_path: Path) -> None:
    yes = numpy_helper.from_array(np.array(True), "yes")

    def trips(count: int) -> Any:
        return numpy_helper.from_array(np.array(count, np.int64), "m")

    check_model(saved(tmp_path, [loop("m")], (yes, trips(100))))
    assert refused(saved(tmp_path, [loop("m")], (yes, trips(2**62)))).code == "model_unbounded_loop"
    assert refused(saved(tmp_path, [loop("")], (yes,))).code == "model_unbounded_loop"
    dynamic = [helper.make_node("Size", ["x"], ["m"]), loop("m")]
    assert "deadline" in check_model(saved(tmp_path, dynamic, (yes,))).warnings[0]


def test_foreign_random_and_ancient_operators(tmp_path: Path) -> None:
    assert (
        refused(saved(tmp_path, [helper.make_node("Run", ["x"], ["y"], domain="evil")], evil=1)).code == "model_domain"
    )
    assert refused(saved(tmp_path, [helper.make_node("NoSuchThing", ["x"], ["y"])])).code == "model_domain"
    assert refused(saved(tmp_path, [helper.make_node("RandomNormalLike", ["x"], ["y"])])).code == "model_random"
    assert refused(saved(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], opset=3)).code == "model_opset"


def test_operators_that_mix_a_batch_are_reported(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    assert check_model(saved(tmp_path, nodes)).batch_bound == ("DynamicQuantizeLinear",)


def test_sizes_are_limited(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x" if i == 0 else f"v{i}"], [f"v{i + 1}"]) for i in range(20)]
    path = saved(tmp_path, [*nodes, helper.make_node("Relu", ["v20"], ["y"])])
    check_model(path)
    assert refused(path, ModelLimits(nodes=10)).code == "model_too_large"
    assert refused(path, ModelLimits(file_bytes=10)).code == "model_too_large"
    assert refused(path, ModelLimits(value_bytes=16)).code == "model_memory"
