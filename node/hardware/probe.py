"""CPU, memory and system of this machine, for the registration and for the key of the canary's cache."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from node.hardware.gpus import Gpu, find_gpus

__all__ = ["Hardware", "parse_cpuinfo", "probe"]

_TELLING = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "bmi2",
    "avx512f",
    "avx512vl",
    "avx512_vnni",
    "amx_tile",
    "asimd",
    "sve",
)
"""Instruction sets by which renderers and inference libraries choose their kernels: they decide the last bits."""


@dataclass(frozen=True, slots=True)
class Hardware:
    cpu: str
    machine: str
    flags: tuple[str, ...]
    """Those of the CPU's flags that decide which kernels run."""
    cores: int
    """Physical."""
    threads: int
    """Logical, that this process may use."""
    memory_bytes: int
    """What this process may use: the machine's, or its control group's where that is less."""
    system: str
    gpus: tuple[Gpu, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def probe() -> Hardware:
    """Look at this machine; some milliseconds, or as long as nvidia-smi takes."""
    name, flags = parse_cpuinfo(_read(Path("/proc/cpuinfo")))
    return Hardware(
        cpu=name or platform.processor() or "unknown",
        machine=platform.machine(),
        flags=tuple(flag for flag in _TELLING if flag in flags),
        cores=psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        threads=len(os.sched_getaffinity(0)),
        memory_bytes=_memory(),
        system=f"{platform.system()} {platform.release()}",
        gpus=tuple(find_gpus()),
    )


def parse_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """Model name and flags (x86) or features (ARM) of the first processor in /proc/cpuinfo."""
    name, flags = "", frozenset[str]()
    for line in text.split("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = " ".join(value.split())
        elif key.strip() in ("flags", "Features"):
            flags = frozenset(value.split())
    return name, flags


def _memory() -> int:
    total = psutil.virtual_memory().total
    limit = _read(Path("/sys/fs/cgroup/memory.max")).strip()
    return min(total, int(limit)) if limit.isdigit() else total


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
