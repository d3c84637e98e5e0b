"""One local stack with three nodes for all end-to-end tests, and the `kilnet` program as a person starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.stack import LocalStack, temporary_stack

REPO = Path(__file__).parents[2]
SAMPLES = REPO / "samples" / "scenes"


class Kilnet:
    """Runs the `kilnet` program against a running stack and plain Blender beside it."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack

    def run(self, *arguments: str | Path, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "KILNET_GATEWAY": self.stack.gateway_url,
            "KILNET_KEY": str(self.stack.key_file),
        }
        command = [sys.executable, "-m", "coordinator.cli", *map(str, arguments)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )

    def json(self, *arguments: str | Path, timeout: float = 280) -> dict[str, Any]:
        """The one JSON object that a command prints; the command must succeed."""
        done = self.run(*arguments, "--json", timeout=timeout)
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr[-4000:]}\n{done.stdout[-2000:]}"
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with temporary_stack(nodes=3, data=tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def kilnet(stack: LocalStack) -> Kilnet:
    return Kilnet(stack)


@pytest.fixture(scope="session")
def plain() -> Callable[..., dict[str, Any]]:
    """plain(blend, out, **options): renders with nothing but bpy (tests/support/plain_blender.py)."""

    def render(blend: Path, out: Path, **options: Any) -> dict[str, Any]:
        out.mkdir(parents=True, exist_ok=True)
        program = REPO / "tests" / "support" / "plain_blender.py"
        done = subprocess.run(
            [sys.executable, str(program), str(blend), str(out), json.dumps(options)],
            capture_output=True, text=True, timeout=280,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    return render


def delivered(answer: dict[str, Any], kind: str) -> list[Path]:
    """The delivered files of a kind, in the order in which they were told."""
    return [Path(output["path"]) for output in answer["outputs"] if output.get("kind") == kind]


def resaved(blend: Path, target: Path, settings: dict[str, Any]) -> Path:
    """A copy of a scene with other settings, such as {"cycles.use_adaptive_sampling": True}."""
    program = REPO / "tests" / "support" / "resave.py"
    command = [sys.executable, str(program), str(blend), str(target), json.dumps(settings)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return target
