"""The refused tiles of this node, for its operator: why, and how to get the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jobs.evidence import Refusal

__all__ = ["refusal_lines"]


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
