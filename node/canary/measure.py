"""Runs a canary through the real runner in its real sandbox.

numerics class = RUNTIME-VERSION/DEVICE/the first 16 hex digits of the SHA-256 of the canary's raw result
                 RUNTIME-VERSION/DEVICE/varies-... (of the device's name) where two runs of the canary differ
score          = the benchmark's reference seconds / its seconds here (on a CPU: its processor seconds / threads)

Two machines are in one class exactly when the canary's every bit is the same on both; docs/proof.md says what that is
used for. Score 1.0 is a machine that takes the reference seconds: two cores of a server CPU with AVX-512.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jobs.contract import RASTER, InferContract, RenderContract, TensorSpec
from jobs.errors import KilnetError
from jobs.wire import RuntimeClass
from node.runner_pool import RunnerPool, WarmRunner
from node.runner_process import RunnerFailure
from node.runner_programs import BLENDER, onnx_provider

__all__ = ["CanaryFailed", "Measured", "measure", "measure_all"]

log = logging.getLogger("kilnet.node")

REFERENCE_SECONDS = {"blender": 1.0, "onnxruntime": 0.12}
"""What the benchmark takes at score 1.0 (see above)."""

_JOB = "canary"
_HERE = Path(__file__).resolve().parent
_FRAME, _SIZE, _SAMPLES = 2, (160, 96), 64
_BITS_SAMPLES, _BENCH_SAMPLES = (0, 8), (8, 40)
_ITEMS, _BENCH_ROUNDS = 32, 32
_BENCHES = 2
_EEVEE, _EEVEE_SAMPLES = "BLENDER_EEVEE", 16
_DEADLINE = 600.0


class CanaryFailed(KilnetError):
    """A runtime that is installed does not work here."""

    code = "canary_failed"


@dataclass(frozen=True, slots=True)
class Measured:
    """What the canary found out about one runtime on one device."""

    runtime: str
    version: str
    device: str
    digest: str
    """SHA-256, hex: of the raw result, or of the device's name where results vary."""
    seconds: float
    """The best of the benchmark's runs (see _seconds)."""
    repeats: bool = True
    """Two runs gave the same bits: then, and then only, bits can be compared within the class."""

    @property
    def numerics_class(self) -> str:
        varies = "" if self.repeats else "varies-"
        return f"{self.runtime}-{self.version}/{self.device}/{varies}{self.digest[:16]}"

    @property
    def score(self) -> float:
        return round(
            REFERENCE_SECONDS[BLENDER if self.runtime == RASTER else self.runtime] / max(self.seconds, 1e-6), 4
        )

    def as_class(self) -> RuntimeClass:
        """As it is registered."""
        return RuntimeClass(
            runtime=self.runtime,
            version=self.version,
            device=self.device,
            numerics_class=self.numerics_class,
            score=min(max(self.score, 1e-4), 10_000.0),
            repeats=self.repeats,
        )


def measure(runtime: str, pool: RunnerPool, folder: Path, *, bench: bool = True) -> Measured:
    """What `measure_all` finds out about `runtime` itself; its class alone, without seconds, where `bench` is False.
    Raises CanaryFailed."""
    return measure_all(runtime, pool, folder, bench=bench)[0]


