"""``python -m contracts.build``: compiles the contracts and writes ``contracts/artifacts/``.

The artifacts are committed, so that a user needs no compiler. They are reproducible: the same sources and versions
give the same bytes (no metadata is appended to the bytecode, keys are sorted). Nothing is downloaded.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from contracts.artifacts import CONTRACTS
from contracts.errors import ChainError, ToolMissing
from contracts.toolchain import PACKAGE, find_forge, find_node

__all__ = ["ARTIFACTS", "BuildFailed", "build", "run_forge", "write"]

ARTIFACTS = PACKAGE / "artifacts"
VECTORS = "vectors.json"


class BuildFailed(ChainError):
    """The compiler or a forge test refused the sources; the message is its output."""


def run_forge(arguments: list[str], *, profile: str = "default", must_pass: bool = True) -> str:
    """Runs forge in this folder, offline, and returns what it printed. Raises BuildFailed where it fails, unless it
    printed something and need not pass; ToolMissing."""
    if not (PACKAGE / "node_modules" / "solc").is_dir():
        raise ToolMissing("the compiler is not installed: get it with `python -m contracts.toolchain --developer`")
    environment = os.environ | {"KILNET_NODE": str(find_node()), "FOUNDRY_PROFILE": profile, "NO_COLOR": "1"}
    done = subprocess.run(
        [str(find_forge()), *arguments], cwd=PACKAGE, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode != 0 and (must_pass or not done.stdout):
        raise BuildFailed(f"forge {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def build() -> dict[str, dict[str, Any]]:
    """Compiles and returns file name -> content of every artifact, the vectors included. Raises BuildFailed."""
    run_forge(["build", "--force", *[f"src/{name}.sol" for name in CONTRACTS]])
    files: dict[str, dict[str, Any]] = {}
    for name in CONTRACTS:
        compiled = json.loads((PACKAGE / "out" / f"{name}.sol" / f"{name}.json").read_text())
        files[f"{name}.json"] = {
            "contractName": name,
            "abi": compiled["abi"],
            "bytecode": compiled["bytecode"]["object"],
        }
    run_forge(["test", "--match-contract", "VectorsTest"])
    files[VECTORS] = json.loads((PACKAGE / "out" / VECTORS).read_text())
    return files


def write(files: dict[str, dict[str, Any]], folder: Path = ARTIFACTS) -> list[Path]:
    """Writes artifacts as sorted, indented JSON; returns the files whose bytes changed."""
    folder.mkdir(exist_ok=True)
    changed = []
    for name, content in files.items():
        path = folder / name
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            changed.append(path)
    return changed


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.build", description="Compile the contracts.")
    parser.parse_args()
    try:
        changed = write(build())
    except ChainError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(f"wrote {path.relative_to(PACKAGE.parent)}" for path in changed) or "artifacts are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
