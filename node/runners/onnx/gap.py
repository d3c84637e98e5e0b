"""How well cheats on this very model can be told from honest machines: measured before its job is quoted.

Honest variants are other levels of graph optimisation (they move sums about, as other machines do); cheats are cheaper
copies of the weights. The ratio of the closest cheat to the farthest honest variant, in the fingerprint, is the gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx.external_data_helper import load_external_data_for_model

from .cheaper import bfloat16, cheapened, float16, int8, pruned
from .fingerprint import FINGERPRINT_BYTES, FINGERPRINT_FLOATS
from .infer import Profile, run_batch
from .session import Sessions
from .wire import RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEAST_GAP", "measure_gap"]

LEAST_GAP = 10.0
LEAST_DEVIATION = 1e-7
"""Stands in for a smaller honest deviation: about the spacing of float32 at 1."""
_MOST_WEIGHTS = 1 << 30
"""Bytes. A larger model would be copied in memory once for each cheat."""
_VARIANTS = (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
_CHEATS = {"fp16-weights": float16, "bf16-weights": bfloat16, "int8-weights": int8, "pruned-5": pruned(0.05)}


def measure_gap(
    sessions: Sessions, model: bytes, folder: Path, weights_bytes: int, profile: Profile,
    batches: Sequence[dict[str, np.ndarray]], options: Any,
) -> dict[str, Any] | None:  # fmt: skip
    """`{honest, cheats, gap, accept, reject, items}` of an instrumented model over `batches`; None where no cheat
    changes anything (a model without weights, or whose weights are that coarse already) or the model is too large.

    Raises RequestError `gap_too_small`.
    """
    if weights_bytes > _MOST_WEIGHTS:
        return None
    proto = onnx.load_from_string(model)
    load_external_data_for_model(proto, str(folder))

    def marks(session: Any) -> NDArray[np.float64]:
        packed = [run_batch(session, profile, batch, profile.micro_batch, options) for batch in batches]
        rows = np.frombuffer(b"".join(packed), np.uint8).reshape(-1, profile.item_bytes)[:, -FINGERPRINT_BYTES:]
        return np.ascontiguousarray(rows).view("<f4").reshape(-1, FINGERPRINT_FLOATS).astype(np.float64)

    canonical = marks(sessions.make(model, folder=folder))
    honest = 0.0
    for level in _VARIANTS:
        try:
            other = marks(sessions.make(model, folder=folder, level=level))
        except RequestError:  # some operators exist only after optimisation
            continue
        honest = max(honest, float(_deviations(other, canonical).max()))
    cheats = {}
    for name, change in _CHEATS.items():
        copy = cheapened(proto, change)
        smallest = _deviations(marks(sessions.make(copy.SerializeToString(), folder=folder)), canonical)
        if smallest.max() > 0:
            cheats[name] = float(np.median(smallest))
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


def _deviations(marks: NDArray[np.float64], canonical: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each item, relative to the root mean square of its canonical fingerprint."""
    scale = np.maximum(np.sqrt((canonical**2).mean(axis=1)), 1e-30)
    return np.asarray(np.sqrt(((marks - canonical) ** 2).mean(axis=1)) / scale)
