"""The refused tiles of this node, for its operator: why, and how to get the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jobs.evidence import Refusal
from jobs.pricing import display_kiln
from jobs.wire import NodeView

__all__ = ["refusal_lines", "stake_lines"]


def stake_lines(view: NodeView) -> list[str]:
    """Why the node gets no tiles, or no more of them, for want of stake; and what its operator was slashed for."""
    lines = []
    if view.stake is not None and view.stake.refusal is not None:
        lines.append(f"no tiles: {view.stake.refusal}")
    for one in view.strikes:
        if one.dispute == "proven":
            lost = display_kiln(one.slashed or 0)
            lines.append(f"slashed {lost} KILN: {one.reason} (job {one.job}, transaction {one.dispute_tx})")
        elif one.dispute == "refused":
            lines.append(f"not slashed, though {one.reason}: {one.dispute_reason}")
    return lines


def refusal_lines(refusals: Sequence[Refusal], gateway: str, key: Path) -> list[str]:
    """One line for each refused tile, the latest first, and one that says how to get its evidence."""
    if not refusals:
        return ["no tile of this node was refused"]
    lines = []
    for one in refusals:
        lane = f", lane {one.lane}" if one.lane else ""
        lines.append(f"job {one.job}, tile {one.tile}, attempt {one.attempt}{lane}: {one.reason}")
        if one.kept:
            lines.append(f"  evidence: kilnet dispute lease {one.lease} --gateway {gateway} --key {key}")
    return lines
