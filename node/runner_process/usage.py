"""What a tree of processes uses, read from /proc: the runner's own word for it is not taken."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["ScratchUse", "TreeUse", "measure_scratch", "measure_tree"]

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class TreeUse:
    """A look at a process and all its descendants."""

    processes: int
    """Threads included."""
    memory_bytes: int
    """Anonymous and shared memory that is resident, summed: pages that processes share are counted for each."""
    cpu_seconds: float
    """User and system time of the living, and of those children that they have waited for."""


@dataclass(frozen=True, slots=True)
class ScratchUse:
    bytes: int
    """Allocated on disk: a file with holes counts what it takes."""
    files: int


def measure_tree(root: int) -> TreeUse:
    """Of `root` and everything below it. Processes that end meanwhile are left out."""
    processes, memory, ticks = 0, 0, 0
    for pid in _descendants(root):
        try:
            status = _read(f"/proc/{pid}/status").decode("ascii", "replace")
            # The name, second field, may itself hold blanks and brackets.
            times = _read(f"/proc/{pid}/stat").decode("ascii", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                memory += int(line.split()[1]) * 1024
            elif line.startswith("Threads:"):
                processes += int(line.split()[1])
        ticks += sum(int(value) for value in times[11:15])
    return TreeUse(processes, memory, ticks / _TICKS)


def measure_scratch(folder: Path, *, stop_at_bytes: int, stop_at_files: int) -> ScratchUse:
    """What lies under `folder`, never following a link; the walk ends as soon as either bound is passed."""
    total, files = 0, 0
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    files += 1
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    total += found.st_blocks * 512
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(entry.path)
                    if total > stop_at_bytes or files > stop_at_files:
                        return ScratchUse(total, files)
        except OSError:
            continue
    return ScratchUse(total, files)


def _read(path: str) -> bytes:
    """A whole file of /proc, in a fifth of the time that a Path takes: this runs several times a second for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _descendants(root: int) -> list[int]:
    found, waiting = [root], [root]
    while waiting:
        pid = waiting.pop()
        try:
            threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (only the names are wanted)
        except OSError:
            continue
        for thread in threads:
            try:
                children = _read(f"/proc/{pid}/task/{thread}/children").split()
            except FileNotFoundError:
                if Path(f"/proc/{pid}/task/{pid}/children").exists() or not Path(f"/proc/{pid}").exists():
                    continue
                return _descendants_by_psutil(root)  # a kernel without CONFIG_PROC_CHILDREN
            except OSError:
                continue
            new = [int(child) for child in children]
            found += new
            waiting += new
    return found


def _descendants_by_psutil(root: int) -> list[int]:
    try:
        return [root, *(child.pid for child in psutil.Process(root).children(recursive=True))]
    except psutil.Error:
        return [root]
