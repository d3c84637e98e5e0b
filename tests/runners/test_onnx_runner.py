"""The inference runner in its real sandbox, on the sample model and on models made to hurt."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import zstandard
from onnx import TensorProto, helper, numpy_helper

from jobs.contract import InferContract
from node.runner_process import (
    RunnerDeadlineExceeded,
    RunnerError,
    RunnerFailure,
    RunnerOutOfMemory,
    RunnerProcess,
    read_result,
)
from node.runner_programs import ONNX, RunnerSettings, runner_spec
from node.runners.onnx.cheaper import float16_weights, int8_weights, pruned_weights
from node.sandbox import GIB, MIB, sandbox_available
from samples.models.build import build_batch, find_model, read_text

pytestmark = pytest.mark.timeout(120)
ITEMS = 10
CANARY = Path(__file__).parents[2] / "node" / "canary" / "canary.onnx"


class Bench:
    """A runner with its two folders."""

    def __init__(self, folder: Path, memory_bytes: int, *, threads: int = 2) -> None:
        self.assets, self.scratch = folder / "assets", folder / "scratch"
        for path in (self.assets, self.scratch):
            path.mkdir()
        settings = RunnerSettings(threads=threads, memory_bytes=memory_bytes)
        self.runner = RunnerProcess(runner_spec(settings, ONNX, scratch=self.scratch, folder=self.assets))
        self.runner.start()

    def ask(self, op: str, **payload: object) -> dict[str, Any]:
        return self.runner.request(op, payload, deadline=60)

    def result(self, contract: dict[str, Any], count: int) -> np.ndarray:
        """uint8 (count, item_bytes)."""
        data = read_result(self.scratch, "result", size=count * contract["item_bytes"])
        return np.frombuffer(data, np.uint8).reshape(count, -1)


@pytest.fixture(scope="module")
def _works() -> None:
    if not sandbox_available().available:
        pytest.skip("no sandbox here")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, _works: None) -> Iterator[tuple[Bench, dict[str, Any]]]:
    """A bench with the sample model instrumented as `reference.onnx`, its items, and what describe said."""
    try:
        model = find_model()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    bench = Bench(tmp_path_factory.mktemp("sample"), 2 * GIB)
    shutil.copyfile(model, bench.assets / "model.onnx")
    items, _ = build_batch(ITEMS)
    np.savez(bench.assets / "a.npz", x=items[:6])
    np.savez(bench.assets / "b.npz", x=items[6:])
    described = bench.ask("describe", model="/job/model.onnx", inputs=SHARDS, fingerprint_seed=7)
    bench.ask("instrument", model="/job/model.onnx", tap=described["contract"]["tap"], out="/scratch/reference.onnx")
    shutil.copyfile(bench.scratch / "reference.onnx", bench.assets / "reference.onnx")
    yield bench, described
    bench.runner.stop(grace=0)


SHARDS = [{"path": "/job/a.npz", "first": 0}, {"path": "/job/b.npz", "first": 6}]


def infer(bench: Bench, contract: dict[str, Any], model: str = "reference.onnx", **payload: object) -> np.ndarray:
    op = "infer_items" if "items" in payload else "infer"
    payload = {"first": 0, "count": ITEMS, **payload} if op == "infer" else payload
    payload = {"inputs": SHARDS, **payload}
    done = bench.ask(op, model=f"/job/{model}", contract=contract, out="/scratch/result", **payload)
    return bench.result(contract, done["items"])


def test_the_description_is_a_contract_of_the_canonical_profile(sample: tuple[Bench, dict[str, Any]]) -> None:
    bench, described = sample
    contract = InferContract.model_validate(described["contract"])
    assert (contract.providers, contract.tf32, contract.optimization) == (("CPUExecutionProvider",), False, "all")
    assert contract.micro_batch >= 2
    assert contract.outputs[0].shape == (40, 6625)
    assert contract.tap == "linear_43.tmp_1"  # what feeds the softmax
    assert described["items"] == ITEMS
    assert 0 < described["item_seconds"] <= described["cell_seconds"] < 5
    assert bench.runner.ready["cpu"] in {"avx512", "avx2", "sse", "neon", "unknown"}


def test_what_is_known_of_a_model_is_not_measured_again(sample: tuple[Bench, dict[str, Any]]) -> None:
    """The same contract and costs as were handed in, which no second measurement would give; where what is known is of
    other inputs, or its tap does not do, everything is measured anew."""
    bench, _ = sample
    shutil.copyfile(CANARY, bench.assets / "small.onnx")

    def again(known: dict[str, Any] | None) -> dict[str, Any]:
        return bench.ask("describe", model="/job/small.onnx", fingerprint_seed=7, known=known)

    described = again(None)
    known = {**described["known"], "batch_seconds": {"2": 2.0, "4": 3.0, "8": 8.0}}
    quick = again(known)
    assert quick["cell_seconds"] == 3.0 and quick["known"] == known
    same = ("tap", "outputs", "inputs", "extra", "item_bytes")
    assert [quick["contract"][name] for name in same] == [described["contract"][name] for name in same]
    for other in ({**known, "inputs": []}, {**known, "tap": "no such value"}, {**known, "batch_seconds": {"2": 1.0}}):
        anew = again(other)
        assert anew["known"]["tap"] == described["contract"]["tap"] and 0 < anew["cell_seconds"] < 2.0


def test_shards_may_be_compressed_and_may_come_late(sample: tuple[Bench, dict[str, Any]]) -> None:
    """The runner begins with what is there and waits for the rest."""
    bench, described = sample
    straight = infer(bench, described["contract"])
    for name in ("a", "b"):
        packed = zstandard.compress((bench.assets / f"{name}.npz").read_bytes())
        (bench.assets / f"{name}.npz.packed").write_bytes(packed)
    late = threading.Timer(1.0, lambda: (bench.assets / "b.npz.packed").rename(bench.assets / "b.npz.zst"))
    (bench.assets / "a.npz.packed").rename(bench.assets / "a.npz.zst")
    late.start()
    files = [{**shard, "path": f"{shard['path']}.zst"} for shard in SHARDS]
    np.testing.assert_array_equal(infer(bench, described["contract"], inputs=files), straight)
    assert (bench.assets / "b.npz.zst").exists()


@pytest.mark.parametrize("content", [b"no", b"\x28\xb5\x2f\xfd\x04\x58\x01\x00\x00\x99\xe9\xd8\x51", b""])
def test_what_is_not_compressed_right_is_refused(sample: tuple[Bench, dict[str, Any]], content: bytes) -> None:
    """Not Zstandard, a frame that does not say how long it is, nothing."""
    bench, described = sample
    (bench.assets / "bad.npz.zst").write_bytes(content)
    with pytest.raises(RunnerError, match=r"bad\.npz\.zst"):
        infer(bench, described["contract"], inputs=[{"path": "/job/bad.npz.zst", "first": 0}])


def test_only_the_outputs_asked_for_are_in_the_contract(sample: tuple[Bench, dict[str, Any]]) -> None:
    """In the order asked for; a name that the model does not have is refused with those that it has."""
    bench, described = sample
    name = described["contract"]["outputs"][0]["name"]
    chosen = bench.ask("describe", model="/job/model.onnx", inputs=SHARDS, outputs=[name])
    assert [output["name"] for output in chosen["contract"]["outputs"]] == [name]
    with pytest.raises(RunnerError, match=f"has no output 'other'; choose of .*{name}"):
        bench.ask("describe", model="/job/model.onnx", inputs=SHARDS, outputs=["other"])


def test_instrumenting_twice_gives_the_same_bytes(sample: tuple[Bench, dict[str, Any]]) -> None:
    bench, described = sample
    bench.ask("instrument", model="/job/model.onnx", tap=described["contract"]["tap"], out="/scratch/again.onnx")
    assert (bench.scratch / "again.onnx").read_bytes() == (bench.assets / "reference.onnx").read_bytes()


def test_the_network_reads_what_was_drawn(sample: tuple[Bench, dict[str, Any]]) -> None:
    bench, described = sample
    rows = infer(bench, described["contract"])
    outputs = rows[:, : 4 * 40 * 6625].copy().view("<f4").reshape(ITEMS, 40, 6625)
    read = [read_text(item, find_model()) for item in outputs]
    _, labels = build_batch(ITEMS)
    assert sum(a == b for a, b in zip(read, labels, strict=True)) >= ITEMS - 1


def test_an_item_has_the_same_bytes_alone_in_a_run_and_in_any_company(sample: tuple[Bench, dict[str, Any]]) -> None:
    bench, described = sample
    contract = described["contract"]
    whole = infer(bench, contract)
    for items in ([3], [9, 0], [7, 3, 5, 1, 0], list(reversed(range(ITEMS)))):
        assert np.array_equal(infer(bench, contract, items=items), whole[items])
    assert np.array_equal(infer(bench, contract, first=5, count=3), whole[5:8])


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_an_item_has_the_same_bytes_with_any_number_of_threads(
    sample: tuple[Bench, dict[str, Any]], tmp_path: Path, threads: int
) -> None:
    """So with one micro-batch at a time, with three, and with four of two threads each; in the order of the items."""
    bench, described = sample
    contract = {**described["contract"], "micro_batch": 1}  # as many micro-batches as there are items
    whole = infer(bench, contract)
    other = Bench(tmp_path, 2 * GIB, threads=threads)
    try:
        for name in ("a.npz", "b.npz", "reference.onnx"):
            shutil.copyfile(bench.assets / name, other.assets / name)
        assert np.array_equal(infer(other, contract), whole)
        assert np.array_equal(infer(other, contract), whole)
    finally:
        other.runner.stop(grace=0)


def test_cheaper_weights_stand_out_in_the_fingerprint(sample: tuple[Bench, dict[str, Any]]) -> None:
    """The copies still read the lines, so nobody would notice by looking; the fingerprint sees each of them."""
    bench, described = sample
    contract = described["contract"]

    def answer(model: str) -> tuple[np.ndarray, list[str]]:
        rows = infer(bench, contract, model=model)
        outputs = rows[:, :-64].copy().view("<f4").reshape(ITEMS, 40, 6625)
        marks = rows[:, -64:].copy().view("<f4").astype(np.float64)
        return marks, [read_text(item, find_model()) for item in outputs]

    honest, text = answer("reference.onnx")
    assert np.array_equal(answer("reference.onnx")[0], honest)
    cheats = {"int8": int8_weights, "fp16": float16_weights, "pruned": pruned_weights}
    for name, cheat in cheats.items():
        cheat(bench.assets / "reference.onnx", bench.assets / f"{name}.onnx")
        marks, read = answer(f"{name}.onnx")
        distance = np.linalg.norm(marks - honest, axis=1) / np.linalg.norm(honest, axis=1)
        # 3.0e-6 is the most that optimisation levels made an honest run differ; the gap has to be at least tenfold.
        assert distance.min() > 3.0e-5, (name, distance)
        # A copy that no longer works would be found by anybody: it proves nothing about the fingerprint.
        assert distance.max() < 0.2, (name, distance)
        assert sum(a == b for a, b in zip(read, text, strict=True)) >= ITEMS - 2, (name, read)


@pytest.mark.slow
def test_throughput_is_near_that_of_a_bare_session(sample: tuple[Bench, dict[str, Any]]) -> None:
    """Reported, with a loose bound: machines that run tests are shared."""
    import onnxruntime as ort

    bench, described = sample
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    bare = ort.InferenceSession(str(find_model()), options)
    items, _ = build_batch(32)
    np.savez(bench.assets / "many.npz", x=items)
    best = min(_seconds_per_item(bare, items, batch) for batch in (1, 2, 4, 8, 16))
    taken = []
    for _ in range(3):
        done = bench.ask(
            "infer",
            model="/job/reference.onnx",
            inputs="/job/many.npz",
            first=0,
            count=32,
            contract=described["contract"],
            out="/scratch/many",
        )
        taken.append(done["seconds"] / 32)
    print(f"bare {best * 1e3:.2f} ms an item, runner {min(taken) * 1e3:.2f} ms")
    assert min(taken) < 5 * best


def _seconds_per_item(session: Any, items: np.ndarray, batch: int) -> float:
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        for first in range(0, len(items), batch):
            session.run(None, {"x": items[first : first + batch]})
        taken.append((time.perf_counter() - started) / len(items))
    return min(taken)


def test_another_runtime_is_refused(sample: tuple[Bench, dict[str, Any]]) -> None:
    bench, described = sample
    for change in (
        {"version": "1.17.0"},
        {"providers": ["CUDAExecutionProvider"]},
        {"tf32": True},
        {"optimization": "basic"},
    ):
        with pytest.raises(RunnerError) as caught:
            infer(bench, {**described["contract"], **change})
        assert caught.value.code == "wrong_runtime"
    infer(bench, {**described["contract"], "version": "1.17.0"}, other_class=True)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"first": 8, "count": 5}, "item_missing"),
        ({"first": 0, "count": 0}, "bad_request"),
        ({"items": [-1]}, "bad_request"),
        ({"items": ["x"]}, "bad_request"),
        ({"items": [10**12]}, "item_missing"),
        ({"model": "model.onnx"}, "not_instrumented"),
    ],
)
def test_bad_requests_are_answered(sample: tuple[Bench, dict[str, Any]], payload: dict[str, Any], code: str) -> None:
    bench, described = sample
    with pytest.raises(RunnerError) as caught:
        infer(bench, described["contract"], **payload)
    assert caught.value.code == code


# Models made to hurt.


def model_of(
    nodes: list[Any],
    *,
    shape: tuple[object, ...] = ("n", 4),
    out: tuple[object, ...] | None = ("n", "m"),
    weights: tuple[Any, ...] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(out) if out is not None else None)],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture
def bench(tmp_path: Path, _works: None) -> Iterator[Bench]:
    made = Bench(tmp_path, 512 * MIB)
    yield made
    made.runner.stop(grace=0)


Refusal = Callable[[Bench, onnx.ModelProto], RunnerFailure]


def refusal(bench: Bench, model: onnx.ModelProto, **payload: object) -> RunnerFailure:
    (bench.assets / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(RunnerFailure) as caught:
        bench.ask("describe", model="/job/m.onnx", **payload)
    return caught.value


def test_an_endless_loop_is_stopped(bench: Bench) -> None:
    """One with a computed bound cannot be told from an honest one: the runner's timeout ends it, else the host's."""
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
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("ReduceProd", ["s"], ["p"], keepdims=0),
        helper.make_node("Mul", ["p", "big"], ["trips"]),
        helper.make_node("Loop", ["trips", "go", "x"], ["y"], body=body),
    ]
    weights = (
        numpy_helper.from_array(np.array(2**40, np.int64), "big"),
        numpy_helper.from_array(np.array(True), "go"),
    )
    model = model_of(nodes, weights=weights)
    error = refusal(bench, model, timeout=1)
    assert isinstance(error, RunnerError)
    assert error.code == "model_timeout"
    with pytest.raises(RunnerDeadlineExceeded):
        bench.runner.request("describe", {"model": "/job/m.onnx"}, deadline=1)


def test_a_bomb_that_no_check_sees_only_costs_the_sandbox(bench: Bench) -> None:
    """3 GiB whose size is computed by a cast of floats, which shape inference does not follow."""
    nodes = [
        helper.make_node("Cast", ["f"], ["s"], to=TensorProto.INT64),
        helper.make_node("ConstantOfShape", ["s"], ["c"]),
        helper.make_node("ReduceSum", ["c"], ["t"], keepdims=0),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    weights = (numpy_helper.from_array(np.array([3 * 2**28], np.float32), "f"),)
    error = refusal(bench, model_of(nodes, weights=weights))
    assert isinstance(error, RunnerOutOfMemory) or (isinstance(error, RunnerError) and error.code == "model_memory")


def test_outputs_whose_shape_depends_on_the_data_are_refused_with_the_reason(bench: Bench) -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["z"]), helper.make_node("Cast", ["z"], ["y"], to=TensorProto.FLOAT)]
    error = refusal(bench, model_of(nodes, out=(2, "k")))
    assert isinstance(error, RunnerError)
    assert error.code == "output_shape"
    assert "NonZero" in error.message


def test_an_activation_that_mixes_items_is_refused(bench: Bench) -> None:
    """The mean over the batch is subtracted from each item: an audit of single items could not repeat it."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0]),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    error = refusal(bench, model_of(nodes))
    assert isinstance(error, RunnerError)
    assert error.code == "not_provable"
    assert "other items" in error.message


