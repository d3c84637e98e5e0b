"""Warm runners: one sandboxed process for each job, because a job's sandbox sees that job's files and no others."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jobs
import node
from jobs.errors import BadInput
from node.runner_process import RunnerFailure, RunnerProcess, open_result
from node.sandbox import (
    GIB,
    SCRATCH,
    Bind,
    Bubblewrap,
    Launcher,
    Limits,
    SandboxSpec,
    Unsandboxed,
    find_runtime,
    nvidia_devices,
    render_devices,
    sandbox_available,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

__all__ = [
    "BLENDER",
    "ONNX",
    "RunnerPool",
    "RunnerSettings",
    "WarmRunner",
    "choose_launcher",
    "installed_runtimes",
    "onnx_provider",
]

log = logging.getLogger("kilnet.node")

BLENDER, ONNX = "blender", "onnxruntime"
_RUNNERS = Path(node.__file__).resolve().parent / "runners"
_PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "OPTIX": "CUDAExecutionProvider",
    "HIP": "ROCMExecutionProvider",
}
_START_SECONDS = 300.0
_SILENCE_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """How runners are started on this device."""

    device: str = "CPU"
    """CPU, or KIND:INDEX such as OPTIX:0 (Blender) and CUDA:0 (both)."""
    threads: int = 0
    """CPU threads; 0: all."""
    memory_bytes: int = 8 * GIB
    scratch_bytes: int = 32 * GIB
    blender: Path | None = None
    """A Blender executable; None: the bpy of this interpreter."""


def choose_launcher(*, unsandboxed: bool) -> Launcher:
    """The sandbox, or none where the operator insists. Raises BadInput where it does not work, with the remedy."""
    if unsandboxed:
        return Unsandboxed(operator_insists=True)
    report = sandbox_available()
    if not report.available:
        raise BadInput(
            f"no sandbox for strangers' scenes: {report.detail}; {report.remedy}. "
            "(--unsandboxed only on a machine that renders nothing but your own)",
            code="no_sandbox",
        )
    return Bubblewrap()


def installed_runtimes(blender: Path | None = None) -> list[str]:
    """Which runtimes this machine has at all; whether they work is the canary's to say."""
    found = []
    if blender is not None or importlib.util.find_spec("bpy") is not None:
        found.append(BLENDER)
    if importlib.util.find_spec("onnxruntime") is not None:
        found.append(ONNX)
    return found


class WarmRunner:
    """A started runner and its scratch folder. Every result is taken out of the folder as soon as it is there."""

    def __init__(self, process: RunnerProcess, runtime: str) -> None:
        self.process, self.runtime = process, runtime
        self.scratch = process.spec.scratch
        self.version = str(process.ready.get("version", ""))
        self.used_at = time.monotonic()

    def request(
        self,
        op: str,
        payload: Mapping[str, object],
        *,
        cancel: threading.Event | None = None,
        on_progress: Callable[[float], None] | None = None,
        deadline: float | None = None,
    ) -> dict[str, Any]:
        """As RunnerProcess.request. Raises RunnerFailure."""
        try:
            return dict(
                self.process.request(
                    op,
                    payload,
                    cancel=cancel,
                    on_progress=on_progress,
                    silence_timeout=_SILENCE_SECONDS,
                    deadline=deadline,
                )
            )
        finally:
            self.used_at = time.monotonic()

    def take(self, name: object, into: memoryview) -> None:
        """Read the result `name`, which must have exactly the length of `into`, and remove it. Raises RunnerFailure."""
        with open_result(self.scratch, name, size=len(into)) as (file, _):
            got = 0
            while got < len(into):
                count = file.readinto(into[got:])  # type: ignore[attr-defined]
                if not count:
                    raise RunnerFailure(f"the result {name} shrank while it was read")
                got += count
        self.clear()

    def give(self, name: str, data: Buffer) -> str:
        """Put `data` into a new file `name` of the scratch folder; returns its path inside.

        Never through a link that the runner may have left there.
        """
        path = self.scratch / name
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        return f"{SCRATCH}/{name}"

    def clear(self) -> None:
        """Empty the scratch folder."""
        for entry in os.scandir(self.scratch):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink()

    @property
    def alive(self) -> bool:
        return self.process.alive

    def close(self) -> None:
        self.process.stop(grace=0.5)
        shutil.rmtree(self.scratch, ignore_errors=True)


