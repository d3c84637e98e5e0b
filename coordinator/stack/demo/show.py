"""What the demonstration prints."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coordinator.cli.report import usd
from coordinator.stack.demo.acts import Act, Batch
from coordinator.stack.demo.people import Cast
from coordinator.stack.demo.proofs import Claim
from coordinator.stack.layout import Layout
from jobs.pricing import display_kiln

__all__ = ["cast", "claims", "predictions", "refusals", "settlement", "standing"]

_CELLS_SHOWN = 3
_ROLES = {
    "trusted": "describes, audits, assembles",
    "node-3": "cheats: renders 63 of 64 samples",
    "node-4": "the same operator, later, under a new key: runs an int8 copy of the model",
}


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(titles))
    for title in titles:
        table.add_column(title)
    return table


def cast(console: Console, who: Cast) -> None:
    """Who takes part."""
    table = _table()
    for name, address in who.addresses.items():
        table.add_row(name, address, _ROLES.get(name, "honest"))
    console.print(table)


def refusals(console: Console, who: Cast, act: Act) -> None:
    """Each tile that was not taken, and the cells that gave it away."""
    job = act.job
    console.print(
        f"{job.state}: {job.tiles} tiles, {job.cells} cells of which {job.cells_audited} were redone blind, "
        f"{job.compute_seconds:.1f} s of work, {job.audit_seconds:.1f} s of audits",
        soft_wrap=True,
    )
    if not job.rejections:
        console.print("no tile was refused")
        return
    for one in job.rejections:
        console.print(Text(f"refused: tile {one.tile} of {who.name(one.node)}: {one.reason}", "red"), soft_wrap=True)
    table = _table("cell", "channel", "claimed", "recomputed", "difference")
    for row in job.rejections[0].evidence.get("differing", [])[:_CELLS_SHOWN]:
        table.add_row(*_cell(row))
    if table.row_count:
        console.print(table)


def _cell(row: dict[str, Any]) -> tuple[str, ...]:
    if "item" in row:
        claimed, redone = (", ".join(f"{value:.4f}" for value in row[name][:2]) for name in ("claimed", "recomputed"))
        return (f"item {row['item']}", "fingerprint", claimed, redone, f"{row['fingerprint_deviation']:.2g} relative")
    x0, y0, x1, y1 = row["rect"]
    values = [f"{row[name]:.7g}" for name in ("claimed", "recomputed", "largest_difference")]
    return (f"frame {row['frame']}, pixels {x0},{y0} to {x1},{y1}", row["channel"], *values)


def standing(console: Console, layout: Layout, who: Cast, name: str) -> None:
    """What the coordinator thinks of a node by now, as it stands in its database."""
    with closing(sqlite3.connect(f"file:{layout.database}?mode=ro", uri=True)) as database:
        query = "SELECT suspended FROM nodes WHERE address = ?"
        (suspended,) = database.execute(query, (who.addresses[name],)).fetchone()
    console.print(f"{name} is suspended: {suspended}" if suspended else f"{name} is watched closely", soft_wrap=True)


def predictions(console: Console, made: Batch, act: Act) -> None:
    """What the network read, beside what was written."""
    from samples.models.build import read_text

    arrays = [one.path for one in act.delivered if one.path.suffix == ".npz"]
    if not arrays:
        return
    with np.load(arrays[0]) as stored:
        answers = np.asarray(stored[stored.files[0]])
    right = sum(read_text(answers[item], made.model) == label for item, label in enumerate(made.labels))
    console.print(f"read right: {right} of {len(made.labels)} lines")


def settlement(console: Console, who: Cast, acts: Sequence[Act], kiln_per_usd: str) -> None:
    """Who paid, what was burned, who earned."""
    table = _table("job", "price USD", "price KILN", "burned", "fee", "refund", "settled in")
    for act in acts:
        settled = act.job.settlement
        if settled is not None:
            amounts = (settled.price, settled.burned, settled.fee, settled.refund)
            table.add_row(
                act.title,
                usd(settled.price, kiln_per_usd),
                *(display_kiln(one) for one in amounts),
                (settled.settlement_tx or "")[:18],
            )
    console.print(table)
    earned = dict.fromkeys(who.addresses, 0)
    for act in acts:
        for one in act.job.rewards:
            earned[who.name(one.node)] = earned.get(who.name(one.node), 0) + one.amount
    table = _table("earned", "KILN")
    for name, amount in earned.items():
        if name != "trusted":
            table.add_row(name, display_kiln(amount))
    console.print(table)


def claims(console: Console, made: Sequence[Claim]) -> None:
    """Each sentence with whether it held."""
    for claim in made:
        mark = Text("held   ", "green") if claim.held else Text("BROKEN ", "bold red")
        console.print(mark + Text(claim.text), soft_wrap=True)
