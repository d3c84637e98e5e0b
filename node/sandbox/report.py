"""Does the sandbox work on this machine, and if not, what to do about it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from node.sandbox.command import build_command
from node.sandbox.launcher import Bubblewrap
from node.sandbox.seccomp import seccomp_filter
from node.sandbox.spec import SandboxSpec

__all__ = ["SandboxReport", "sandbox_available"]

_INSTALL = (
    "install bubblewrap: `apt install bubblewrap` (Debian, Ubuntu), `dnf install bubblewrap` (Fedora), "
    "`pacman -S bubblewrap` (Arch)"
)
_NEEDED = (0, 8)  # --disable-userns, --size


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What `kilnet doctor` shows. `remedy` is empty exactly when `available`."""

    available: bool
    bwrap: Path | None
    version: str | None
    namespaces: bool
    """The sandbox that runners get was really started, once."""
    seccomp: bool
    detail: str
    remedy: str


def sandbox_available() -> SandboxReport:
    """Start the real sandbox around nothing (some 10 ms) and say what came of it. Never raises."""
    found = shutil.which("bwrap")
    seccomp = seccomp_filter() is not None
    if platform.system() != "Linux":
        return SandboxReport(
            False,
            None,
            None,
            False,
            seccomp,
            f"nodes run on Linux, this is {platform.system()}",
            "use Linux; on Windows, WSL2",
        )
    if found is None:
        return SandboxReport(False, None, None, False, seccomp, "bwrap is not on PATH", _INSTALL)
    version = _first_line([found, "--version"]).removeprefix("bubblewrap ")
    if _parts(version) < _NEEDED:
        detail = f"bubblewrap {version or '(unknown version)'} is too old, 0.8 is needed"
        return SandboxReport(False, Path(found), version, False, seccomp, detail, "upgrade: " + _INSTALL)
    if not Path("/usr/bin/prlimit").exists():
        remedy = "install util-linux: `apt install util-linux`, `dnf install util-linux`, `pacman -S util-linux`"
        return SandboxReport(False, Path(found), version, False, seccomp, "/usr/bin/prlimit is missing", remedy)
    trouble = _try_once()
    if trouble:
        return SandboxReport(False, Path(found), version, False, seccomp, trouble, _remedy(trouble))
    return SandboxReport(True, Path(found), version, True, seccomp, "works", "")


def _try_once() -> str:
    """The last line of what bwrap complained about, or nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        # prlimit is the one program that every sandbox has.
        spec = SandboxSpec(argv=("/usr/bin/prlimit", "--version"), scratch=Path(scratch))
        try:
            process = Bubblewrap().start(
                spec, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            _, errors = process.communicate(timeout=20)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{build_command(spec)[0]} did not run: {error}"
    if process.returncode == 0:
        return ""
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"bwrap ended with {process.returncode}"


def _remedy(trouble: str) -> str:
    if _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "allow user namespaces: `sysctl -w kernel.unprivileged_userns_clone=1`"
    if _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "allow user namespaces: `sysctl -w user.max_user_namespaces=15000`"
    if _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "let bwrap use user namespaces: `apt install apparmor-profiles`, then load its bwrap-userns-restrict"
    if "proc" in trouble:
        return "run the node outside the container, or start that with `--security-opt systempaths=unconfined`"
    return "run the node outside the container, or start the container with `--security-opt seccomp=unconfined`"


def _setting(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return None


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.splitlines() or [""])[0].strip()


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
