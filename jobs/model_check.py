"""Is a stranger's ONNX model safe to load and possible to audit? Asked before any runtime sees it.

Even reading a model takes memory that its author decides on: call this inside the sandbox, as the inference runner
does. Needs onnx (in `kilnet[node]`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from jobs.errors import BadInput
from jobs.model_graph import constants, every_node, every_tensor, function_depth

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

__all__ = ["ModelLimits", "ModelRefused", "ModelReport", "check_model"]

BATCH_BOUND = {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "DynamicTimeWarping"}
"""Operators whose result for one item depends on the other items of its batch."""
RANDOM = {
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"),
    *("RandomNormalOp", "Sampling", "ParallelRandomUniform"),
}
DATA_SHAPED = {"NonZero", "NonMaxSuppression", "Unique", "Compress", "StringSplit", "SequenceConstruct"}
"""Operators whose output's shape depends on values; an item's result must have a fixed length."""
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
_DTYPE_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 8: 16, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2}


class ModelRefused(BadInput):
    """This model is not run, whoever asks. `code` is a stable word; the message names the place, limit and remedy."""

    code = "model_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    file_bytes: int = 2 * 1024**3 - 1
    """What protobuf can hold; larger models keep their weights in external files."""
    external_bytes: int = 64 * 1024**3
    nodes: int = 200_000
    nesting: int = 16
    functions: int = 1000
    function_depth: int = 32
    loop_trips: int = 1_000_000
    constant_bytes: int = 1024**3
    """What a runtime may have to compute while it loads the model."""
    value_bytes: int = 8 * 1024**3
    """The largest single activation, at the micro-batch."""
    min_opset: int = 7


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What is known of a model without running it."""

    model: ModelProto
    """Without its external data."""
    values: Mapping[str, ValueInfoProto]
    """Values of the main graph, outputs among them, whose type and shape could be inferred."""
    opset: int
    nodes: int
    weights_bytes: int
    """Stored tensors, external files included."""
    batch_bound: tuple[str, ...]
    """Operators that mix the items of a batch: such a model is run one item at a time."""
    data_shaped: tuple[str, ...]
    """Operators whose output shapes depend on values."""
    warnings: tuple[str, ...]


def check_model(path: Path, limits: ModelLimits | None = None, *, micro_batch: int = 8) -> ModelReport:
    """Read and check the model at `path`; external data may only be plain files in the same folder or below it.

    Raises ModelRefused. What cannot be seen without running (a bomb whose size is computed by exotic operators, an
    endless loop with a data-dependent condition) is left to the sandbox's memory limit and the request's deadline.
    """
    import onnx

    limits = limits or ModelLimits()
    if not path.is_file():
        raise ModelRefused(f"{path.name}: no such file; check the path", code="model_missing")
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise ModelRefused(f"{path.name}: {size:,} bytes, at most {limits.file_bytes:,}", code="model_too_large")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise ModelRefused(
            f"{path.name} is not an ONNX model: {_short(error)}; export it again", code="model_unreadable"
        ) from error
    if not model.graph.node or not model.graph.output:
        raise ModelRefused(
            f"{path.name} is not an ONNX model: its graph is empty; export it again", code="model_unreadable"
        )
    nodes = _check_size(model, limits)
    opset = _check_operators(model, limits)
    warnings = _check_loops(model, limits)
    weights = sum(_stored_bytes(tensor, path.parent, limits) for tensor in every_tensor(model))
    try:
        onnx.checker.check_model(str(path))
    except Exception as error:
        raise ModelRefused(
            f"{path.name} breaks the ONNX rules: {_short(error)}; export it again", code="model_invalid"
        ) from error
    values = _check_memory(model, limits, micro_batch)
    names = {node.op_type for node, _ in every_node(model)}
    batch_bound = names & BATCH_BOUND
    if any(_is_training_norm(node) for node, _ in every_node(model)):
        batch_bound.add("BatchNormalization in training mode")
    return ModelReport(
        model,
        values,
        opset,
        nodes,
        weights,
        tuple(sorted(batch_bound)),
        tuple(sorted(names & DATA_SHAPED)),
        tuple(warnings),
    )


