"""What this node tells the gateway about itself."""

from __future__ import annotations

import importlib.metadata
import logging
from pathlib import Path

from jobs.constraints import device_kind
from jobs.errors import BadInput
from jobs.states import WorkKind
from jobs.wire import PROTOCOL, RegisterNode, RuntimeClass
from node.agent.settings import AgentSettings
from node.canary import CanaryFailed, Measured, measured_classes
from node.hardware import Hardware
from node.runner_pool import RunnerPool
from node.runner_programs import installed_runtimes
from node.sandbox import Launcher

__all__ = ["agent_version", "bench", "registration"]

log = logging.getLogger("kilnet.node")


def agent_version() -> str:
    """Version of the installed distribution."""
    try:
        return importlib.metadata.version("kilnet")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def vram(hardware: Hardware, device: str, registered: str) -> int:
    """Bytes of memory of the GPU that a runtime works on; 0 for a processor, or where the driver does not say.

    `device` is the operator's (`OPTIX:0`), `registered` what the runtime was found to work on."""
    kind, _, number = device.upper().partition(":")
    index = int(number) if number.isdigit() else 0
    if kind == "CPU" or device_kind(registered) == "CPU":
        return 0
    nvidia = kind in ("CUDA", "OPTIX")
    for gpu in hardware.gpus:
        if (gpu.vendor == "NVIDIA") == nvidia and gpu.index == (index if nvidia else index + 128):
            return gpu.memory_bytes or 0
    return 0


def bench(settings: AgentSettings, launcher: Launcher, hardware: Hardware, *, again: bool = False) -> list[Measured]:
    """The canary's finding for every runtime that works here. Raises BadInput where none does."""
    folder: Path = settings.canary_folder or settings.data / "canary"
    pool = RunnerPool(settings.data / "scratch" / "canary", settings.runner, launcher)
    found, troubles = [], []
    try:
        for runtime in installed_runtimes(settings.runner):
            try:
                found += measured_classes(runtime, pool, folder, hardware, again=again)
            except CanaryFailed as error:
                troubles.append(str(error))
                log.warning("%s is left out: %s", runtime, error)
    finally:
        pool.close()
    if not found:
        reason = "; ".join(troubles) or "neither bpy nor onnxruntime is installed"
        raise BadInput(f"no runtime works here: {reason}; see `kilnet doctor`", code="no_runtime")
    return found


def registration(
    settings: AgentSettings, hardware: Hardware, runtimes: tuple[RuntimeClass, ...], *, sandboxed: bool
) -> RegisterNode:
    """The registration of this node."""
    return RegisterNode(
        protocol=PROTOCOL,
        agent_version=f"kilnet {agent_version()}",
        name=settings.name,
        owner=settings.owner,
        owner_signature=settings.owner_signature,
        hardware=hardware.as_json(),
        sandboxed=sandboxed,
        audits=settings.kinds is None or WorkKind.AUDIT in settings.kinds,
        runtimes=tuple(
            one.model_copy(update={"vram_bytes": vram(hardware, settings.runner.device, one.device)})
            for one in runtimes
        ),
        memory_bytes=min(hardware.memory_bytes, settings.runner.memory_bytes or hardware.memory_bytes),
        ask_usd_per_kiln_hour=settings.ask_usd_per_kiln_hour,
        region=settings.region,
    )
