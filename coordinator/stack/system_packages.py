"""Programs and shared libraries that come from the system, and how each distribution calls their packages.

Run as a program by `make`, before anything of ours is installed (`--install`), and read by `kilnet doctor`. So it
stands on the standard library alone and runs on any Python from 3.8 on.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import shutil
import subprocess
import sys
from typing import NamedTuple

__all__ = ["PARTS", "SystemPart", "distribution", "install_command", "main", "missing_parts"]


class SystemPart(NamedTuple):
    """Something that no wheel carries."""

    name: str
    """A program's name, or a library's soname where it begins with `lib`."""
    needed_for: str
    required: bool
    """Whether nothing at all renders without it."""
    debian: str
    fedora: str
    arch: str

    def present(self) -> bool:
        """Whether the program is on PATH, or the loader finds the library."""
        if not self.name.startswith("lib"):
            return shutil.which(self.name) is not None
        try:
            ctypes.CDLL(self.name)
        except OSError:
            return False
        return True


_BLENDER = "Blender"
_EEVEE = "EEVEE scenes"

PARTS = (
    SystemPart("bwrap", "the sandbox", False, "bubblewrap", "bubblewrap", "bubblewrap"),
    SystemPart("prlimit", "the sandbox", False, "util-linux", "util-linux", "util-linux"),
    SystemPart("libX11.so.6", _BLENDER, True, "libx11-6", "libX11", "libx11"),
    SystemPart("libXext.so.6", _BLENDER, True, "libxext6", "libXext", "libxext"),
    SystemPart("libXfixes.so.3", _BLENDER, True, "libxfixes3", "libXfixes", "libxfixes"),
    SystemPart("libXi.so.6", _BLENDER, True, "libxi6", "libXi", "libxi"),
    SystemPart("libXrender.so.1", _BLENDER, True, "libxrender1", "libXrender", "libxrender"),
    SystemPart("libXt.so.6", "MaterialX in Blender", False, "libxt6", "libXt", "libxt"),
    SystemPart("libICE.so.6", _BLENDER, True, "libice6", "libICE", "libice"),
    SystemPart("libSM.so.6", _BLENDER, True, "libsm6", "libSM", "libsm"),
    SystemPart("libxkbcommon.so.0", _BLENDER, True, "libxkbcommon0", "libxkbcommon", "libxkbcommon"),
    SystemPart("libGL.so.1", _BLENDER, True, "libgl1", "libglvnd-glx", "libglvnd"),
    SystemPart("libOpenGL.so.0", _BLENDER, True, "libopengl0", "libglvnd-opengl", "libglvnd"),
    SystemPart("libEGL.so.1", _EEVEE, False, "libegl1", "libglvnd-egl", "libglvnd"),
    SystemPart("libEGL_mesa.so.0", _EEVEE, False, "libegl-mesa0", "mesa-libEGL", "mesa"),
)
"""bpy 5.2's own libraries were asked with ldd; EGL is what it opens for EEVEE when there is no display."""


def missing_parts() -> list[SystemPart]:
    """What this machine lacks."""
    return [part for part in PARTS if not part.present()]


def distribution() -> str:
    """`debian`, `fedora`, `arch`, or `` for another family."""
    try:
        with open("/etc/os-release", encoding="utf-8") as file:  # noqa: PTH123 - runs before anything is installed
            fields = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
    except OSError:
        return ""
    names = "{} {}".format(fields.get("ID", ""), fields.get("ID_LIKE", "")).replace('"', "").split()
    for family, known in (
        ("debian", {"debian", "ubuntu"}),
        ("fedora", {"fedora", "rhel", "centos"}),
        ("arch", {"arch"}),
    ):
        if known & set(names):
            return family
    return ""


def install_command(parts: list[SystemPart], family: str) -> list[str]:
    """The command that brings these parts on a distribution family, without sudo; empty for an unknown family."""
    start = {"debian": ["apt-get", "install", "-y", "--no-install-recommends"], "fedora": ["dnf", "install", "-y"]}
    start["arch"] = ["pacman", "-S", "--needed", "--noconfirm"]
    if family not in start or not parts:
        return []
    return start[family] + sorted({getattr(part, family) for part in parts})


def _as_root() -> list[str] | None:
    """What to put before a command so that it runs as root, or None where that takes a password."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None


def _install_on_debian(parts: list[SystemPart], before: list[str]) -> None:
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    install = before + environment + install_command(parts, "debian")
    print("system packages: " + " ".join(sorted({part.debian for part in parts})), flush=True)
    if subprocess.run(install, stdout=subprocess.DEVNULL, check=False).returncode == 0:
        return
    # A fresh machine knows no package lists.
    subprocess.run([*before, *environment, "apt-get", "update", "-qq"], stdout=subprocess.DEVNULL, check=False)
    if subprocess.run(install, stdout=subprocess.DEVNULL, check=False).returncode == 0:
        return
    for part in parts:  # one package that this release does not have must not keep the others away
        subprocess.run(
            before + environment + install_command([part], "debian"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip


def _tell(parts: list[SystemPart]) -> None:
    out = sys.stderr
    print("missing on this machine:", file=out)
    for part in parts:
        print(f"  {part.name:20s} for {part.needed_for}", file=out)
    print("install with:", file=out)
    for family, label in (("debian", "Debian, Ubuntu"), ("fedora", "Fedora"), ("arch", "Arch")):
        print("  {:15s} sudo {}".format(label, " ".join(install_command(parts, family))), file=out)


def main(arguments: list[str] | None = None) -> int:
    """0 where all that is required is there, 1 where Blender could not be loaded."""
    parser = argparse.ArgumentParser(description="Look for the system's programs and libraries that kilnet uses.")
    parser.add_argument("--install", action="store_true", help="install what is missing, where that takes no password")
    options = parser.parse_args(arguments)
    if platform.system() != "Linux":
        print("kilnet's nodes run on Linux (on Windows: WSL2); this is " + platform.system(), file=sys.stderr)
        return 1
    missing = missing_parts()
    if missing and options.install and distribution() == "debian" and shutil.which("apt-get"):
        before = _as_root()
        if before is not None:
            _install_on_debian(missing, before)
            missing = missing_parts()
    if missing:
        _tell(missing)
    return 1 if any(part.required for part in missing) else 0


if __name__ == "__main__":
    sys.exit(main())
