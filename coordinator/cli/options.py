"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.addresses import check_address
from jobs.constraints import parse_device, parse_region
from jobs.errors import BadInput

__all__ = [
    "Deadline", "Devices", "Gateway", "Json", "Key", "MaxPrice", "MinMemory", "MinReputation", "MinVram", "Name",
    "Nodes", "NotRegions", "Out", "Owners", "Regions", "Unsandboxed", "Yes", "parse_constraints", "parse_price",
    "parse_usd",
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
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", metavar="REGION", help="Only nodes there, such as eu or eu-de; may be given again."),
]
NotRegions = Annotated[
    list[str] | None, typer.Option("--not-region", metavar="REGION", help="No nodes there; may be given again.")
]
Devices = Annotated[
    list[str] | None,
    typer.Option("--device", metavar="KIND", help="CPU, GPU, CUDA, OPTIX, HIP, METAL or ONEAPI; may be given again."),
]
MinMemory = Annotated[float | None, typer.Option("--min-memory", metavar="GIB", help="Memory a node must have.")]
MinVram = Annotated[float | None, typer.Option("--min-vram", metavar="GIB", help="Memory its device must have.")]
MinReputation = Annotated[
    float | None,
    typer.Option("--min-reputation", metavar="0..1", help="A new node stands at 0.5."),
]
Owners = Annotated[
    list[str] | None,
    typer.Option("--owner", metavar="ADDRESS", help="Only nodes that this owner signed for; may be given again."),
]
Unsandboxed = Annotated[
    bool,
    typer.Option("--unsandboxed", help="Where this command starts the local stack: without a sandbox, only your own."),
]


def parse_constraints(
    *,
    regions: Sequence[str] | None = None,
    not_regions: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    min_memory: float | None = None,
    min_vram: float | None = None,
    min_reputation: float | None = None,
    owners: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Fields of the job spec, as typed. Raises BadInput naming the option."""
    for owner in owners or ():
        check_address(owner, "--owner")
    fields: dict[str, Any] = {
        "regions": tuple(parse_region(text) for text in regions or ()),
        "not_regions": tuple(parse_region(text, "--not-region") for text in not_regions or ()),
        "devices": tuple(parse_device(text) for text in devices or ()),
        "owners": tuple(owners or ()),
        "min_memory_gb": min_memory,
        "min_vram_gb": min_vram,
        "min_reputation": min_reputation,
    }
    return {name: value for name, value in fields.items() if value not in (None, ())}


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


def parse_usd(option: str, text: str | None) -> Decimal | None:
    """An amount with at most six decimals. Raises BadInput."""
    if text is None:
        return None
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not (amount.is_finite() and 0 <= amount <= 10**9 and amount == round(amount, 6)):
        raise BadInput(f"{option} {text!r}: write an amount of USD, such as 25 or 2.50")
    return amount
