"""Runs a canary through the real runner in its real sandbox.

numerics class = RUNTIME-VERSION/DEVICE/the first 16 hex digits of the SHA-256 of the canary's raw result
score          = the benchmark's reference seconds / its seconds here (on a CPU: its processor seconds / threads)

Two machines are in one class exactly when the canary's every bit is the same on both; docs/proof.md says what that is
used for. Score 1.0 is a machine that takes the reference seconds: two cores of a server CPU with AVX-512.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jobs.contract import InferContract, RenderContract, TensorSpec
from jobs.errors import KilnetError
from jobs.wire import RuntimeClass
from node.runner_pool import RunnerPool, WarmRunner
from node.runner_process import RunnerFailure
from node.runner_programs import BLENDER, onnx_provider

__all__ = ["CanaryFailed", "Measured", "measure"]

REFERENCE_SECONDS = {"blender": 1.0, "onnxruntime": 0.12}
"""What the benchmark takes at score 1.0 (see above)."""

_JOB = "canary"
_HERE = Path(__file__).resolve().parent
_FRAME, _SIZE, _SAMPLES = 2, (160, 96), 64
_BITS_SAMPLES, _BENCH_SAMPLES = (0, 8), (8, 40)
_ITEMS, _BENCH_ROUNDS = 32, 32
_BENCHES = 2
_DEADLINE = 600.0


class CanaryFailed(KilnetError):
    """A runtime that is installed does not work here, or does not repeat itself."""

    code = "canary_failed"


@dataclass(frozen=True, slots=True)
class Measured:
    """What the canary found out about one runtime on one device."""

    runtime: str
    version: str
    device: str
    digest: str
    """SHA-256 of the raw result, hex."""
    seconds: float
    """The best of the benchmark's runs (see _seconds)."""

    @property
    def numerics_class(self) -> str:
        return f"{self.runtime}-{self.version}/{self.device}/{self.digest[:16]}"

    @property
    def score(self) -> float:
        return round(REFERENCE_SECONDS[self.runtime] / max(self.seconds, 1e-6), 4)

    def as_class(self) -> RuntimeClass:
        """As it is registered."""
        return RuntimeClass(
            runtime=self.runtime,
            version=self.version,
            device=self.device,
            numerics_class=self.numerics_class,
            score=min(max(self.score, 1e-4), 10_000.0),
        )


def measure(runtime: str, pool: RunnerPool, folder: Path) -> Measured:
    """Run `runtime`'s canary twice and its benchmark, some seconds in all; `folder` is for its files.

    Raises CanaryFailed where it does not run, or where two runs differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        runner = _runner(runtime, pool, folder)
        run = _blender if runtime == BLENDER else _onnx
        digests = {_digest(run(runner, pool, bench=False)) for _ in range(2)}
        if len(digests) > 1:
            raise CanaryFailed(
                f"{runtime} on {pool.settings.device} does not repeat itself to the bit: no class for it"
            )
        seconds = []
        for _ in range(_BENCHES):
            run(runner, pool, bench=True)
            seconds.append(_seconds(runner, pool))
    except RunnerFailure as error:
        raise CanaryFailed(f"{runtime} does not work here: {error}") from error
    finally:
        pool.discard(_JOB)
    return Measured(runtime, runner.version, _device(runtime, pool), digests.pop(), min(seconds))


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


def _blender(runner: WarmRunner, _pool: RunnerPool, *, bench: bool) -> bytearray:
    width, height = _SIZE
    window = (0, 0, width, height)
    contract = RenderContract(
        version=runner.version,
        engine="CYCLES",
        scene="Scene",
        camera="Camera",
        width=width,
        height=height,
        window=window,
        samples=_SAMPLES,
        seed=7,
        adaptive=False,
        guard=0,
        channels=tuple(f"ViewLayer.Combined.{c}" for c in "RGBA"),
    )
    data = bytearray(contract.result_bytes(contract.rect))
    answer = runner.request(
        "render_tile",
        {
            "blend": "/job/canary.blend",
            "contract": contract.model_dump(mode="json"),
            "frame": _FRAME,
            "rect": window,
            "samples": _BENCH_SAMPLES if bench else _BITS_SAMPLES,
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


def _digest(data: bytearray) -> str:
    return hashlib.sha256(data).hexdigest()