class RunnerPool:
    """The runners of one work loop, by job and runtime; the least recently used one goes when there are too many.

    Used by one thread; only `close` may come from another.
    """

    def __init__(self, root: Path, settings: RunnerSettings, launcher: Launcher, *, keep: int = 1) -> None:
        self.settings, self.launcher = settings, launcher
        self.scratch_root, self._keep = root, max(1, keep)
        shutil.rmtree(root, ignore_errors=True)  # what an earlier process left
        root.mkdir(parents=True)
        self._warm: OrderedDict[tuple[str, str], WarmRunner] = OrderedDict()
        self._count = 0

    def get(self, runtime: str, job: str, folder: Path, *, cancel: threading.Event | None = None) -> WarmRunner:
        """The job's runner, started now unless it is warm. Raises RunnerFailure where it does not start."""
        key = (job, runtime)
        runner = self._warm.pop(key, None)
        if runner is not None and not runner.alive:
            runner.close()
            runner = None
        if runner is None:
            while len(self._warm) >= self._keep:
                self._warm.popitem(last=False)[1].close()
            runner = self._start(runtime, folder, cancel)
        self._warm[key] = runner
        return runner

    def jobs(self) -> tuple[str, ...]:
        """Jobs whose files are loaded, the warmest first."""
        return tuple(dict.fromkeys(job for job, _ in reversed(self._warm)))[:16]

    def discard(self, job: str) -> None:
        """Stop the runners of a job: it failed, or is over."""
        for key in [key for key in self._warm if key[0] == job]:
            self._warm.pop(key).close()

    def discard_idle(self, seconds: float) -> None:
        """Stop runners that nobody used for so long: their memory is worth more than their warmth."""
        for key in [key for key, runner in self._warm.items() if time.monotonic() - runner.used_at > seconds]:
            self._warm.pop(key).close()

    def log_tail(self, job: str) -> str:
        """The last lines that the job's runners wrote to stderr."""
        lines = [line for key, runner in self._warm.items() if key[0] == job for line in runner.process.stderr_tail]
        return "\n".join(lines[-60:])[-8000:]

    def close(self) -> None:
        while self._warm:
            self._warm.popitem()[1].close()
        shutil.rmtree(self.scratch_root, ignore_errors=True)

    def _start(self, runtime: str, folder: Path, cancel: threading.Event | None) -> WarmRunner:
        self._count += 1
        scratch = self.scratch_root / f"{runtime}-{self._count}"
        scratch.mkdir(mode=0o700)
        process = RunnerProcess(self._spec(runtime, scratch, folder), launcher=self.launcher)
        started = time.monotonic()
        try:
            process.start(timeout=_START_SECONDS, cancel=cancel)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        log.debug("%s runner started in %.1f s", runtime, time.monotonic() - started)
        return WarmRunner(process, runtime)

    def _spec(self, runtime: str, scratch: Path, folder: Path) -> SandboxSpec:
        program = _blender_program if runtime == BLENDER else _onnx_program
        argv, binds = program(self.settings, self.settings.threads or len(os.sched_getaffinity(0)))
        return SandboxSpec(
            argv=argv,
            binds=binds,
            scratch=scratch,
            assets=folder,
            devices=_device_files(self.settings.device),
            limits=Limits(memory_bytes=self.settings.memory_bytes, scratch_bytes=self.settings.scratch_bytes),
        )


_Program = tuple[tuple[str, ...], tuple[Bind, ...]]


def _blender_program(settings: RunnerSettings, threads: int) -> _Program:
    runtime, inside = find_runtime(blender=settings.blender), "/runner/blender"
    script = ("--python", f"{inside}/__main__.py", "--") if settings.blender else (inside,)
    arguments = ("--scratch", "/scratch", "--device", settings.device, "--threads", str(threads))
    return (*runtime.command, *script, *arguments), (*runtime.binds, Bind(_RUNNERS / "blender", inside))


def _onnx_program(settings: RunnerSettings, threads: int) -> _Program:
    runtime, inside = find_runtime(), "/runner/node/runners/onnx"
    provider, index = onnx_provider(settings.device)
    arguments = ("--provider", provider, "--device", str(index), "--threads", str(threads))
    # Its model check lives in jobs, which it looks for three folders above itself.
    binds = (Bind(_RUNNERS / "onnx", inside), Bind(Path(jobs.__file__).resolve().parent, "/runner/jobs"))
    return (*runtime.command, inside, *arguments), (*runtime.binds, *binds)


def onnx_provider(device: str) -> tuple[str, int]:
    """The execution provider and index for a device such as CPU or CUDA:0. Raises BadInput."""
    kind, _, index = device.upper().partition(":")
    if kind not in _PROVIDERS:
        raise BadInput(f"--device {device}: one of {', '.join(_PROVIDERS)}, with :INDEX for the second of a kind")
    return _PROVIDERS[kind], int(index) if index.isdigit() else 0


def _device_files(device: str) -> tuple[Path, ...]:
    kind, _, index = device.upper().partition(":")
    number = int(index) if index.isdigit() else 0
    if kind in ("CUDA", "OPTIX", "TENSORRT"):
        return nvidia_devices(number)
    if kind in ("HIP", "ONEAPI", "ROCM"):
        return render_devices(128 + number)
    return ()
