"""How well cheats on this very model can be told from honest machines: measured before its job is quoted.

Honest variants are other levels of graph optimisation (they move sums about, as other machines do); cheats are cheaper
copies of the weights. The ratio of the closest cheat to the farthest honest variant, in the fingerprint, is the gap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from onnx.external_data_helper import load_external_data_for_model

from .cheaper import bfloat16, cheaper_weights, float16, int8, pruned
from .fingerprint import FINGERPRINT_BYTES, FINGERPRINT_FLOATS
from .infer import Profile, run_batch
from .session import Sessions
from .streams import each
from .wire import RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, TensorProto

__all__ = ["LEAST_GAP", "measure_gap"]

LEAST_GAP = 10.0
LEAST_DEVIATION = 1e-7
"""Stands in for a smaller honest deviation: about the spacing of float32 at 1."""
_MOST_WEIGHTS = 1 << 30
"""Bytes. A larger model would be copied in memory once for each cheat."""
_FLOAT = onnx.TensorProto.FLOAT
_LONG = 64
"""Values."""
_VARIANTS = (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
_CHEATS = {"fp16-weights": float16, "bf16-weights": bfloat16, "int8-weights": int8, "pruned-5": pruned(0.05)}


def measure_gap(
    sessions: Sessions, session: Any, model: bytes, folder: Path, weights_bytes: int, profile: Profile,
    batches: Sequence[dict[str, np.ndarray]], options: Any,
) -> dict[str, Any] | None:  # fmt: skip
    """`{honest, cheats, gap, accept, reject, items}` of an instrumented model, whose canonical `session` is given, over
    `batches`; None where no cheat changes anything (a model without weights, or whose weights are that coarse already)
    or the model is too large.

    Raises RequestError `gap_too_small`.
    """
    if weights_bytes > _MOST_WEIGHTS:
        return None
    proto = onnx.load_from_string(model)
    load_external_data_for_model(proto, str(folder))
    skeleton, weights = _without_weights(proto)

    def marks(session: Any) -> NDArray[np.float64]:
        packed = [b""] * len(batches)

        def one(number: int) -> None:
            packed[number] = run_batch(session, profile, batches[number], profile.micro_batch, options)

        each(sessions.streams, one, range(len(batches)))
        rows = np.frombuffer(b"".join(packed), np.uint8).reshape(-1, profile.item_bytes)[:, -FINGERPRINT_BYTES:]
        return np.ascontiguousarray(rows).view("<f4").reshape(-1, FINGERPRINT_FLOATS).astype(np.float64)

    canonical = marks(session)

    def variant(level: Any) -> Any:
        try:
            return sessions.make(skeleton, weights=weights, level=level)
        except RequestError:  # some operators exist only after optimisation
            return None

    honest, cheats = 0.0, {}
    for _, other in _two_at_a_time(variant, _VARIANTS):
        if other is not None:
            honest = max(honest, float(_deviations(marks(other), canonical).max()))
    for name, other in _two_at_a_time(
        lambda name: sessions.make(skeleton, weights=weights | cheaper_weights(proto, _CHEATS[name])), _CHEATS
    ):
        found = _deviations(marks(other), canonical)
        if found.max() > 0:
            cheats[name] = float(np.median(found))
    if not cheats:
        return None
    closest, low = min(cheats.values()), max(honest, LEAST_DEVIATION)
    gap = closest / low
    if gap < LEAST_GAP:
        name = min(cheats, key=lambda key: cheats[key])
        raise RequestError(
            "gap_too_small",
            f"honest machines may deviate by {honest:.1e} at the tap {profile.tap!r}, {name} by only "
            f"{closest:.1e}: {gap:.1f} times as much, {LEAST_GAP:g} times are needed. Name another tap, or have the "
            "model run on machines that you trust",
            scene_fault=True,
        )
    return {
        "honest": honest, "cheats": cheats, "gap": round(gap, 1), "items": len(canonical),
        "accept": low * gap ** (1 / 3), "reject": low * gap ** (2 / 3),
    }  # fmt: skip


def _two_at_a_time(make: Callable[[Any], Any], keys: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Each key with its session. Making one keeps one core busy; more than two at once would fill the memory."""
    waiting = list(keys)
    with ThreadPoolExecutor(2) as pool:
        while waiting:
            pair, waiting = waiting[:2], waiting[2:]
            yield from zip(pair, list(pool.map(make, pair)), strict=True)


def _without_weights(proto: ModelProto) -> tuple[bytes, dict[str, NDArray[Any]]]:
    """The graph alone, serialised, and its weights, to be given to each session: parsing and copying them for every
    variant would take most of the time. What Constant nodes hold becomes initializers, as in ONNX Runtime itself."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    graph = copy.graph
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        value = next((a.t for a in node.attribute if a.name == "value"), None) if node.op_type == "Constant" else None
        if value is not None and _is_weight(value):
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            del graph.node[index]
    weights = {}
    for tensor in filter(_is_weight, graph.initializer):
        name, array = tensor.name, numpy_helper.to_array(tensor)
        tensor.Clear()
        tensor.name, tensor.data_type, tensor.data_location = name, _FLOAT, onnx.TensorProto.EXTERNAL
        tensor.dims.extend(array.shape)
        for key, text in (("location", "weights"), ("offset", "0"), ("length", str(array.nbytes))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, text
        weights[name] = array
    return copy.SerializeToString(), weights


def _is_weight(tensor: TensorProto) -> bool:
    """Float matrices, and whatever else is long; small vectors may be shapes or scales and stay in the graph."""
    return tensor.data_type == _FLOAT and (len(tensor.dims) >= 2 or math.prod(tensor.dims) >= _LONG)


def _deviations(marks: NDArray[np.float64], canonical: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each item, relative to the root mean square of its canonical fingerprint."""
    scale = np.maximum(np.sqrt((canonical**2).mean(axis=1)), 1e-30)
    return np.asarray(np.sqrt(((marks - canonical) ** 2).mean(axis=1)) / scale)
