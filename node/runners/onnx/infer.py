"""Items through an instrumented model: fixed micro-batches, a padded tail, a fixed number of bytes for each item."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from .arrays import Items, tensors
from .fingerprint import FINGERPRINT_BYTES, fingerprints
from .session import OPTIMIZATION, Sessions, bounded, run
from .streams import anonymous_bytes, each
from .wire import RequestError, Work

__all__ = ["Profile", "infer", "run_batch"]


class Profile:
    """What a contract fixes, read from its JSON and held against this runner.

    Raises RequestError `bad_request` for a malformed contract and `wrong_runtime` where this runner would compute
    other bits (another version, provider or setting), unless the request says `other_class`: then only the settings
    must be the same.
    """

    def __init__(self, contract: object, sessions: Sessions, *, other_class: bool = False) -> None:
        if not isinstance(contract, dict):
            raise RequestError("bad_request", "contract must be the object that describe gave")
        self.inputs, self.outputs = tensors(contract.get("inputs")), tensors(contract.get("outputs"))
        try:
            self.micro_batch = int(contract["micro_batch"])
            self.seed = int(contract["fingerprint_seed"])
            self.tap = str(contract["tap"])
            item_bytes = int(contract["item_bytes"])
            here: dict[str, object] = {"runtime": "onnxruntime", "optimization": OPTIMIZATION, "tf32": False}
            if not other_class:
                here |= {"version": ort.__version__, "providers": sessions.provider}
            for key, value in here.items():
                asked = contract[key][0] if key == "providers" else contract[key]
                if asked != value:
                    raise RequestError(
                        "wrong_runtime", f"the contract asks for {key} {asked!r}, this runner has {value!r}"
                    )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RequestError("bad_request", f"the contract is malformed: {error!r}") from error
        self.item_bytes = sum(t.item_bytes for t in self.outputs) + FINGERPRINT_BYTES
        if item_bytes != self.item_bytes:
            raise RequestError("bad_request", f"item_bytes is {item_bytes}, the outputs make {self.item_bytes}")
        if self.micro_batch < 1 or self.seed < 0:
            raise RequestError("bad_request", "micro_batch must be positive and fingerprint_seed not negative")

    @property
    def names(self) -> list[str]:
        """What is asked of a session: the outputs, then the tap unless it is one of them."""
        names = [tensor.name for tensor in self.outputs]
        return names if self.tap in names else [*names, self.tap]


def run_batch(session: Any, profile: Profile, batch: dict[str, np.ndarray], count: int, options: Any = None) -> bytes:
    """Run one micro-batch and pack it. Raises what `run` and `pack_batch` raise."""
    return pack_batch(profile, run(session, profile.names, batch, options), count)


def pack_batch(profile: Profile, results: list[np.ndarray], count: int) -> bytes:
    """The result bytes of the first `count` rows: for each its outputs, then its fingerprint.

    Raises RequestError `output_changed` where an output has not the contract's shape: its length depends on the data.
    """
    values = dict(zip(profile.names, results, strict=True))
    record = np.empty((count, profile.item_bytes), np.uint8)
    at = 0
    for tensor in profile.outputs:
        value = values[tensor.name]
        if value.shape != (profile.micro_batch, *tensor.shape):
            raise RequestError(
                "output_changed",
                f"output {tensor.name!r} came with shape {list(value.shape)}, the contract has "
                f"{[profile.micro_batch, *tensor.shape]}: outputs whose shape depends "
                "on the data cannot be proven; leave it out or pad it",
                scene_fault=True,
            )
        rows = np.ascontiguousarray(value[:count], tensor.dtype)
        record[:, at : at + tensor.item_bytes] = (
            rows.reshape(count, -1).view(np.uint8).reshape(count, tensor.item_bytes)
        )
        at += tensor.item_bytes
    marks = fingerprints(values[profile.tap][:count], profile.seed)
    record[:, at:] = marks.view(np.uint8).reshape(count, FINGERPRINT_BYTES)
    return record.tobytes()


def infer(
    sessions: Sessions, request: dict[str, Any], work: Work, chosen: Sequence[int] | None = None
) -> dict[str, Any]:
    """Write the result of items `first` to `first + count`, or of the `chosen` ones in that order, to the file `out`.

    Both go through the same micro-batches with the same padding, and an item's bits depend neither on its place in
    the batch nor on its companions (that was checked when the model was described), so both give an item the same
    bytes. Several micro-batches are under way at a time; the file has the items in their order.
    """
    profile = Profile(request.get("contract"), sessions, other_class=request.get("other_class") is True)
    model, out = Path(str(request.get("model"))), Path(str(request.get("out")))
    wanted = chosen if chosen is not None else range(request["first"], request["first"] + request["count"])
    if len(wanted) == 0:
        raise RequestError("bad_request", "no items asked for")
    started, done = time.perf_counter(), 0
    items = Items(
        request.get("inputs"), profile.inputs, lambda: work.progress(done / len(wanted), "waiting for inputs")
    )
    opened = sessions.open(model)
    if profile.tap not in {output.name for output in opened.session.get_outputs()}:
        raise RequestError(
            "not_instrumented", f"the model has no output {profile.tap!r}: instrument it first", scene_fault=True
        )
    loaded = time.perf_counter()
    reading, counting, computing = threading.Lock(), threading.Lock(), threading.Semaphore(1)
    with out.open("wb") as file, bounded(request.get("timeout")) as options:

        def one(start: int) -> None:
            nonlocal done
            here = wanted[start : start + profile.micro_batch]
            with reading:
                batch = items.rows(here, profile.micro_batch)
            with computing:
                values = run(opened.session, profile.names, batch, options)
            packed = pack_batch(profile, values, len(here))
            if os.pwrite(file.fileno(), packed, start * profile.item_bytes) != len(packed):
                raise OSError("the result could not be written whole; make room in the scratch folder")
            with counting:
                done += len(here)
                work.progress(done / len(wanted), f"{done} of {len(wanted)} items")

        starts = iter(range(0, len(wanted), profile.micro_batch))
        if not opened.tried and opened.streams > 1:
            before = anonymous_bytes()
            one(next(starts))
            sessions.fit(model, opened, growth=anonymous_bytes() - before)
        computing = threading.Semaphore(opened.streams)
        # Where one computes at a time, another is read or packed meanwhile.
        each(max(2, opened.streams), one, starts)
    return {
        "path": out.name,
        "items": len(wanted),
        "item_bytes": profile.item_bytes,
        "bytes": len(wanted) * profile.item_bytes,
        "load_seconds": round(loaded - started, 6),
        "seconds": round(time.perf_counter() - loaded, 6),
    }
