"""Which files a runner's interpreter needs, and which device files a GPU is."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from node.sandbox.spec import Bind

__all__ = ["Runtime", "find_runtime", "nvidia_devices", "render_devices"]

_WHOLESALE = {
    Path(p) for p in ("/", "/usr", "/usr/local", "/home", "/root", "/opt", "/var", "/etc", "/run", "/srv", "/mnt")
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a runner's program is started inside, and what must be bound for that."""

    command: tuple[str, ...]
    binds: tuple[Bind, ...]


def find_runtime(executable: Path | None = None, *, blender: Path | None = None) -> Runtime:
    """The Python that runs this process (or `executable`, of the same environment layout), or a Blender executable.

    For Python: the interpreter itself, its standard library and the environment's packages, each read-only at its
    own path, and nothing beside them. For Blender: the folder that its executable lies in; append `--python SCRIPT
    -- ARGUMENTS`.

    Raises FileNotFoundError when the program does not exist, ValueError when its folder could not be bound without
    binding somebody's home or the system with it.
    """
    if blender is not None:
        return _blender_runtime(blender)
    python = executable or Path(sys.executable)
    if not python.exists():
        raise FileNotFoundError(f"{python}: no such interpreter")
    real = python.resolve()
    binds = [Bind(real)]
    base = real.parent.parent
    binds += _libraries(base)
    config = python.parent.parent / "pyvenv.cfg"
    if config.is_file():
        environment = python.parent.parent
        # The symlink's target is bound under the link's own name: Python finds pyvenv.cfg beside the name it was
        # called by.
        binds += [Bind(real, str(python)), Bind(config), *_libraries(environment)]
        outside = _home_of(config)
        if outside is not None and outside.parent != base:
            binds += [Bind(real, str(outside / python.name)), *_libraries(outside.parent)]
    elif python != real:
        binds.append(Bind(real, str(python)))
    return Runtime((str(python), "-s", "-B"), tuple(_distinct(binds)))


def nvidia_devices(index: int) -> tuple[Path, ...]:
    """The device files of NVIDIA GPU `index`, those of them that exist."""
    names = (f"nvidia{index}", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
    return _existing(Path("/dev") / name for name in names)


def render_devices(index: int) -> tuple[Path, ...]:
    """The device files of the AMD or Intel GPU that is render node `index` (128 is the first), those that exist."""
    return _existing((Path(f"/dev/dri/renderD{index}"), Path("/dev/kfd")))


def _blender_runtime(blender: Path) -> Runtime:
    if not blender.exists():
        raise FileNotFoundError(f"{blender}: no such Blender executable")
    real = blender.resolve()
    if real.parent == Path("/usr/bin"):  # a distribution's package spreads over /usr
        binds = [Bind(real), Bind(Path("/usr/share/blender"))]
    else:
        _refuse_wholesale(real.parent)
        binds = [Bind(real.parent)]
    command = (str(real), "--background", "--factory-startup", "-noaudio")
    return Runtime(command, tuple(b for b in binds if b.source.exists()))


def _libraries(prefix: Path) -> list[Bind]:
    """`prefix`/lib and lib64; of the system's prefixes only what belongs to Python, as /usr/lib is bound anyway."""
    if prefix == Path("/usr"):
        return []
    _refuse_wholesale(prefix, but=Path("/usr/local"))
    names = ("lib", "lib64")
    return [Bind(prefix / name) for name in names if (prefix / name).is_dir() and not (prefix / name).is_symlink()]


def _home_of(config: Path) -> Path | None:
    for line in config.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            return Path(value.strip())
    return None


def _refuse_wholesale(folder: Path, *, but: Path | None = None) -> None:
    home = Path("~").expanduser()
    if folder != but and (folder in _WHOLESALE or folder == home or folder in home.parents):
        raise ValueError(f"{folder} holds more than a program: install it in a folder of its own and name that one")


def _existing(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(path for path in paths if path.exists())


def _distinct(binds: Iterable[Bind]) -> list[Bind]:
    seen: dict[str, Bind] = {}
    for bind in binds:
        seen.setdefault(bind.inside, bind)
    return list(seen.values())
