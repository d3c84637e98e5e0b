"""A chain with the contracts on it, and the program against that chain alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contracts.embedded import EmbeddedChain
from coordinator.cli import answer
from coordinator.cli.endings import Ending
from coordinator.cli.main import run_command
from tests.contracts.conftest import Stack, make_stack

__all__ = ["Program"]

Program = Callable[..., tuple[Ending, dict[str, Any]]]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A chain whose jobs can be disputed for a minute, with one auditor."""
    folder = tmp_path_factory.mktemp("chain")
    with EmbeddedChain(folder / "chain.json") as chain:
        yield make_stack(chain, folder)


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stack: Stack) -> Program:
    """`kilnet ... --json` against the chain: how it ended, in one line at most, and its object."""

    def run(*arguments: object, rpc: str | None = None) -> tuple[Ending, dict[str, Any]]:
        monkeypatch.setattr(answer, "_answers", [])
        ending = run_command([*map(str, arguments), "--rpc", rpc or stack.chain.url, "--json"])
        out = capsys.readouterr().out
        assert "\n" not in ending.line
        return ending, json.loads(out) if out else {}

    return run
