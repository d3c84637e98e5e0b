"""The tap: one late activation becomes an output of the model, for the fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from jobs.model_graph import ancestors, producers

from .wire import RequestError

if TYPE_CHECKING:
    from onnx import GraphProto, ValueInfoProto

    from jobs.model_check import ModelReport

__all__ = ["instrumented", "tap_candidates"]

_HEADS = {
    *("Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Softsign", "Hardmax", "Clip", "Erf"),
    *("ArgMax", "ArgMin", "TopK", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Not", "Where"),
    *("Round", "Floor", "Ceil", "Sign", "Exp", "QuantizeLinear", "DequantizeLinear", "NonMaxSuppression"),
}
"""They press large differences into small ones, or into none."""
_SHAPERS = {
    *("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Gather", "Concat"),
    *("Split", "Dropout", "Expand", "Pad", "GatherElements", "GatherND"),
}
_FLOAT = 1
_TRIES = 6


def tap_candidates(report: ModelReport) -> list[str]:
    """Float32 activations to tap, the best first: what feeds the last saturating head of the output that most of the
    model works for, then what lies a little before it. Only values of the main graph that have a producer."""
    graph = report.model.graph
    makers = producers(graph)
    kinds = {name: value.type.tensor_type.elem_type for name, value in report.values.items()}
    outputs = sorted((o.name for o in graph.output), key=lambda name: -ancestors(graph, name))
    found: list[str] = []
    for output in outputs:
        value = output
        while (node := makers.get(value)) is not None and len(found) < _TRIES:
            beside_the_point = node.op_type in _HEADS or node.op_type in _SHAPERS
            if not beside_the_point and kinds.get(value, _FLOAT) == _FLOAT and value not in found:
                found.append(value)
            if beside_the_point:
                before = [node.input[1]] if node.op_type == "Where" else list(node.input[:1])
            else:
                before = [name for name in node.input if kinds.get(name, _FLOAT) == _FLOAT]
            before = [name for name in before if name in makers]
            if not before:
                break
            # The deepest input is the trunk; the others are weights, masks and residuals.
            value = before[0] if len(before) == 1 else max(before, key=lambda name: ancestors(graph, name))
    return found


def instrumented(report: ModelReport, tap: str) -> bytes:
    """The model with `tap` as an output, serialised deterministically; external data stays where it is.

    Everything else is as it was, but for dimensions that exporters wrote as -1: they become names, which is what
    they meant. Raises RequestError `tap_unknown`.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(report.model)
    graph = copy.graph
    if tap not in producers(graph):
        raise RequestError(
            "tap_unknown", f"no node of the main graph makes {tap[:100]!r}: name another tap", scene_fault=True
        )
    _name_unknown_dimensions(graph)
    if tap not in {output.name for output in graph.output}:
        graph.output.append(_value_of(report, tap))
    entry = copy.metadata_props.add()
    entry.key, entry.value = "kilnet.tap", tap
    return bytes(copy.SerializeToString(deterministic=True))


def _value_of(report: ModelReport, name: str) -> ValueInfoProto:
    """A declaration of a float32 value, with its shape as far as it could be inferred."""
    declared: ValueInfoProto = onnx.helper.make_tensor_value_info(name, _FLOAT, None)
    found = report.values.get(name)
    if found is not None and found.type.tensor_type.elem_type == _FLOAT and found.type.tensor_type.HasField("shape"):
        declared.CopyFrom(found)
    return declared


def _name_unknown_dimensions(graph: GraphProto) -> None:
    for number, value in enumerate((*graph.input, *graph.output)):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.HasField("dim_value") and dimension.dim_value < 0:
                dimension.dim_param = "batch" if axis == 0 else f"d{number}_{axis}"
