"""Batches by one side's runners, kept on disk, honest and cheating."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.contract import InferContract
from node.calibrate.models import Batch, ModelCase
from node.calibrate.sides import Side
from node.hardware import probe
from node.runner_pool import RunnerPool, WarmRunner
from node.runner_programs import ONNX
from node.runners.onnx.cheaper import CHEAPER

__all__ = ["INFER_CHEATS", "TAPPED", "Results", "Workbench", "cheated"]

Results = NDArray[np.uint8]
"""(items, item_bytes): each item's outputs, then its fingerprint."""

_TAIL = 64
TAPPED = "tapped.onnx"
"""The model with its fingerprint tap as an output, in the model's folder."""
_PLAIN, _ITEMS, _SMALLER = "model.onnx", "items.npz", "half-size.npz"


class Workbench:
    """Runs models with the runners of `pool`; `folder` holds a folder for each model, `cache` what came out."""

    def __init__(self, side: Side, pool: RunnerPool, folder: Path, cache: Path) -> None:
        self.side, self.pool, self.folder, self.cache = side, pool, folder, cache
        cache.mkdir(parents=True, exist_ok=True)
        self._machine = [probe().cpu, side.how, str(side.python or ""), side.device]

    def contract(self, case: ModelCase) -> InferContract:
        """Lay out the model's files, tapped and cheaper copies among them, and have this side describe it. Raises
        RunnerFailure where the model is refused."""
        folder = self.folder / case.name
        kept = folder / "contract.json"
        digest = hashlib.sha256(case.path.read_bytes()).hexdigest()
        mark = json.dumps([digest, case.count])
        if not kept.is_file() or (folder / "mark").read_text() != mark:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            shutil.copyfile(case.path, folder / _PLAIN)
            _save(folder / _ITEMS, case.items)
            _save(folder / _SMALLER, {name: _half_size(array) for name, array in case.items.items()})
            runner = self._runner(case)
            asked = {"model": f"/job/{_PLAIN}", "inputs": f"/job/{_ITEMS}", "micro_batch": 4, "fingerprint_seed": 7}
            contract = runner.request("describe", asked)["contract"]
            runner.request(
                "instrument", {"model": f"/job/{_PLAIN}", "tap": contract["tap"], "out": f"/scratch/{TAPPED}"}
            )
            shutil.copyfile(runner.scratch / TAPPED, folder / TAPPED)
            runner.clear()
            for name, make in CHEAPER.items():
                make(folder / TAPPED, folder / f"{name}.onnx")
            (folder / "mark").write_text(mark)
            kept.write_text(json.dumps(contract))
        return InferContract.model_validate_json(kept.read_text())

    def results(
        self,
        case: ModelCase,
        contract: InferContract,
        *,
        model: str = TAPPED,
        items: str = _ITEMS,
        one_by_one: bool = False,
    ) -> Results:
        """All items through a model of the folder; `one_by_one` as an auditor asks for them, in another order."""
        parts = json.dumps(
            [self._machine, contract.model_dump(mode="json"), case.name, case.count, model, items, one_by_one]
        )
        file = self.cache / f"{case.name}-{model}-{hashlib.sha256(parts.encode()).hexdigest()[:24]}.npy"
        if not file.is_file():
            made = (
                self._backwards(case, contract, model, items) if one_by_one else self._run(case, contract, model, items)
            )
            np.save(file, made)
        found: Results = np.load(file)
        return found

    def _runner(self, case: ModelCase) -> WarmRunner:
        return self.pool.get(ONNX, case.name, self.folder / case.name)

    def _run(
        self, case: ModelCase, contract: InferContract, model: str, items: str, chosen: list[int] | None = None
    ) -> Results:
        return self.ask(
            self.pool, contract, self.folder / case.name, model, items, count=case.count, chosen=chosen
        )  # fmt: skip

    @staticmethod
    def ask(
        pool: RunnerPool, contract: InferContract, folder: Path, model: str, items: str, *, first: int = 0,
        count: int = 0, chosen: list[int] | None = None,
    ) -> Results:  # fmt: skip
        """`count` items from `first` on, as a worker does a tile, or the `chosen` ones in that order, as an auditor
        does; `model` and `items` are files of `folder`."""
        runner = pool.get(ONNX, folder.name, folder)
        count = count if chosen is None else len(chosen)
        answer = runner.request(
            "infer" if chosen is None else "infer_items",
            {
                "model": f"/job/{model}", "contract": contract.model_dump(mode="json"), "out": "/scratch/items.raw",
                "inputs": [{"path": f"/job/{items}", "first": 0}], "other_class": True,
                **({"first": first, "count": count} if chosen is None else {"items": chosen}),
            },
        )  # fmt: skip
        data = bytearray(count * contract.item_bytes)
        runner.take(answer.get("path"), memoryview(data))
        return np.frombuffer(bytes(data), np.uint8).reshape(count, contract.item_bytes)

    def _backwards(self, case: ModelCase, contract: InferContract, model: str, items: str) -> Results:
        order = list(range(case.count))[::-1]
        rows = [self._run(case, contract, model, items, order[at : at + 3]) for at in range(0, case.count, 3)]
        return np.concatenate(rows)[::-1].copy()


