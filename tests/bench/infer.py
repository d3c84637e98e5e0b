"""A batch through the whole pipeline against a bare `session.run` loop at its best batch size."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tests.bench.program import kilnet_json

__all__ = ["measure_infer"]

BATCHES = (1, 2, 4, 8, 16, 32)


def bare_seconds(session: Any, name: str, inputs: NDArray[np.float32], batch: int) -> float:
    """Wall time of the loop that a studio would write."""
    start = time.perf_counter()
    for first in range(0, len(inputs), batch):
        session.run(None, {name: inputs[first : first + batch]})
    return time.perf_counter() - start


def measure_infer(folder: Path, *, seconds: float) -> dict[str, Any]:
    """Bare loop, kilnet, bare loop again, over as many items as the bare loop does in about `seconds`.

    Throughput of kilnet counts from submission to delivery: upload, admission, proof, assembly and settlement."""
    from samples.models.build import build_batch, find_model

    model = find_model()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    sample, _ = build_batch(64)
    session.run(None, {name: sample[:8]})
    best = min(BATCHES, key=lambda batch: bare_seconds(session, name, sample, batch))
    items = max(64, int(seconds / (bare_seconds(session, name, sample, best) / len(sample))))
    inputs, _ = build_batch(items)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "batch.npz", **{name: inputs})
    before = bare_seconds(session, name, inputs, best)
    start = time.perf_counter()
    answer = kilnet_json("infer", model, folder / "batch.npz", "--out", folder / "ours")
    ours = time.perf_counter() - start
    after = bare_seconds(session, name, inputs, best)
    return {
        "items": items,
        "best_batch": best,
        "bare_items_per_second": [items / before, items / after],
        "kilnet_items_per_second": items / ours,
        "throughput_ratio": (before + after) / 2 / ours,
        "tiles": answer["tiles"],
        "audit_share": answer["audit_seconds"] / answer["compute_seconds"],
        "output_bytes_per_item": int(sum(np.prod(o.shape[1:]) for o in session.run(None, {name: sample[:1]})) * 4),
    }