def _check_size(model: ModelProto, limits: ModelLimits) -> int:
    if len(model.functions) > limits.functions:
        raise ModelRefused(
            f"the model has {len(model.functions)} functions, at most {limits.functions}: inline them before sending",
            code="model_functions",
        )
    depth = function_depth(model)
    if depth < 0 or depth > limits.function_depth:
        how = "call themselves" if depth < 0 else f"call each other {depth} deep, at most {limits.function_depth}"
        raise ModelRefused(f"the model's functions {how}: inline them before sending", code="model_functions")
    count = 0
    for _, nesting in every_node(model, max_depth=limits.nesting + 1):
        count += 1
        if count > limits.nodes:
            raise ModelRefused(f"the model has more than {limits.nodes:,} nodes; split it", code="model_too_large")
        if nesting > limits.nesting:
            raise ModelRefused(
                f"loops or branches are nested over {limits.nesting} deep; export the model flatter",
                code="model_nesting",
            )
    return count


def _check_operators(model: ModelProto, limits: ModelLimits) -> int:
    import onnx

    own = {(function.domain, function.name) for function in model.functions}
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    opset = int(opsets.get("", opsets.get("ai.onnx", 0)))
    newest = onnx.defs.onnx_opset_version()
    if not limits.min_opset <= opset <= newest:
        raise ModelRefused(
            f"the model is of opset {opset}; {limits.min_opset} to {newest} can be run: export it again",
            code="model_opset",
        )
    for node, _ in every_node(model):
        if (node.domain, node.op_type) in own:
            continue
        if node.domain not in _DOMAINS:
            raise ModelRefused(
                f"operator {node.op_type} is of domain {node.domain[:60]!r}: only standard ONNX operators and those "
                "built into ONNX Runtime are run",
                code="model_domain",
            )
        domain = "" if node.domain == "ai.onnx" else node.domain
        if domain != "com.microsoft" and not onnx.defs.has(node.op_type, domain):
            raise ModelRefused(f"there is no operator {node.op_type[:60]!r} in ONNX", code="model_domain")
        if node.op_type in RANDOM:
            raise ModelRefused(
                f"operator {node.op_type} draws random numbers, so no two runs agree: make the noise an input",
                code="model_random",
            )
    return opset


def _check_loops(model: ModelProto, limits: ModelLimits) -> list[str]:
    known = _constant_scalars(model)
    warnings = []
    for node, _ in every_node(model):
        if node.op_type != "Loop" or node.domain not in ("", "ai.onnx"):
            continue
        trips = node.input[0] if node.input else ""
        if not trips or known.get(trips, 0) > limits.loop_trips:
            raise ModelRefused(
                f"Loop {node.name[:60]!r} has no bound of at most {limits.loop_trips:,} turns: give it a trip count",
                code="model_unbounded_loop",
            )
        if trips not in known:
            warnings.append(
                f"Loop {node.name[:60]!r}: how long it runs depends on the input; only the deadline bounds it."
            )
    return warnings


def _constant_scalars(model: ModelProto) -> dict[str, int]:
    from onnx import numpy_helper

    found: dict[str, int] = {}
    tensors: list[tuple[str, TensorProto]] = [(tensor.name, tensor) for tensor in model.graph.initializer]
    for node, _ in every_node(model):
        if node.op_type == "Constant":
            tensors += [(node.output[0], a.t) for a in node.attribute if a.name == "value"]
            found.update((node.output[0], a.i) for a in node.attribute if a.name == "value_int")
    for name, tensor in tensors:
        if math.prod(tensor.dims) == 1 and tensor.data_type in (6, 7) and tensor.data_location != 1:
            found[name] = int(numpy_helper.to_array(tensor).reshape(-1)[0])
    return found


