"""From a SandboxSpec to the command line that starts it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from node.sandbox.spec import GIB, JOB, SCRATCH, Limits, SandboxSpec

__all__ = ["SYSTEM_PATHS", "build_command", "build_environment", "build_limits"]

SYSTEM_PATHS = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/share/fonts",
    "/usr/share/fontconfig",
    "/usr/share/glvnd",
    "/usr/share/egl",
    "/usr/share/drirc.d",
    "/usr/share/X11/locale",
    "/usr/share/zoneinfo",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/usr/bin/prlimit",
)
"""All that is shared of the system: libraries, fonts, the loader's cache. Never /etc, /run, /var or a home."""

_DRIVER_PATHS = (
    "/sys/bus/pci",
    "/sys/class/drm",
    "/sys/class/kfd",
    "/sys/dev/char",
    "/sys/devices",
    "/etc/OpenCL/vendors",
)
"""What GPU drivers read to find their device; bound only when a device is."""

_USER = "1000"


def build_command(spec: SandboxSpec, *, seccomp_fd: int | None = None) -> list[str]:
    """The bwrap command line for `spec`; `seccomp_fd` is an open descriptor holding the program of `seccomp_filter()`.

    The root is an empty tmpfs, made read-only once everything is in place. Binds come in the order of their depth,
    so that a folder never hides one that was bound inside it.
    """
    quarter = max(spec.limits.tmp_bytes // 4, 1024**2)
    command = [
        "bwrap",
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--cap-drop",
        "ALL",
        "--uid",
        _USER,
        "--gid",
        _USER,
        "--hostname",
        "kiln",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        *("--size", str(quarter), "--tmpfs", "/dev/shm"),  # noqa: S108 (a mount point, not a file of ours)
        *("--size", str(spec.limits.tmp_bytes), "--tmpfs", "/tmp"),  # noqa: S108
    ]
    system = [*SYSTEM_PATHS, *(_DRIVER_PATHS if spec.devices else ())]
    mounts = [*_system_mounts(system)]
    mounts += [("--ro-bind", str(bind.source), bind.inside) for bind in spec.binds]
    if spec.assets is not None:
        mounts.append(("--ro-bind", str(spec.assets), JOB))
    mounts.append(("--bind", str(spec.scratch), SCRATCH))
    mounts += [("--dev-bind", str(device), str(device)) for device in spec.devices]
    for mount in sorted(mounts, key=lambda m: m[2].count("/")):
        command += mount
    command += ["--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in build_environment(spec).items():
        command += ["--setenv", name, value]
    command += ["--chdir", SCRATCH]
    if seccomp_fd is not None:
        command += ["--seccomp", str(seccomp_fd)]
    return [*command, "--", *build_limits(spec.limits), *spec.argv]


def build_environment(spec: SandboxSpec, *, home: str = "/tmp") -> dict[str, str]:  # noqa: S108
    """The whole environment inside: nothing of the host's is inherited."""
    return {
        "PATH": "/usr/bin",
        "HOME": home,
        "TMPDIR": home,
        "XDG_CACHE_HOME": home,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        **spec.environment,
    }


def build_limits(limits: Limits, *, count_processes: bool = True) -> list[str]:
    """The prlimit prefix that is run inside, where RLIMIT_NPROC counts only the sandbox's own processes.

    RLIMIT_DATA is set a quarter (at least 1 GiB) above the memory limit: it counts what may be written, not what
    was, and is only there so that one jump between two looks of the watchdog cannot take the machine.
    """
    data = limits.memory_bytes + max(GIB, limits.memory_bytes // 4)
    command = ["/usr/bin/prlimit", "--core=0:0", f"--nofile={limits.open_files}:{limits.open_files}"]
    command += [f"--fsize={limits.file_bytes}:{limits.file_bytes}", f"--data={data}:{data}"]
    if limits.cpu_seconds is not None:
        command.append(f"--cpu={limits.cpu_seconds}:{limits.cpu_seconds + 1}")
    if count_processes:
        command.append(f"--nproc={limits.processes}:{limits.processes}")
    return [*command, "--"]


def _system_mounts(paths: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    for name in paths:
        path = Path(name)
        if path.is_symlink() and path.is_dir():  # /lib on a merged /usr
            yield ("--symlink", str(path.readlink()), name)
        elif path.exists():
            yield ("--ro-bind", name, name)
