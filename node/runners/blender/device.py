# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices Cycles can use here, choosing one, and the instruction set that decides a CPU's last bits."""

from __future__ import annotations

import platform
from collections.abc import Collection
from pathlib import Path
from typing import Any

import bpy

from .errors import RunnerError

GPU_KINDS = ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI")


def _preferences() -> Any:
    addon = bpy.context.preferences.addons.get("cycles")
    if addon is None:
        import addon_utils  # type: ignore[import-not-found]

        addon_utils.enable("cycles", default_set=True)
        addon = bpy.context.preferences.addons["cycles"]
    return addon.preferences


def list_devices(kinds: Collection[str] = GPU_KINDS) -> list[dict[str, str]]:
    """`[{"id": "CPU" | "OPTIX:0" ..., "name": ...}]`, the CPU and GPUs of these kinds; the id is what `--device` takes.

    Asking for a kind loads its drivers, which takes a while and, under an emulator, can end the process.
    """
    found = [{"id": "CPU", "name": platform.processor() or platform.machine()}]
    if not kinds:
        return found
    preferences = _preferences()
    offered = {item[0] for item in preferences.get_device_types(bpy.context)}
    for kind in GPU_KINDS:
        if kind in offered and kind in kinds:
            devices = [d for d in preferences.get_devices_for_type(kind) or () if d.type == kind]
            found += [{"id": f"{kind}:{i}", "name": d.name} for i, d in enumerate(devices)]
    return found


def use_device(wanted: str) -> str:
    """Choose `CPU` or `KIND:INDEX` for Cycles; returns what `scene.cycles.device` must be.

    Raises RunnerError `device_unavailable`.
    """
    kind, _, index = wanted.upper().partition(":")
    preferences = _preferences()
    if kind == "CPU":
        preferences.compute_device_type = "NONE"
        return "CPU"
    if f"{kind}:{index or 0}" not in [d["id"] for d in list_devices((kind,))]:
        known = [d["id"] for d in list_devices()]
        raise RunnerError("device_unavailable", f"There is no device {wanted}; this machine has {', '.join(known)}.")
    preferences.compute_device_type = kind
    preferences.refresh_devices()
    of_kind = [d for d in preferences.devices if d.type == kind]
    for device in preferences.devices:
        device.use = False
    of_kind[int(index or 0)].use = True
    return "GPU"


def instruction_set() -> str:
    """The widest set that Cycles, Embree and OIDN would pick: it is part of a numerics class."""
    machine = platform.machine().lower()
    if machine in ("arm64", "aarch64"):
        return "neon"
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return machine or "unknown"
    flags = set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())
    if {"avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"} <= flags:
        return "avx512"
    if {"avx2", "fma", "bmi1", "bmi2", "f16c"} <= flags:
        return "avx2"
    return "sse42" if "sse4_2" in flags else machine
