"""Devices as `--device` takes them, from the hardware that is here."""

from __future__ import annotations

from node.hardware.probe import Hardware

__all__ = ["device_ids"]

_KINDS = {"NVIDIA": ("OPTIX", "CUDA"), "AMD": ("HIP",), "Intel": ("ONEAPI",)}
"""How runners reach a vendor's GPUs, the fastest way first."""


def device_ids(hardware: Hardware, *, every: bool = False) -> list[str]:
    """`OPTIX:0` and the like: each GPU the fastest way, with `every` each way, and at last `CPU`."""
    counted: dict[str, int] = {}
    found = []
    for gpu in hardware.gpus:
        index = gpu.index if gpu.vendor == "NVIDIA" else counted.get(gpu.vendor, 0)
        counted[gpu.vendor] = counted.get(gpu.vendor, 0) + 1
        found += [f"{kind}:{index}" for kind in _KINDS[gpu.vendor][: None if every else 1]]
    return [*found, "CPU"]
