"""Sandbox specs of the two runners, so that nobody else has to know what they are made of."""

from __future__ import annotations

from pathlib import Path

from node.sandbox import SCRATCH, Bind, Limits, SandboxSpec, find_runtime

__all__ = ["blender_runner_spec", "onnx_runner_spec"]

_NODE = Path(__file__).resolve().parents[1]
_JOBS = _NODE.parent / "jobs"
_RUNNER = "/runner"


def blender_runner_spec(
    *,
    scratch: Path,
    assets: Path | None,
    device: str = "CPU",
    threads: int,
    blender: Path | None = None,
    devices: tuple[Path, ...] = (),
    limits: Limits | None = None,
) -> SandboxSpec:
    """The Blender runner on `device` (CPU, CUDA, OPTIX...), in this Python with bpy, or in the executable `blender`.

    `devices` are the GPU's device files (`node.sandbox.nvidia_devices`). Raises what `find_runtime` raises.
    """
    runtime = find_runtime(blender=blender)
    start = ("--python", f"{_RUNNER}/blender/__main__.py", "--") if blender else (f"{_RUNNER}/blender",)
    arguments = ("--scratch", SCRATCH, "--device", device, "--threads", str(threads))
    return SandboxSpec(
        argv=(*runtime.command, *start, *arguments),
        binds=(*runtime.binds, Bind(_NODE / "runners" / "blender", f"{_RUNNER}/blender")),
        scratch=scratch,
        assets=assets,
        devices=devices,
        limits=limits or Limits(),
    )


def onnx_runner_spec(
    *,
    scratch: Path,
    assets: Path | None,
    provider: str = "CPUExecutionProvider",
    device_index: int = 0,
    threads: int,
    spin: bool = False,
    devices: tuple[Path, ...] = (),
    limits: Limits | None = None,
) -> SandboxSpec:
    """The inference runner in this Python; of `jobs` only what checks a model is visible to it.

    `spin` is for machines that do nothing else: idle threads wait busily, which is faster there and changes no bit.
    """
    runtime = find_runtime()
    needed = ("__init__.py", "errors.py", "model_check.py", "model_graph.py")
    return SandboxSpec(
        argv=(
            *(*runtime.command, f"{_RUNNER}/onnx", "--provider", provider),
            *("--device", str(device_index), "--threads", str(threads)),
            *(("--spin",) if spin else ()),
        ),
        binds=(
            *runtime.binds,
            Bind(_NODE / "runners" / "onnx", f"{_RUNNER}/onnx"),
            *(Bind(_JOBS / name, f"{_RUNNER}/lib/jobs/{name}") for name in needed),
        ),
        scratch=scratch,
        assets=assets,
        devices=devices,
        environment={"PYTHONPATH": f"{_RUNNER}/lib", "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"},
        limits=limits or Limits(),
    )
