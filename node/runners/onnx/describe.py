"""What a model is, measured: its signature, its tap, whether its items repeat to the bit, and how long they take."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from jobs.model_check import ModelReport, check_model

from .arrays import Items, Tensor
from .fingerprint import FINGERPRINT_BYTES, FINGERPRINT_FLOATS
from .gap import measure_gap
from .infer import Profile, run_batch
from .instrument import instrumented, tap_candidates
from .session import OPTIMIZATION, Sessions, bounded, instruction_set, run
from .signature import Axis, chosen_outputs, concrete_inputs, declared_inputs, random_batch, seen_outputs
from .streams import anonymous_bytes, each, streams_within
from .wire import RequestError, Work

__all__ = ["describe"]

_BATCHES = (2, 4, 8)
_TIMING_SECONDS = 0.25
_AS_FAST = 1.03
_TIMEOUT = 120.0
_GAP_ITEMS = 8
"""Items that cheats are tried on."""
_HALF = (10, 16)
"""FLOAT16 and BFLOAT16 of TensorProto.DataType."""


def describe(sessions: Sessions, request: dict[str, Any], work: Work) -> dict[str, Any]:
    """Check the model, find its tap, propose its contract; write the instrumented model to `out` where asked."""
    path = Path(str(request.get("model")))
    seed = _whole(request.get("fingerprint_seed", 0), "fingerprint_seed", 0, (1 << 63) - 1)
    report = check_model(path)
    work.progress(0.1, "model checked")
    warnings = list(report.warnings)
    with bounded(float(request.get("timeout", _TIMEOUT))) as options:
        plain = sessions.make(str(path))
        axes = declared_inputs(plain, report)
        inputs = concrete_inputs(axes, request.get("inputs"))
        batches = _batches(axes, report, request.get("micro_batch"), warnings)
        values = chosen_outputs(plain, request.get("outputs", []))
        outputs = seen_outputs(plain, values, inputs, batches[0], report, options)
        work.progress(0.3, "outputs known")
        known = _known(request.get("known"), inputs, batches)
        asked = request.get("tap")
        candidates = [str(asked)] if asked else tap_candidates(report)
        if known is not None and known["tap"] in candidates:
            candidates = [str(known["tap"]), *(name for name in candidates if name != known["tap"])]
        feed = _Feed(inputs, request.get("inputs"))
        tried: list[str] = []
        # A few logits say less than a wide activation just before them: those are only taken where nothing else does.
        for tap, least in [(tap, FINGERPRINT_FLOATS) for tap in candidates] + [(tap, 1) for tap in candidates]:
            contract = _contract(plain, report, inputs, outputs, tap, seed, batches[0])
            started = time.perf_counter()
            reference = instrumented(report, tap)
            session = sessions.make(reference, folder=path.parent)
            load_seconds = time.perf_counter() - started
            trouble = _trouble(session, Profile(contract, sessions), feed, options, least)
            if not trouble:
                break
            tried.append(f"{tap}: {trouble}")
        else:
            reason = "; ".join(tried) or "it has no float32 activation with the item as its first axis"
            raise RequestError(
                "not_provable",
                f"no activation of this model can be fingerprinted: {reason}; have it run on machines that you trust",
                scene_fault=True,
            )
        work.progress(0.5, "tap found")
        half = any(tensor.data_type in _HALF for tensor in report.model.graph.initializer)
        if known is None or known["tap"] != tap:
            known = {"tap": tap, "inputs": [tensor.as_json() for tensor in inputs], "load_seconds": load_seconds}
            timings = {}
            for batch in batches:
                profile = Profile({**contract, "micro_batch": batch}, sessions)
                timings[batch] = _time(sessions, session, profile, feed, options)
                work.progress(0.5 + 0.3 * len(timings) / len(batches), f"timed batches of {batch}")
            known["batch_seconds"] = {str(batch): seconds for batch, seconds in timings.items()}
            profile = Profile({**contract, "micro_batch": batches[0]}, sessions)
            rounds = range(-(-_GAP_ITEMS // batches[0]))
            tries = [feed.batch(batches[0], 5 + number * batches[0]) for number in rounds]
            known["calibration"] = None
            if not half:  # of which thousandths are expected; it is judged by look
                known["calibration"] = measure_gap(
                    sessions, session, reference, path.parent, report.weights_bytes, profile, tries, options
                )
            work.progress(1.0, "cheats tried")
    timings = {int(batch): float(seconds) for batch, seconds in known["batch_seconds"].items()}
    found = known["calibration"]
    if found is None and not half:
        warnings.append("The model was not calibrated (no weights to cheapen, or over 1 GiB of them).")
    best = min(seconds / batch for batch, seconds in timings.items())
    # The smallest that is nearly as fast as the best: an audit of one item pays for a whole micro-batch.
    chosen = next(batch for batch, seconds in timings.items() if seconds / batch <= _AS_FAST * best)
    contract["micro_batch"] = chosen
    if found is not None:
        contract["extra"]["calibration"] = found
    written: dict[str, Any] = {}
    if "out" in request:
        out = Path(str(request["out"]))
        out.write_bytes(reference)
        written["path"] = out.name
    return written | {
        "contract": contract,
        "signature": [axis.as_json() for axis in axes],
        "items": _count(request.get("inputs"), inputs),
        "known": known,
        "load_seconds": round(known["load_seconds"], 6),
        "item_seconds": round(timings[chosen] / chosen, 9),
        "cell_seconds": round(timings[chosen], 9),
        "batch_seconds": {str(batch): round(seconds, 9) for batch, seconds in timings.items()},
        "taps": candidates,
        "nodes": report.nodes,
        "weights_bytes": report.weights_bytes,
        "half_precision": half,
        "cpu": instruction_set(),
        "threads": sessions.threads,
        "warnings": warnings,
    }


def _known(given: object, inputs: tuple[Tensor, ...], batches: tuple[int, ...]) -> dict[str, Any] | None:
    """What an earlier description of this model measured, if it was of inputs of the same shapes, and whole."""
    if not isinstance(given, dict) or given.get("inputs") != [tensor.as_json() for tensor in inputs]:
        return None
    if not all(name in given for name in ("tap", "batch_seconds", "load_seconds", "calibration")):
        return None
    return given if {int(batch) for batch in given["batch_seconds"]} == set(batches) else None


def _batches(axes: list[Axis], report: ModelReport, asked: object, warnings: list[str]) -> tuple[int, ...]:
    fixed = next((axis.batch for axis in axes if axis.batch is not None), None)
    if fixed is not None:
        if fixed == 1:
            warnings.append(
                "The model is exported for one item at a time: batches of 1. Export it with a free batch axis."
            )
        return (fixed,)
    if report.batch_bound:
        names = ", ".join(report.batch_bound)
        warnings.append(f"{names} mixes the items of a batch, so items are run one at a time to be provable.")
        return (1,)
    if asked is not None:
        return (_whole(asked, "micro_batch", 1, 4096),)
    return _BATCHES


def _contract(
    session: Any,
    report: ModelReport,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    tap: str,
    seed: int,
    batch: int,
) -> dict[str, Any]:
    return {
        "runtime": "onnxruntime",
        "version": ort.__version__,
        "opset": report.opset,
        "providers": list(session.get_providers()),
        "micro_batch": batch,
        "optimization": OPTIMIZATION,
        "tf32": False,
        "inputs": [tensor.as_json() for tensor in inputs],
        "outputs": [tensor.as_json() for tensor in outputs],
        "tap": tap,
        "fingerprint_seed": seed,
        "item_bytes": sum(tensor.item_bytes for tensor in outputs) + FINGERPRINT_BYTES,
        "extra": {"fingerprint_floats": FINGERPRINT_FLOATS},
    }


class _Feed:
    """Batches to try the model on: its own items where there are some, else random ones."""

    def __init__(self, inputs: tuple[Tensor, ...], files: object) -> None:
        self._inputs = inputs
        self._items = Items(files, inputs) if files else None
        self._count = min(64, self._items.count()) if self._items else 0

    def batch(self, rows: int, seed: int) -> dict[str, np.ndarray]:
        if self._items is None:
            return random_batch(self._inputs, rows, seed)
        return self._items.rows([(seed + row) % self._count for row in range(rows)], rows)


def _trouble(session: Any, profile: Profile, feed: _Feed, options: Any, least: int) -> str:
    """Why this tap does not do: not per item, not float32, or an item's bits depend on its place or its companions."""
    size, batch = profile.micro_batch, feed.batch(profile.micro_batch, 1)
    names = [output.name for output in session.get_outputs()]
    tap = run(session, [names[names.index(profile.tap)]], batch, options)[0]
    if tap.dtype != np.float32:
        return f"it is {tap.dtype}, not float32"
    if tap.ndim == 0 or tap.shape[0] != size:
        return f"its shape {list(tap.shape)} does not begin with the {size} items"
    if tap[0].size < least:
        return f"it has only {tap[0].size} values an item"
    if not np.isfinite(tap).all():
        return "it holds values that are not finite"
    straight = run_batch(session, profile, batch, size, options)
    length = profile.item_bytes
    if run_batch(session, profile, batch, size, options) != straight:
        return "two runs of one batch differ"
    others = feed.batch(size, 7)
    for place in range(size):
        moved = {name: np.roll(array, place, axis=0) for name, array in others.items()}
        for name, array in moved.items():
            array[place] = batch[name][0]
        got = run_batch(session, profile, moved, size, options)
        if got[place * length : (place + 1) * length] != straight[:length]:
            return "an item's result depends on the other items of its batch"
    return ""


def _time(sessions: Sessions, session: Any, profile: Profile, feed: _Feed, options: Any) -> float:
    """Seconds for each micro-batch, fingerprint included, with as many of them at a time as in a tile: the median of
    what fits the time, at least three."""
    batch, before = feed.batch(profile.micro_batch, 3), anonymous_bytes()

    def one(_: int) -> None:
        run_batch(session, profile, batch, profile.micro_batch, options)

    one(0)
    used = anonymous_bytes()
    streams = streams_within(sessions.streams, used=used, growth=used - before, limit=sessions.memory)
    each(streams, one, range(streams))
    taken: list[float] = []
    while len(taken) < 3 or (sum(taken) < _TIMING_SECONDS and len(taken) < 200):
        started = time.perf_counter()
        each(streams, one, range(streams))
        taken.append(time.perf_counter() - started)
        if sum(taken) > 20:
            break
    return float(np.median(taken)) / streams


def _count(files: object, inputs: tuple[Tensor, ...]) -> int | None:
    return Items(files, inputs).count() if files else None


def _whole(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RequestError("bad_request", f"{name} must be a whole number from {least} to {most}")
    return value
