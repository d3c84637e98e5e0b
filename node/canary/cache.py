"""What the canary found, kept on disk for as long as machine, runtime and canary are the same.

The folder may be shared by several agents of one machine: one measures, the others wait and read.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from jobs.contract import RASTER
from node.canary.measure import CanaryFailed, Measured, measure_all
from node.hardware import Hardware
from node.runner_pool import RunnerPool
from node.runner_programs import BLENDER

__all__ = ["measured_class", "measured_classes"]

_FORM = 2
_HERE = Path(__file__).resolve().parent


def measured_class(
    runtime: str, pool: RunnerPool, folder: Path, hardware: Hardware, *, again: bool = False
) -> Measured:
    """The class of one runtime, as `measured_classes` finds it. Raises CanaryFailed, also where there is none."""
    program = BLENDER if runtime == RASTER else runtime
    for found in measured_classes(program, pool, folder, hardware, again=again):
        if found.runtime == runtime:
            return found
    raise CanaryFailed("EEVEE and Workbench do not work here: there is no graphics driver that Blender can use (EGL)")


def measured_classes(
    runtime: str, pool: RunnerPool, folder: Path, hardware: Hardware, *, again: bool = False
) -> list[Measured]:
    """The canary's findings for a runtime that is installed, its own first, from `folder` where they are known, else
    measured now (some seconds).

    `again` measures in any case. Raises CanaryFailed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{_key(runtime, pool, hardware)}.json"
    with _only_one(folder / "lock"):
        if not again:
            with suppress(OSError, ValueError, TypeError):
                kept = [Measured(**one) for one in json.loads(file.read_text(encoding="utf-8"))]
                if kept:
                    return kept
        work = folder / f"files-{os.getpid()}"
        try:
            found = measure_all(runtime, pool, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps([asdict(one) for one in found]), encoding="utf-8")
        beside.replace(file)
    return found


def _key(runtime: str, pool: RunnerPool, hardware: Hardware) -> str:
    """Everything that may change the bits or the speed: then the canary runs anew."""
    settings = pool.settings
    program = str(settings.blender and (settings.blender.resolve(), settings.blender.stat().st_mtime_ns))
    gpus = [(gpu.name, gpu.driver) for gpu in hardware.gpus]
    canary = "canary.blend" if runtime == BLENDER else "canary.onnx"
    parts = [
        _FORM, runtime, _version("bpy"), _version("onnxruntime"), _version("onnxruntime-gpu"), program, settings.device,
        settings.threads, hardware.cpu, hardware.flags, hardware.threads, gpus, pool.launcher.sandboxed,
        hashlib.sha256((_HERE / canary).read_bytes()).hexdigest(),
        hashlib.sha256((_HERE / "measure.py").read_bytes()).hexdigest(),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Two benchmarks at once on one machine would each find half of it."""
    with lock.open("a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