def _stored_bytes(tensor: TensorProto, folder: Path, limits: ModelLimits) -> int:
    if any(dim < 0 for dim in tensor.dims):
        raise ModelRefused(
            f"tensor {tensor.name[:60]!r} has a negative dimension; export the model again", code="model_invalid"
        )
    size = int(math.prod(tensor.dims)) * _DTYPE_BYTES.get(tensor.data_type, 8)
    if tensor.data_location == 1:
        _check_external({entry.key: entry.value for entry in tensor.external_data}, tensor.name, folder, size, limits)
    return size


def _check_external(entry: dict[str, str], tensor: str, folder: Path, size: int, limits: ModelLimits) -> None:
    location = entry.get("location", "")
    where = f"external data of {tensor[:60]!r} at {location[:100]!r}"
    plain = PurePosixPath(location)
    if not location or plain.is_absolute() or ".." in plain.parts or "\\" in location or "\0" in location:
        raise ModelRefused(f"{where}: only files beside the model are read", code="model_external_data")
    path = folder
    for part in plain.parts:
        path = path / part
        if path.is_symlink():
            raise ModelRefused(
                f"{where}: symbolic links are not followed; put the file itself there", code="model_external_data"
            )
    if not path.is_file():
        raise ModelRefused(f"{where}: no such file; send it with the model", code="model_external_missing")
    try:
        offset, length = int(entry.get("offset") or 0), int(entry.get("length") or size)
    except ValueError:
        raise ModelRefused(f"{where}: offset and length must be numbers", code="model_external_data") from None
    have = path.stat().st_size
    if offset < 0 or length < 0 or offset + length > have or have > limits.external_bytes:
        raise ModelRefused(
            f"{where}: bytes {offset:,} to {offset + length:,} of {have:,} (at most {limits.external_bytes:,})",
            code="model_external_data",
        )


def _check_memory(model: ModelProto, limits: ModelLimits, micro_batch: int) -> dict[str, ValueInfoProto]:
    """The values whose shapes could be inferred; none of them is larger than the limits allow."""
    import onnx

    sized: Any = model
    try:
        sized = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:
        raise ModelRefused(
            f"the model's shapes contradict each other: {_short(error)}; export it again", code="model_invalid"
        ) from error
    foldable = constants(model.graph)
    folded = 0
    stored = {tensor.name for tensor in model.graph.initializer}
    for value in sized.graph.value_info:
        kind = value.type.tensor_type
        dims = [dim.dim_value if dim.dim_value > 0 else 0 for dim in kind.shape.dim]
        # Of an unknown dimension nothing is assumed but that of the batch, which is usually the first.
        dims = [dim or (micro_batch if axis == 0 else 1) for axis, dim in enumerate(dims)]
        size = math.prod(dims) * _DTYPE_BYTES.get(kind.elem_type, 8)
        if size > limits.value_bytes:
            raise ModelRefused(
                f"value {value.name[:60]!r} takes {size:,} bytes, at most {limits.value_bytes:,}", code="model_memory"
            )
        if value.name in foldable and value.name not in stored:
            folded += size
    for value in sized.graph.output:
        if value.name in foldable:
            kind = value.type.tensor_type
            folded += math.prod(max(dim.dim_value, 1) for dim in kind.shape.dim) * _DTYPE_BYTES.get(kind.elem_type, 8)
    if folded > limits.constant_bytes:
        raise ModelRefused(
            f"the model would compute {folded:,} bytes of constants while loading, at most {limits.constant_bytes:,}",
            code="model_memory",
        )
    return {value.name: value for value in (*sized.graph.value_info, *sized.graph.output)}


def _is_training_norm(node: NodeProto) -> bool:
    return node.op_type == "BatchNormalization" and any(a.name == "training_mode" and a.i for a in node.attribute)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
