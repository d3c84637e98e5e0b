"""Walking an ONNX model: all graphs, nodes and tensors of it, however deep. Needs onnx (in `kilnet[node]`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

__all__ = ["ancestors", "constants", "every_node", "every_tensor", "function_depth", "producers", "subgraphs"]

_GRAPH, _GRAPHS, _TENSOR, _TENSORS, _SPARSE = 5, 10, 4, 9, 11  # AttributeProto.AttributeType


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The bodies that a control-flow node carries in its attributes."""
    for attribute in node.attribute:
        if attribute.type == _GRAPH:
            yield attribute.g
        elif attribute.type == _GRAPHS:
            yield from attribute.graphs


def every_node(model: ModelProto, *, max_depth: int = 1000) -> Iterator[tuple[NodeProto, int]]:
    """All nodes with their depth of nesting (0: the main graph or a function's body). Stops below `max_depth`."""
    waiting: list[tuple[Any, int]] = [(model.graph.node, 0)]
    waiting += [(function.node, 0) for function in model.functions]
    while waiting:
        nodes, depth = waiting.pop()
        for node in nodes:
            yield node, depth
            if depth < max_depth:
                waiting += [(graph.node, depth + 1) for graph in subgraphs(node)]


def every_tensor(model: ModelProto) -> Iterator[TensorProto]:
    """All tensors that the model stores: initialisers of every graph and tensors in attributes."""
    graphs = [model.graph]
    for node, _ in every_node(model):
        graphs += subgraphs(node)
        for attribute in node.attribute:
            if attribute.type == _TENSOR:
                yield attribute.t
            elif attribute.type == _TENSORS:
                yield from attribute.tensors
            elif attribute.type == _SPARSE:
                yield attribute.sparse_tensor.values
                yield attribute.sparse_tensor.indices
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices


def producers(graph: GraphProto) -> dict[str, NodeProto]:
    """Which node of the graph makes each value."""
    return {name: node for node in graph.node for name in node.output if name}


def ancestors(graph: GraphProto, value: str) -> int:
    """How many nodes of the graph a value depends on."""
    makers = producers(graph)
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and id(node) not in seen:
            seen.add(id(node))
            waiting += node.input
    return len(seen)


def constants(graph: GraphProto) -> set[str]:
    """Values that depend on no input, and that a runtime therefore computes while it loads the model.

    Nodes are taken in the order of the graph, which ONNX requires to be topological.
    """
    known = {tensor.name for tensor in graph.initializer} | {sparse.values.name for sparse in graph.sparse_initializer}
    known -= {value.name for value in graph.input}
    for node in graph.node:
        if all(name in known for name in node.input if name) and not any(True for _ in subgraphs(node)):
            known.update(name for name in node.output if name)
    return known


def function_depth(model: ModelProto) -> int:
    """The longest chain of model functions that call each other; -1 where they call themselves."""
    bodies = {(f.domain, f.name): f for f in model.functions}
    calls: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for key, function in bodies.items():
        waiting, found = list(function.node), set()
        while waiting:
            node = waiting.pop()
            if (node.domain, node.op_type) in bodies:
                found.add((node.domain, node.op_type))
            for graph in subgraphs(node):
                waiting += graph.node
        calls[key] = found
    depth: dict[tuple[str, str], int] = {}
    while len(depth) < len(calls):
        ready = [key for key, callees in calls.items() if key not in depth and callees <= depth.keys()]
        if not ready:
            return -1
        for key in ready:
            depth[key] = 1 + max((depth[callee] for callee in calls[key]), default=0)
    return max(depth.values(), default=0)
