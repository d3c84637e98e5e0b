"""`kilnet economics`: what cheating would earn, strategy by strategy, and the stake that keeps it from paying."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Json

if TYPE_CHECKING:
    from rich.table import Table

    from verification.strategies import Outcome

__all__ = ["register"]

_WIDTH = 150
"""Columns, at least: what wraps is hard to read as a table."""


def register(app: typer.Typer) -> None:
    """Adds `kilnet economics`."""
    app.command("economics")(_economics)


def _economics(
    stake: Annotated[
        float | None,
        typer.Option(min=0, max=1e9, metavar="USD", help="What a node stakes. [default: what the policy asks]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """What cheating would earn a node, and the stake that keeps it from paying."""
    from verification.economics import DEFAULT_STAKE_USD
    from verification.strategies import outcomes

    stake = DEFAULT_STAKE_USD if stake is None else stake
    rows = outcomes(stake)
    paying = [row.name for row in rows if row.profit >= 0]
    if as_json:
        answer(_report(stake, rows, paying))
        return
    from rich.console import Console

    console = Console()
    console = Console(width=max(console.width, _WIDTH))
    console.print(_table(rows))
    console.print(_legend(stake), markup=False)
    if paying:
        console.print(f"With this stake these would pay: {'; '.join(paying)}.", markup=False, style="red")
    else:
        console.print("No strategy earns as much as honest work.", markup=False)


def _report(stake: float, rows: list[Outcome], paying: list[str]) -> dict[str, Any]:
    from verification.economics import DEFAULT_TILE_USD, stake_per_tile_pay

    return {
        "stake_usd": stake,
        "stake_tiles": stake_per_tile_pay(stake),
        "tile_usd": DEFAULT_TILE_USD,
        "unit": "pay of one tile, per tile, beyond honest work",
        "strategies": [
            {
                name: None if isinstance(value, float) and math.isinf(value) else value
                for name, value in row._asdict().items()
            }
            for row in rows
        ],
        "all_negative": not paying,
    }


def _table(rows: list[Outcome]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("strategy")
    for title in ("touches", "saves", "refused", "stopped after", "profit", "stake needed", "with the stake"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            row.name, _percent(row.touches), _percent(row.saves), _percent(row.refused), _tiles(row.tiles),
            _signed(row.gain), "" if row.stake == 0 else f"{row.stake:.1f} tiles", _signed(row.profit),
        )  # fmt: skip
    return table


def _percent(share: float | None) -> str:
    if share is None:
        return ""
    return f"{share:.1%}" if 0 < share < 0.1 or 0.9 < share < 1 else f"{share:.0%}"


def _tiles(count: float | None) -> str:
    return "" if count is None else f"{count:,.0f} tiles"


def _signed(profit: float) -> str:
    return f"{profit:+.3f}" if abs(profit) < 1 else f"{profit:+.1f}"


def _legend(stake: float) -> str:
    from verification.economics import stake_per_tile_pay

    return (
        "touches: share of a tile's cells that come out differently. saves: share of its work left out. refused: "
        "chance that a tile is refused, in good standing. stopped after: expected tiles until a pattern, for a node "
        "that goes on. profit: per tile, beyond honest work in the same time, in units of a tile's pay; by withheld "
        f"pay alone, then with a stake of {stake:g} USD ({stake_per_tile_pay(stake):.0f} of the longest tiles at the "
        "default price) that is lost at a confirmed pattern. docs/proof.md has the formulas."
    )
