"""The rules that a reader relies on without reading: who may import whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_imports_go_one_way() -> None:
    """jobs <- verification <- node, coordinator; contracts alone; coordinator and node know nothing of each other."""
    done = _lint(_ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_client_needs_neither_celery_nor_blender_nor_a_chain_library() -> None:
    """What a client imports is what the distribution installs without any extra."""
    program = (
        "import sys, jobs.client; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules} "
        "& {'celery', 'redis', 'sqlalchemy', 'bpy', 'web3', 'fastapi', 'onnx', 'onnxruntime', 'coordinator', 'node'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", ["node", "node.cli"])
def test_a_node_imports_nothing_of_the_coordinators_parts(module: str) -> None:
    """Neither Celery, Redis, SQLAlchemy nor a chain library is loaded by an agent."""
    program = (
        f"import sys, {module}; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules} "
        "& {'celery', 'redis', 'sqlalchemy', 'web3', 'fastapi', 'coordinator', 'contracts', 'bpy'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
