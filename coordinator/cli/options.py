"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.errors import BadInput

__all__ = [
    "Deadline", "Gateway", "Json", "Key", "MaxPrice", "Name", "Nodes", "Out", "Unsandboxed", "Yes", "parse_price",
]  # fmt: skip

Gateway = Annotated[str | None, typer.Option(help="The gateway's URL. [env: KILNET_GATEWAY]")]
Key = Annotated[str | None, typer.Option(help="Your key (0x-hex), or the file that holds it. [env: KILNET_KEY]")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")]
MaxPrice = Annotated[str | None, typer.Option("--max-price", metavar="USD", help="Never pay more than this.")]
Deadline = Annotated[
    str | None, typer.Option(metavar="TIME", help="End by then, refunded for what is not done: 90s, 30m, 12h, 7d.")
]
Out = Annotated[Path | None, typer.Option(help="Where the results go. [default: a folder named after the input]")]
Name = Annotated[str, typer.Option(help="A name to find the job by.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Accept the quote without asking.")]
Nodes = Annotated[
    int, typer.Option(min=1, max=256, help="Local nodes, where this command starts the local stack itself.")
]
Unsandboxed = Annotated[
    bool,
    typer.Option("--unsandboxed", help="Where this command starts the local stack: without a sandbox, only your own."),
]


def parse_price(text: str | None) -> float | None:
    """USD. Raises BadInput for what is no positive number."""
    if text is None:
        return None
    try:
        value = float(text.strip().removeprefix("$"))
    except ValueError:
        value = float("nan")
    if not 0 < value <= 1e9:
        raise BadInput(f"--max-price {text!r}: write a positive amount of USD, such as 2.50")
    return value
