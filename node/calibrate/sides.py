"""One side of a calibration: how runners of a numerics class are started on this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.errors import BadInput
from node.canary import CanaryFailed
from node.canary.measure import measure
from node.runner_pool import RunnerPool
from node.runner_programs import RunnerSettings, choose_launcher
from node.sandbox import GIB, Launcher, SandboxSpec, Unsandboxed
from node.sandbox.launcher import Stream

__all__ = ["Side", "class_of"]

_MEMORY = 12 * GIB


@dataclass(frozen=True, slots=True)
class Side:
    """`wrapper` is put before the interpreter (an emulator), `python` replaces it (other versions of the runtimes).
    With either there is no sandbox: a calibration runs its operator's own scenes."""

    name: str
    wrapper: tuple[str, ...] = ()
    python: Path | None = None
    device: str = "CPU"
    threads: int = 0
    unsandboxed: bool = False

    @classmethod
    def of(cls, name: str, *, wrapper: str = "", python: Path | None = None, device: str = "CPU") -> Side:
        """Raises BadInput for a program that is not there."""
        words = shlex.split(wrapper)
        if words:
            program = shutil.which(words[0])
            if program is None:
                raise BadInput(
                    f"{words[0]}: no such program; install it (Debian has emulators in the package qemu-user)"
                )
            words[0] = program
        if python is not None and not python.exists():
            raise BadInput(f"{python}: no such interpreter; check the path")
        return cls(name, tuple(words), python.absolute() if python else None, device.upper())

    @property
    def how(self) -> str:
        """For people: nothing of this machine but what was asked for."""
        said = []
        if self.wrapper:
            said.append(" ".join((Path(self.wrapper[0]).name, *self.wrapper[1:])))
        if self.python:
            said.append("another interpreter")
        if self.device != "CPU":
            said.append(self.device)
        return ", ".join(said) or "natively"

    @contextmanager
    def pool(self, root: Path) -> Iterator[RunnerPool]:
        """Runners of this side, stopped at the end; their scratch folder is named by `root` and by this process, so
        that two calibrations can share a work folder."""
        settings = RunnerSettings(device=self.device, threads=self.threads, memory_bytes=_MEMORY)
        own = root.with_name(f"{root.name}-{os.getpid()}")
        pool = RunnerPool(own, settings, self._launcher())
        try:
            yield pool
        finally:
            pool.close()

    def _launcher(self) -> Launcher:
        if self.wrapper or self.python:
            return _Replaced(self)
        return choose_launcher(unsandboxed=self.unsandboxed)


class _Replaced(Unsandboxed):
    """Another interpreter, or the same one through an emulator."""

    def __init__(self, side: Side) -> None:
        super().__init__(operator_insists=True)
        self._side = side

    def start(
        self, spec: SandboxSpec, *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        python = str(self._side.python) if self._side.python else spec.argv[0]
        argv = (*self._side.wrapper, python, *spec.argv[1:])
        return super().start(replace(spec, argv=argv), stdin=stdin, stdout=stdout, stderr=stderr)


def class_of(side: Side, runtime: str, scratch: Path) -> tuple[str, str]:
    """(numerics class, version) of the runtime on this side. The class is what the canary measures;
    RUNTIME-VERSION/unmeasured/REASON where it does not run. Raises RunnerFailure where no runner starts."""
    files = scratch / f"canary-{side.name}-{os.getpid()}"
    with side.pool(scratch / f"runners-canary-{side.name}") as pool:
        files.mkdir(parents=True, exist_ok=True)
        try:
            version = pool.get(runtime, "version", files).version
            pool.discard("version")
            return measure(runtime, pool, files, bench=False).numerics_class, version
        except CanaryFailed as error:
            return f"{runtime}-{version}/unmeasured/{' '.join(str(error).split())[:120]}", version
        finally:
            shutil.rmtree(files, ignore_errors=True)
