"""What a sandboxed process is given: plain values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

__all__ = ["GIB", "JOB", "MIB", "SCRATCH", "Bind", "Limits", "SandboxSpec"]

MIB = 1024**2
GIB = 1024**3

JOB = "/job"
"""Where the job's assets are seen inside, read-only."""

SCRATCH = "/scratch"
"""The only place inside where a file outlives the process."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A host path that is visible inside, read-only, at `target` (by default at its own path)."""

    source: Path
    target: str | None = None

    @property
    def inside(self) -> str:
        return self.target if self.target is not None else str(self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one sandbox may use. Which of these the kernel holds and which are watched is said in `node.sandbox`."""

    memory_bytes: int = 8 * GIB
    """Anonymous and shared memory of all processes together, file-backed pages not counted."""
    processes: int = 1024
    """Processes and threads together: a renderer starts several threads per core."""
    open_files: int = 4096
    """Per process."""
    file_bytes: int = 8 * GIB
    """The longest single file; writing past it ends the process with SIGXFSZ or fails with EFBIG."""
    cpu_seconds: int | None = None
    """Per process over its whole life. None for a runner that stays warm: each request has a deadline instead."""
    scratch_bytes: int = 16 * GIB
    scratch_files: int = 100_000
    tmp_bytes: int = 256 * MIB
    """Size of /tmp, which lives in memory; /dev/shm gets a quarter of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """A process to start in an otherwise empty root.

    `argv` names paths as they are inside: `/scratch`, `/job`, `/runner/...`. `binds` is what the program itself
    needs: its interpreter, its packages, its own folder (see `node.sandbox.find_runtime`). `devices` are device
    files by name; nothing is ever bound by pattern. `environment` is added to a small fixed one; nothing is
    inherited.
    """

    argv: tuple[str, ...]
    scratch: Path
    binds: tuple[Bind, ...] = ()
    assets: Path | None = None
    devices: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("argv is empty: name the program that the sandbox should start")
        for path in (
            self.scratch,
            *((self.assets,) if self.assets else ()),
            *self.devices,
            *(b.source for b in self.binds),
        ):
            if not path.is_absolute():
                raise ValueError(f"{path} is relative: the sandbox has no working directory in common with its host")
        for device in self.devices:
            if device.parts[:2] != ("/", "dev"):
                raise ValueError(f"{device} is not a device file: name files under /dev")
