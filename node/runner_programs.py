"""How runners are started on this machine: which program, which device, which sandbox."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import jobs
import node
from jobs.errors import BadInput
from node.sandbox import (
    GIB,
    Bind,
    Bubblewrap,
    Launcher,
    Limits,
    SandboxSpec,
    Unsandboxed,
    find_runtime,
    nvidia_devices,
    render_devices,
    sandbox_available,
)

__all__ = ["BLENDER", "ONNX", "RunnerSettings", "choose_launcher", "installed_runtimes", "onnx_provider", "runner_spec"]

BLENDER, ONNX = "blender", "onnxruntime"
_RUNNERS = Path(node.__file__).resolve().parent / "runners"
_MODEL_CHECK = ("__init__.py", "errors.py", "model_check.py", "model_graph.py")
_PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "OPTIX": "CUDAExecutionProvider",
    "HIP": "MIGraphXExecutionProvider",
}
"""On which ONNX Runtime can be held to the canonical profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """How runners are started on this device."""

    device: str = "CPU"
    """CPU, or KIND:INDEX such as OPTIX:0 (Blender) and CUDA:0 (both)."""
    threads: int = 0
    """CPU threads; 0: all."""
    memory_bytes: int = 8 * GIB
    scratch_bytes: int = 32 * GIB
    blender: Path | None = None
    """A Blender executable; None: the bpy of this interpreter."""


def choose_launcher(*, unsandboxed: bool) -> Launcher:
    """The sandbox, or none where the operator insists. Raises BadInput where it does not work, with the remedy."""
    if unsandboxed:
        return Unsandboxed(operator_insists=True)
    report = sandbox_available()
    if not report.available:
        raise BadInput(
            f"no sandbox for strangers' scenes: {report.detail}; {report.remedy}. "
            "(--unsandboxed only on a machine that renders nothing but your own)",
            code="no_sandbox",
        )
    return Bubblewrap()


def installed_runtimes(settings: RunnerSettings) -> list[str]:
    """Which runtimes this machine has at all for the device; whether they work is the canary's to say."""
    found = []
    if settings.blender is not None or importlib.util.find_spec("bpy") is not None:
        found.append(BLENDER)
    if _kind(settings.device) in _PROVIDERS and importlib.util.find_spec("onnxruntime") is not None:
        found.append(ONNX)
    return found


def runner_spec(settings: RunnerSettings, runtime: str, *, scratch: Path, folder: Path) -> SandboxSpec:
    """The sandboxed process of one runner: `folder` is seen as /job, `scratch` as /scratch."""
    program = _blender_program if runtime == BLENDER else _onnx_program
    argv, binds = program(settings, settings.threads or len(os.sched_getaffinity(0)))
    return SandboxSpec(
        argv=argv,
        binds=binds,
        scratch=scratch,
        assets=folder,
        devices=_device_files(settings.device),
        environment=_ONNX_ENVIRONMENT if runtime == ONNX else {},
        limits=Limits(memory_bytes=settings.memory_bytes, scratch_bytes=settings.scratch_bytes),
    )


_ONNX_ENVIRONMENT = {
    # A sum must not depend on how many cores a machine has.
    "OPENBLAS_NUM_THREADS": "1",
    # Weights are copied once for each cheat that is tried: memory that is asked for again at once is kept, in large
    # pages. Measured on a model of 69 MB: describe in 4.0 s instead of 6.0, a fifth of the time in the kernel.
    "GLIBC_TUNABLES": ":".join(
        f"glibc.malloc.{name}={value}"
        for name, value in {"hugetlb": 1, "mmap_threshold": 1 << 28, "trim_threshold": 1 << 28}.items()
    ),
}
_Program = tuple[tuple[str, ...], tuple[Bind, ...]]


def _blender_program(settings: RunnerSettings, threads: int) -> _Program:
    runtime, inside = find_runtime(blender=settings.blender), "/runner/blender"
    script = ("--python", f"{inside}/__main__.py", "--") if settings.blender else (inside,)
    arguments = ("--scratch", "/scratch", "--device", settings.device, "--threads", str(threads))
    return (*runtime.command, *script, *arguments), (*runtime.binds, Bind(_RUNNERS / "blender", inside))


def _onnx_program(settings: RunnerSettings, threads: int) -> _Program:
    runtime, inside = find_runtime(), "/runner/node/runners/onnx"
    provider, index = onnx_provider(settings.device)
    arguments: tuple[str, ...] = ("--provider", provider, "--device", str(index), "--threads", str(threads))
    arguments += ("--memory", str(settings.memory_bytes))
    if threads >= len(os.sched_getaffinity(0)) > 1:
        # The operator gave this node the whole machine: threads that wait spin, which changes no bit.
        arguments += ("--spin",)
    # Of jobs it sees what checks a model and no more; it looks for it three folders above itself.
    folder = Path(jobs.__file__).resolve().parent
    checks = (Bind(folder / name, f"/runner/jobs/{name}") for name in _MODEL_CHECK)
    return (*runtime.command, inside, *arguments), (*runtime.binds, Bind(_RUNNERS / "onnx", inside), *checks)


def _kind(device: str) -> str:
    return device.upper().partition(":")[0]


def onnx_provider(device: str) -> tuple[str, int]:
    """The execution provider and index for a device such as CPU or CUDA:0. Raises BadInput."""
    kind, _, index = device.upper().partition(":")
    if kind not in _PROVIDERS:
        raise BadInput(f"--device {device}: write one of {', '.join(_PROVIDERS)}, with :INDEX for the second of a kind")
    return _PROVIDERS[kind], int(index) if index.isdigit() else 0


def _device_files(device: str) -> tuple[Path, ...]:
    kind, _, index = device.upper().partition(":")
    number = int(index) if index.isdigit() else 0
    if kind in ("CUDA", "OPTIX"):
        return nvidia_devices(number)
    if kind in ("HIP", "ONEAPI"):
        return render_devices(128 + number)
    return ()
