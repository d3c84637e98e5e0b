"""The `kilnet` program, as a person starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

__all__ = ["kilnet_json"]


def kilnet_json(*arguments: object) -> dict[str, Any]:
    """Run a command with --json against the stack named by $KILNET_GATEWAY and $KILNET_KEY; it must succeed."""
    command = [sys.executable, "-m", "coordinator.cli", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
