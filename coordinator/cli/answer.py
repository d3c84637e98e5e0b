"""What a program reads: one JSON object on stdout, whatever happens."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["answer", "answered"]

_answers: list[dict[str, Any]] = []


def answer(value: dict[str, Any]) -> None:
    """Print the command's object. An error after it is told on stderr and by the exit code alone."""
    assert not _answers, "a command answers once"
    _answers.append(value)
    print(json.dumps(value, ensure_ascii=False), flush=True)


def answered() -> bool:
    """Whether the command's object is out."""
    return bool(_answers)
