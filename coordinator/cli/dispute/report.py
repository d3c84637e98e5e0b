"""The evidence in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from jobs.contract import RenderContract
from jobs.evidence import Evidence
from verification.evidence import compared, examine, place_of

__all__ = ["report"]


def report(evidence: Evidence) -> str:
    """What was claimed, what came out, in which lane, against which threshold, and what can be checked of it."""
    lines = [
        f"Job {evidence.job}, tile {evidence.tile}, attempt {evidence.attempt}: {evidence.verdict}",
        f"  {evidence.reason}",
        "",
        f"Cell {evidence.cell}: {place_of(evidence)}" if _fits(evidence) else f"Cell {evidence.cell}",
        f"Lane: {evidence.lane}{_limits(evidence.details)}",
        f"Node: {evidence.worker.address} ({evidence.worker.numerics_class})",
        f"Auditor: {evidence.auditor.address} ({evidence.auditor.numerics_class})"
        if evidence.auditor
        else "Auditor: none for this cell",
        f"Challenged: {len(evidence.challenge)} of {evidence.worker.leaves} cells",
        "",
    ]
    lines += _numbers(evidence) if _fits(evidence) else []
    lines += ["", "What can be checked without computing anything:"]
    lines += [f"  {'held  ' if one.held else 'FAILED'}  {one.name}: {one.detail}" for one in examine(evidence)]
    lines += ["", "`kilnet dispute verify THIS --recompute` computes the cell on your own machine.", ""]
    return "\n".join(lines)


def _fits(evidence: Evidence) -> bool:
    return examine(evidence)[0].held


def _limits(details: dict[str, Any]) -> str:
    """The thresholds and where they come from, as far as the lane has any."""
    limits = details.get("limits")
    if not isinstance(limits, dict):
        return " (no threshold: bits)" if limits is None else ""
    shown = ", ".join(f"{name} {value}" for name, value in sorted(limits.items()) if not isinstance(value, dict))
    return f"; limits: {shown}"


def _numbers(evidence: Evidence) -> list[str]:
    found = compared(evidence)
    if found is None:
        return ["This cell was not recomputed: nothing to compare with."]
    rows = found.evidence.get("differing") or []
    if not rows:
        return ["Claimed and recomputed are equal to the bit."]
    row = rows[0]
    names = (
        "differing_share", "pixels", "pixels_over", "largest_difference", "channel", "claimed", "recomputed",
        "outputs_equal", "fingerprint_deviation",
    )  # fmt: skip
    return [f"  {name.replace('_', ' ')}: {row[name]}" for name in names if name in row] + _colours(evidence)


def _colours(evidence: Evidence) -> list[str]:
    """How far each colour of the first Combined pass is off: what a picture's reader asks first."""
    if evidence.auditor is None or not isinstance(evidence.contract, RenderContract):
        return []
    count = len(evidence.contract.channels)
    a, b = (np.frombuffer(side.data, "<f4").reshape(count, -1) for side in (evidence.worker, evidence.auditor))
    lines = []
    for number, name in enumerate(evidence.contract.channels):
        if ".Combined." in name:
            with np.errstate(all="ignore"):
                off = np.abs(a[number].astype(np.float64) - b[number].astype(np.float64))
            mean = float(np.abs(b[number].astype(np.float64)).mean())
            lines.append(
                f"  {name}: off by {off.mean():.3g} in the mean, {off.max():.3g} at most (its mean is {mean:.3g})"
            )
    return lines