def test_a_fixed_batch_of_one_is_taken_as_it_is(bench: Bench) -> None:
    weights = (numpy_helper.from_array(np.linspace(-1, 1, 128, dtype=np.float32).reshape(4, 32), "w"),)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Softmax", ["h"], ["y"])]
    (bench.assets / "m.onnx").write_bytes(
        model_of(nodes, shape=(1, 4), out=(1, 32), weights=weights).SerializeToString()
    )
    described = bench.ask("describe", model="/job/m.onnx")
    assert described["contract"]["micro_batch"] == 1
    assert described["contract"]["tap"] == "h"
    assert "free batch axis" in described["warnings"][0]
    assert bench.ask("describe", model="/job/m.onnx", tap="y")["contract"]["tap"] == "y"


def test_free_axes_need_the_items(bench: Bench) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    error = refusal(bench, model_of(nodes, shape=("n", "width"), out=("n", "width")))
    assert isinstance(error, RunnerError)
    assert error.code == "inputs_needed"
    np.savez(bench.assets / "i.npz", x=np.ones((3, 20), np.float64))
    error = refusal(bench, model_of(nodes, shape=("n", "width"), out=("n", "width")), inputs="/job/i.npz")
    assert isinstance(error, RunnerError)
    assert error.code == "inputs_mismatch"
    assert "float64" in error.message
