"""`make economy`: 200 nodes, 2,000 jobs, 50 epochs; pictures in docs/images, the books in a table, and what must hold.

`python -m tests.economy [--seeds 1,2,3,4] [--out DIR]`: the pictures and the table are of the first, the spread of all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jobs.pricing import UNIT
from tests.economy.agents import Kind
from tests.economy.claims import check
from tests.economy.plots import draw
from tests.economy.simulation import Economy, simulate

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def table(economy: Economy) -> Table:
    found = Table(box=None, padding=(0, 2, 0, 0))
    found.add_column("participants")
    for title in ("nodes", "leases", "refused", "stopped", "profit at score 1, KILN", "best node, KILN"):
        found.add_column(title, justify="right")
    for kind, profit in economy.profits().items():
        nodes = [node for node in economy.nodes if node.kind is kind]
        found.add_row(
            kind, str(len(nodes)), str(sum(node.tiles for node in nodes)), str(sum(node.refused for node in nodes)),
            str(sum(node.stopped for node in nodes)), f"{profit / UNIT:+,.3f}",
            f"{max(node.profit for node in nodes) / UNIT:+,.3f}",
        )  # fmt: skip
    return found


def spread(economies: dict[int, Economy]) -> Table:
    """Profit of each kind at score 1 in KILN, seed by seed."""
    found = Table(box=None, padding=(0, 2, 0, 0))
    found.add_column("profit at score 1, KILN")
    for title in (*(f"seed {seed}" for seed in economies), "lowest", "highest"):
        found.add_column(title, justify="right")
    for kind in Kind:
        profits = [economy.profits()[kind] / UNIT for economy in economies.values()]
        found.add_row(kind, *(f"{profit:+,.3f}" for profit in (*profits, min(profits), max(profits))))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.economy", description=__doc__)
    parser.add_argument("--seeds", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=IMAGES)
    options = parser.parse_args()
    console = Console(width=120)
    economies: dict[int, Economy] = {}
    for seed in options.seeds:
        economies[seed] = simulate(seed=seed, epochs=options.epochs, jobs=options.jobs)
        check(economies[seed])
        ledger = economies[seed].ledger
        console.print(
            f"seed {seed}: {len(economies[seed].nodes)} nodes, {options.jobs} jobs, {options.epochs} epochs: "
            f"{ledger.burned / UNIT:,.3f} KILN burned, {ledger.minted / UNIT:,.3f} minted, "
            f"{sum(epoch.failed for epoch in economies[seed].epochs)} jobs failed; "
            f"{len(economies[seed].receipts)} receipts."
        )
    first = economies[options.seeds[0]]
    console.print(table(first))
    console.print(spread(economies))
    console.print(f"The books close to the unit, and nothing earns more than {Kind.HONEST} work, with every seed.")
    for path in draw(first, options.out):
        console.print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
