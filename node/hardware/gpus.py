"""GPUs, as nvidia-smi and the kernel's /sys and /dev name them."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Gpu", "find_gpus", "parse_nvidia_smi"]

_QUERY = ("index", "name", "uuid", "memory.total", "driver_version", "compute_cap")
_VENDORS = {"0x1002": "AMD", "0x8086": "Intel", "0x10de": "NVIDIA"}


@dataclass(frozen=True, slots=True)
class Gpu:
    vendor: str
    index: int
    """NVIDIA: the driver's own index. Others: the number of the render node (128 is the first)."""
    name: str
    memory_bytes: int | None
    driver: str | None
    compute_capability: str | None = None
    device: str = ""
    """The device file that it is reached through."""


def find_gpus() -> list[Gpu]:
    """All GPUs with a device file here; an empty list is an answer, not an error."""
    return [*_nvidia(), *_render_nodes()]


def parse_nvidia_smi(text: str) -> list[Gpu]:
    """The GPUs in the answer of `nvidia-smi --query-gpu=… --format=csv,noheader,nounits`."""
    found = []
    for row in csv.reader(io.StringIO(text), skipinitialspace=True):
        if len(row) != len(_QUERY) or not row[0].isdigit():
            continue
        index, name, _, memory, driver, capability = (value.strip() for value in row)
        size = int(memory) << 20 if memory.isdigit() else None
        found.append(Gpu("NVIDIA", int(index), name, size, driver, capability, f"/dev/nvidia{index}"))
    return found


def _nvidia() -> list[Gpu]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_nvidia_smi(done.stdout) if done.returncode == 0 else []


def _render_nodes() -> list[Gpu]:
    found = []
    for node in sorted(Path("/dev/dri").glob("renderD*")):
        device = Path("/sys/class/drm") / node.name / "device"
        vendor = _VENDORS.get(_text(device / "vendor"), "")
        number = node.name.removeprefix("renderD")
        if not number.isdigit() or vendor in ("", "NVIDIA"):
            continue
        memory = _text(device / "mem_info_vram_total")
        name = _text(device / "product_name") or f"{vendor} {_text(device / 'device')}"
        driver = (device / "driver").resolve().name if (device / "driver").exists() else None
        size = int(memory) if memory.isdigit() else None
        found.append(Gpu(vendor, int(number), name, size, driver, None, str(node)))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