def _save(path: Path, arrays: Batch) -> None:
    np.savez(path, **{name: np.ascontiguousarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]


def _half_size(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Pictures through half their size and back; the axes of height and width are the two largest."""
    if array.ndim < 4:
        return array
    axes = sorted(sorted(range(1, array.ndim), key=lambda axis: -array.shape[axis])[:2])
    moved = np.moveaxis(array, axes, (-2, -1))
    flat = moved.reshape(-1, *moved.shape[-2:]).astype(np.float32)
    height, width = flat.shape[1:]
    made = []
    for plane in flat:
        small = Image.fromarray(plane, "F").resize((width // 2, height // 2), Image.Resampling.BILINEAR)
        made.append(np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), np.float32))
    back = np.moveaxis(np.stack(made).reshape(moved.shape), (-2, -1), axes)
    return (np.rint(back) if array.dtype.kind in "ui" else back).astype(array.dtype)


@dataclass(frozen=True)
class InferCheat:
    name: str
    saves: str
    everywhere: bool
    """Meant to change every item: one probe should end it."""
    make: Callable[[Results, InferContract, np.random.Generator], Results] | None = None
    """From honest results; None: another model or other items were run."""


def _floats(results: Results, first: int, last: int | None) -> NDArray[np.float32]:
    return np.ascontiguousarray(results[:, first:last]).view("<f4")


def _constant(honest: Results, _c: InferContract, _r: np.random.Generator) -> Results:
    return np.repeat(honest[:1], len(honest), axis=0)


def _cached(honest: Results, _c: InferContract, _r: np.random.Generator) -> Results:
    return np.roll(honest, 1, axis=0)


def _shuffled(honest: Results, _c: InferContract, rng: np.random.Generator) -> Results:
    return honest[rng.permutation(len(honest))]


def _one_forged(honest: Results, _c: InferContract, rng: np.random.Generator) -> Results:
    out = honest.copy()
    out[int(rng.integers(len(out)))] = honest[int(rng.integers(len(out)))] ^ np.uint8(1)
    return out


def _noisy(honest: Results, contract: InferContract, rng: np.random.Generator) -> Results:
    """Noise of 1e-4 of each value on the float outputs; the fingerprint is left alone."""
    out, at = honest.copy(), 0
    for spec in contract.outputs:
        size = int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize
        if spec.dtype == "float32":
            values = _floats(honest, at, at + size)
            noise = values * (1 + np.float32(1e-4) * rng.standard_normal(values.shape).astype(np.float32))
            out[:, at : at + size] = np.ascontiguousarray(noise).view(np.uint8)
        at += size
    return out


def _tampered(honest: Results, _c: InferContract, rng: np.random.Generator) -> Results:
    out = honest.copy()
    marks = _floats(honest, -_TAIL, None) * (
        1 + np.float32(1e-3) * rng.standard_normal((len(out), 16)).astype(np.float32)
    )
    out[:, -_TAIL:] = np.ascontiguousarray(marks).view(np.uint8)
    return out


INFER_CHEATS: tuple[InferCheat, ...] = (
    InferCheat("fp16-weights", "weights of 16 bits", True),
    InferCheat("bf16-weights", "weights in bfloat16", True),
    InferCheat("int8-weights", "weights of 8 bits", True),
    InferCheat("pruned-5", "5% of the weights left out", True),
    InferCheat("pruned-30", "30% of the weights left out", True),
    InferCheat("smaller-model", "weights of half the rank", True),
    InferCheat("half-size-input", "inputs of half the resolution", True),
    InferCheat("constant", "one item's result for all", True, _constant),
    InferCheat("cached", "the result of the item before", True, _cached),
    InferCheat("shuffled", "the right results in another order", True, _shuffled),
    InferCheat("one-forged", "one item of the tile made up", False, _one_forged),
    InferCheat("output-noise", "noise of 1e-4 on the outputs", True, _noisy),
    InferCheat("tampered-fingerprint", "fingerprints off by 1e-3", True, _tampered),
)


def cheated(
    cheat: InferCheat,
    bench: Workbench,
    case: ModelCase,
    contract: InferContract,
    honest: Results,
    rng: np.random.Generator,
) -> Results:
    """What the cheat hands in for all items of a model."""
    if cheat.make is not None:
        return cheat.make(honest, contract, rng)
    if cheat.name == "half-size-input":
        return bench.results(case, contract, items=_SMALLER)
    return bench.results(case, contract, model=f"{cheat.name}.onnx")
