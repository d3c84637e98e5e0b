"""Starting a spec: inside bubblewrap, or, when the operator insists, without any sandbox."""

from __future__ import annotations

import os
import subprocess
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Protocol

from node.sandbox.command import build_command, build_environment, build_limits
from node.sandbox.seccomp import seccomp_filter
from node.sandbox.spec import JOB, SCRATCH, SandboxSpec

__all__ = ["Bubblewrap", "Launcher", "SandboxRefused", "Unsandboxed"]

Stream = int | IO[bytes] | None

# die-with-parent means the parent THREAD: what a short-lived thread starts would be killed when that thread ends.
# So every sandbox is started by this one thread, which lives as long as the process does.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-starter")


class SandboxRefused(RuntimeError):
    """Running without a sandbox was asked for in code, but not by the operator."""


class Launcher(Protocol):
    """What the rest of the node knows of a sandbox, so that it never asks which kind it has."""

    sandboxed: bool

    def start(
        self, spec: SandboxSpec, *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        """Start `spec.argv`; the process leads a process group of its own. Raises OSError when it cannot be started."""
        ...

    def translate(self, spec: SandboxSpec, value: object) -> object:
        """`value` (JSON) with every path under /job or /scratch as the started process has to see it."""
        ...


class Bubblewrap:
    """An empty root with namespaces of its own. Everything dies with this process, even when that is killed with -9."""

    sandboxed = True

    def start(
        self, spec: SandboxSpec, *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        return _starter.submit(self._start, spec, stdin, stdout, stderr).result()

    def _start(self, spec: SandboxSpec, stdin: Stream, stdout: Stream, stderr: Stream) -> subprocess.Popen[bytes]:
        program = seccomp_filter()
        descriptor = None if program is None else os.memfd_create("seccomp")
        try:
            if descriptor is not None and program is not None:
                os.write(descriptor, program)
                os.lseek(descriptor, 0, os.SEEK_SET)
            return subprocess.Popen(
                build_command(spec, seccomp_fd=descriptor),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=() if descriptor is None else (descriptor,),
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
                bufsize=0,
            )
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def translate(self, spec: SandboxSpec, value: object) -> object:
        del spec
        return value


class Unsandboxed:
    """No protection at all: a scene can read whatever the operator's account can, and reach whatever it can reach.

    Only for a machine that renders nothing but its owner's scenes and where bubblewrap cannot work. Limits on open
    files, file size and memory still hold, the environment is still cleared, and the process still leads a process
    group; the number of processes is watched, not held, and processes that leave the group survive it.
    """

    sandboxed = False

    def __init__(self, *, operator_insists: bool) -> None:
        """Raises SandboxRefused unless the operator passed `--unsandboxed` (`operator_insists`)."""
        if not operator_insists:
            raise SandboxRefused(
                "refusing to run a stranger's scene without a sandbox: install bubblewrap (see `kilnet doctor`), or "
                "pass --unsandboxed on a machine that only ever renders your own"
            )
        warnings.warn(
            "UNSANDBOXED: scenes and models can read every file of this account and use its network",
            RuntimeWarning,
            stacklevel=2,
        )

    def start(
        self, spec: SandboxSpec, *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        argv = [str(self.translate(spec, self._at_source(spec, argument))) for argument in spec.argv]
        environment = {
            name: ":".join(self._at_source(spec, part) for part in value.split(":"))
            for name, value in build_environment(spec, home=str(spec.scratch)).items()
        }
        return subprocess.Popen(
            [*build_limits(spec.limits, count_processes=False), *argv],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            env=environment,
            cwd=spec.scratch,
            bufsize=0,
        )

    def translate(self, spec: SandboxSpec, value: object) -> object:
        if isinstance(value, str):
            for inside, outside in ((SCRATCH, spec.scratch), (JOB, spec.assets)):
                if outside is not None and (value == inside or value.startswith(inside + "/")):
                    return str(outside) + value.removeprefix(inside)
            return value
        if isinstance(value, list | tuple):
            return [self.translate(spec, item) for item in value]
        if isinstance(value, dict):
            return {key: self.translate(spec, item) for key, item in value.items()}
        return value

    @staticmethod
    def _at_source(spec: SandboxSpec, path: str) -> str:
        """`path` where the bind that it lies under has its source on this machine."""
        for bind in sorted(spec.binds, key=lambda b: -len(b.inside)):
            if bind.target is not None and (path == bind.inside or path.startswith(bind.inside + "/")):
                # A link's name must stay: Python finds its environment by it.
                return path if Path(path).exists() else str(bind.source) + path.removeprefix(bind.inside)
        return path