def measure_all(runtime: str, pool: RunnerPool, folder: Path, *, bench: bool = True) -> list[Measured]:
    """Run `runtime`'s canary twice and its benchmark, some seconds in all; `folder` is for its files. Of Blender also
    what is found out about the graphics driver, where there is one: its raster engines have a class of their own.

    Raises CanaryFailed where it does not run."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        runner = _runner(runtime, pool, folder)
        run = _blender if runtime == BLENDER else _onnx
        digests = {_digest(run(runner, pool, bench=False)) for _ in range(2)}
        seconds = [] if bench else [0.0]
        for _ in range(_BENCHES * bench):
            run(runner, pool, bench=True)
            seconds.append(_seconds(runner, pool))
        device, repeats = _device(runtime, pool), len(digests) == 1
        digest = digests.pop() if repeats else _digest(json.dumps(runner.process.ready.get("devices")).encode())
        found = [Measured(runtime, runner.version, device, digest, min(seconds), repeats)]
        if bench and runtime == BLENDER and (driver := _driver(runner)) is not None:
            found.append(_raster(runner, pool, driver, min(seconds)))
        return found
    except RunnerFailure as error:
        raise CanaryFailed(f"{runtime} does not work here: {error}") from error
    finally:
        pool.discard(_JOB)


def _driver(runner: WarmRunner) -> dict[str, Any] | None:
    """What the runner says of the graphics driver; None where there is none."""
    try:
        return runner.request("raster", {}, deadline=_DEADLINE)
    except RunnerFailure as error:
        log.info("no EEVEE and no Workbench here: %s", error)
        return None


def _raster(runner: WarmRunner, pool: RunnerPool, driver: dict[str, Any], seconds: float) -> Measured:
    """The class of the raster engines: what the driver's own shader canary drew, and who the driver is.

    Software drivers repeat EEVEE's frames to the bit (measured on llvmpipe, see docs/proof.md), and drawing one twice
    takes them half a minute; of any other driver the canary scene is drawn twice, with EEVEE."""
    names = {name: driver.get(name) for name in ("renderer", "vendor", "version", "backend", "digest")}
    repeats = bool(driver.get("software"))
    if not repeats:
        repeats = len({_digest(_frame(runner, pool, _EEVEE, (0, _EEVEE_SAMPLES))) for _ in range(2)}) == 1
    digest = _digest(json.dumps(names, sort_keys=True).encode())
    return Measured(RASTER, runner.version, str(driver.get("backend") or "GPU"), digest, seconds, repeats)


def _seconds(runner: WarmRunner, pool: RunnerPool) -> float:
    """What the last request took, or would have taken on a machine with nothing else to do.

    A benchmark of wall time is wrong for ever when it is run while other nodes start on the same machine; the processor
    time of its threads is not. A GPU's time shows in the wall time only.
    """
    usage = runner.process.last_usage
    assert usage is not None
    threads = pool.settings.threads or len(os.sched_getaffinity(0))
    busy = usage.cpu_seconds / threads
    return busy if _kind(pool) == "CPU" and busy > 0 else usage.wall_seconds


def _runner(runtime: str, pool: RunnerPool, folder: Path) -> WarmRunner:
    name = "canary.blend" if runtime == BLENDER else "canary.onnx"
    shutil.copyfile(_HERE / name, folder / name)
    if runtime != BLENDER:
        raw = hashlib.shake_256(b"kilnet/canary/items").digest(_ITEMS * 3 * 64 * 64)
        np.savez(folder / "items.npz", image=np.frombuffer(raw, np.uint8).reshape(_ITEMS, 3, 64, 64))
    return pool.get(runtime, _JOB, folder)


def _device(runtime: str, pool: RunnerPool) -> str:
    return _kind(pool) if runtime == BLENDER else onnx_provider(pool.settings.device)[0]


def _kind(pool: RunnerPool) -> str:
    return pool.settings.device.upper().partition(":")[0]


def _blender(runner: WarmRunner, pool: RunnerPool, *, bench: bool) -> bytearray:
    return _frame(runner, pool, "CYCLES", _BENCH_SAMPLES if bench else _BITS_SAMPLES)


def _frame(runner: WarmRunner, _pool: RunnerPool, engine: str, samples: tuple[int, int]) -> bytearray:
    """A part of the samples of the canary scene's frame (of the raster engines all of them), raw."""
    width, height = _SIZE
    window = (0, 0, width, height)
    cycles = engine == "CYCLES"
    contract = RenderContract(
        version=runner.version,
        engine=engine,
        scene="Scene",
        camera="Camera",
        width=width,
        height=height,
        window=window,
        samples=_SAMPLES if cycles else samples[1],
        seed=7,
        adaptive=False,
        guard=0,
        channels=tuple(f"ViewLayer.Combined.{c}" for c in "RGBA"),
        overrides={} if cycles else {"engine": engine},
    )
    data = bytearray(contract.result_bytes(contract.rect))
    answer = runner.request(
        "render_tile",
        {
            "blend": "/job/canary.blend",
            "contract": contract.model_dump(mode="json"),
            "frame": _FRAME,
            "rect": window,
            "samples": samples,
            "out": "canary.raw",
        },
        deadline=_DEADLINE,
    )
    runner.take(answer.get("file"), memoryview(data))
    return data


def _onnx(runner: WarmRunner, pool: RunnerPool, *, bench: bool) -> bytearray:
    contract = InferContract(
        version=runner.version,
        opset=17,
        providers=(onnx_provider(pool.settings.device)[0],),
        micro_batch=4,
        optimization="all",
        tf32=False,
        inputs=(TensorSpec(name="image", dtype="uint8", shape=(3, 64, 64)),),
        outputs=(TensorSpec(name="classes", dtype="float32", shape=(32,)),),
        tap="logits",
        fingerprint_seed=1,
        item_bytes=4 * 32 + 64,
    )
    items = list(range(_ITEMS)) * (_BENCH_ROUNDS if bench else 1)
    payload: dict[str, Any] = {
        "model": "/job/canary.onnx",
        "contract": contract.model_dump(mode="json"),
        "inputs": [{"path": "/job/items.npz", "first": 0}],
        "items": items,
        "out": "/scratch/canary.raw",
    }
    answer = runner.request("infer_items", payload, deadline=_DEADLINE)
    data = bytearray(len(items) * contract.item_bytes)
    runner.take(answer.get("path"), memoryview(data))
    return data


def _digest(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()
