"""Options that several of a node's commands take, and how they answer programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["DEFAULT_DATA", "PATIENCE", "AsJson", "Data", "Gateway", "OperatorKey", "Rpc", "print_json"]

Data = Annotated[Path, typer.Option("--data", help="Folder of this node: key, outbox, cache, node.json.")]
Gateway = Annotated[str, typer.Option("--gateway", envvar="KILNET_GATEWAY", help="URL of the gateway.")]
OperatorKey = Annotated[
    Path | None,
    typer.Option("--operator-key", help="Key file of the owner, who stakes and earns; default: the node's own."),
]
Rpc = Annotated[str | None, typer.Option("--rpc", help="The chain's RPC; default: as the gateway says.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")]
DEFAULT_DATA = Path("~/.local/share/kilnet/node")
PATIENCE = 10.0
"""Seconds that a command waits for a gateway that is away."""


def print_json(value: dict[str, Any]) -> None:
    """One object, on a line."""
    typer.echo(json.dumps(value))
