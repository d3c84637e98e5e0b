"""Claimed cells against recomputed ones: the verdict, and the numbers a person can check it by.

Exact lane: bits. Tolerant lane, render: the share of pixels that are off; inference: the relative deviation of the
fingerprint (a random projection of a late activation) and of the outputs. What is off, and how much of it honest
machines differ by, was calibrated for the pair of numerics classes (verification.limits); between what honest machines
and what cheats do, a second auditor is asked, so that nobody is refused for hardware.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.contract import InferContract, Lane, RenderContract
from jobs.states import Verdict
from jobs.tiles import InferTile, RenderTile
from verification.limits import Limits

__all__ = ["FINGERPRINT_FLOATS", "Comparison", "compare_cells", "pixels_off", "relative_deviation"]

FINGERPRINT_FLOATS = 16
_SHOWN = 8


class Comparison(NamedTuple):
    """`reason` is one sentence for people; `evidence` is JSON: lane, limits and the cells that differ the most."""

    verdict: Verdict
    reason: str
    evidence: dict[str, Any]


def _floats(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data, np.dtype("<f4")).astype(np.float32, copy=False)


def _render_cell(
    contract: RenderContract, tile: RenderTile, index: int, claimed: bytes, redone: bytes, limits: Limits | None
) -> dict[str, Any]:
    """How one render cell differs; `pixels_over` counts pixels that are off by the limits, or by bits without any."""
    cell = tile.cell(index)
    a = _floats(claimed).reshape(len(contract.channels), -1)
    b = _floats(redone).reshape(len(contract.channels), -1)
    bits = a.view(np.uint32) != b.view(np.uint32)
    with np.errstate(all="ignore"):
        difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    # Equal infinities differ by NaN and are equal; a NaN against a number differs by as much as can be.
    difference = np.where(bits, np.where(np.isfinite(difference), difference, np.inf), 0.0)
    worst = np.unravel_index(int(np.argmax(difference)), difference.shape)
    over = pixels_off(a, b, limits.pixel_difference, limits.pixel_floor) if limits else bits.any(axis=0)
    return {
        "cell": index,
        "frame": cell.frame,
        "rect": list(cell.rect),
        "differing_share": float(bits.any(axis=0).mean()),
        "pixels": int(a.shape[1]),
        "pixels_over": int(over.sum()),
        "largest_difference": _number(difference[worst]),
        "channel": contract.channels[int(worst[0])],
        "claimed": _number(a[worst]),
        "recomputed": _number(b[worst]),
    }


def pixels_off(
    claimed: NDArray[np.float32], recomputed: NDArray[np.float32], difference: float, floor: float
) -> NDArray[np.bool_]:
    """Which pixels (the last axes) of (channels, ...) differ in any channel by more than `difference` of max(`floor`,
    |recomputed|). What is not finite is equal only to the same bits."""
    with np.errstate(all="ignore"):
        gap = np.abs(claimed.astype(np.float64) - recomputed.astype(np.float64))
        beyond = ~(gap <= difference * np.maximum(floor, np.abs(recomputed.astype(np.float64))))
    return np.asarray((beyond & (claimed.view(np.uint32) != recomputed.view(np.uint32))).any(axis=0))


def relative_deviation(claimed: NDArray[Any], recomputed: NDArray[Any]) -> float:
    """Root mean square of the difference over that of what was recomputed (any shape, any float type); infinite
    where either holds what is not finite and the other something else."""
    a, b = claimed.astype(np.float64).ravel(), recomputed.astype(np.float64).ravel()
    if np.array_equal(a, b, equal_nan=True):
        return 0.0
    with np.errstate(all="ignore"):
        found = float(np.sqrt(np.mean((a - b) ** 2)) / max(float(np.sqrt(np.mean(b**2))), 1e-30))
    return found if np.isfinite(found) else float("inf")


def _number(value: float | np.floating[Any]) -> float | str:
    """JSON has no NaN and no infinity."""
    return float(value) if np.isfinite(value) else str(value)


def _infer_cell(contract: InferContract, tile: InferTile, index: int, claimed: bytes, redone: bytes) -> dict[str, Any]:
    """How one item differs: its outputs and its fingerprint, by bits and by relative root mean square deviation."""
    tail = 4 * FINGERPRINT_FLOATS
    a, b = _floats(claimed[-tail:]), _floats(redone[-tail:])
    differing = np.frombuffer(claimed, np.uint8) != np.frombuffer(redone, np.uint8)
    return {
        "cell": index,
        "item": tile.cell(index),
        "differing_share": float(differing.mean()),
        "outputs_equal": claimed[:-tail] == redone[:-tail],
        "fingerprint_deviation": _number(relative_deviation(a, b)),
        "output_deviation": _number(output_deviation(contract, claimed, redone)),
        "claimed": [_number(v) for v in a[:4]],
        "recomputed": [_number(v) for v in b[:4]],
        "bytes": len(claimed) if contract.item_bytes == len(claimed) else 0,
    }


def output_deviation(contract: InferContract, claimed: bytes, redone: bytes) -> float:
    """The largest deviation of any output of one item: of floats the relative one, of anything else the share of
    values that differ."""
    worst, at = 0.0, 0
    for spec in contract.outputs:
        kind = np.dtype(spec.dtype).newbyteorder("<")
        count = int(np.prod(spec.shape, dtype=np.int64))
        a, b = (np.frombuffer(data, kind, count, at) for data in (claimed, redone))
        at += count * kind.itemsize
        worst = max(worst, relative_deviation(a, b) if kind.kind == "f" else float((a != b).mean()) if count else 0.0)
    return worst


def _place(row: dict[str, Any]) -> str:
    if "item" in row:
        return f"item {row['item']}"
    x0, y0, x1, y1 = row["rect"]
    return f"frame {row['frame']}, pixels {x0},{y0} to {x1},{y1}"


def compare_cells(
    contract: RenderContract | InferContract,
    tile: RenderTile | InferTile,
    lane: Lane,
    claimed: dict[int, bytes],
    recomputed: dict[int, bytes],
    limits: Limits | None = None,
) -> Comparison:
    """Compare the challenged cells of a tile. Without limits the tolerant lane accepts bits that are equal and
    escalates everything else: between classes that were never calibrated nothing is guessed.

    `claimed` and `recomputed` hold the same cell indices, each cell's bytes as verification.commitment cuts them.
    Raises ValueError where they do not.
    """
    limits = limits if lane is Lane.TOLERANT else None
    if claimed.keys() != recomputed.keys() or not claimed:
        raise ValueError("an audit holds exactly the challenged cells")
    if any(len(claimed[i]) != len(recomputed[i]) for i in claimed):
        raise ValueError("a cell has another length than it was cut to")
    rows = []
    for index in sorted(claimed):
        if claimed[index] == recomputed[index]:
            continue
        if isinstance(contract, RenderContract):
            assert isinstance(tile, RenderTile)
            rows.append(_render_cell(contract, tile, index, claimed[index], recomputed[index], limits))
        else:
            assert isinstance(tile, InferTile)
            rows.append(_infer_cell(contract, tile, index, claimed[index], recomputed[index]))
    evidence: dict[str, Any] = {"lane": str(lane), "cells": len(claimed), "cells_differing": len(rows)}
    if limits is not None:
        evidence["limits"] = limits.model_dump(exclude={"evidence"})
    rows.sort(key=lambda row: -row["differing_share"])
    evidence["differing"] = rows[:_SHOWN]
    if not rows:
        return Comparison(Verdict.ACCEPT, f"all {len(claimed)} challenged cells came out bit for bit", evidence)
    if lane is not Lane.TOLERANT:
        share = rows[0]["differing_share"]
        reason = (
            f"{len(rows)} of {len(claimed)} challenged cells came out differently; the worst, {_place(rows[0])}, "
            f"in {share:.0%} of its {'pixels' if 'rect' in rows[0] else 'bytes'}"
        )
        return Comparison(Verdict.REJECT, reason, evidence)
    if limits is None:
        reason = "it came out differently in a numerics class that was never calibrated against the worker's"
        return Comparison(Verdict.ESCALATE, reason, evidence)
    if isinstance(contract, RenderContract):
        return _tolerant_render(contract, claimed, rows, evidence, limits)
    return _tolerant_infer(rows, evidence, _of_model(contract, limits))


def _tolerant_render(
    contract: RenderContract,
    claimed: dict[int, bytes],
    rows: list[dict[str, Any]],
    evidence: dict[str, Any],
    limits: Limits,
) -> Comparison:
    pixels = sum(len(data) for data in claimed.values()) // (4 * len(contract.channels))
    share = sum(row["pixels_over"] for row in rows) / pixels
    evidence["share"] = share
    said = f"{share:.2%} of {pixels} challenged pixels are off by more than {limits.pixel_difference:g}"
    return _between(said, share, limits.accept, limits.reject, evidence)


def _of_model(contract: InferContract, limits: Limits) -> Limits:
    """The pair's limits, made narrower where cheats on this very model lie closer (its calibration at admission)."""
    own = contract.extra.get("calibration")
    if not isinstance(own, dict):
        return limits
    reject = min(limits.reject, float(own["reject"]))
    return limits.model_copy(update={"reject": reject, "accept": min(limits.accept, reject)})


def _tolerant_infer(rows: list[dict[str, Any]], evidence: dict[str, Any], limits: Limits) -> Comparison:
    """Whichever of the two, fingerprint or outputs, is worse for the worker."""
    found = []
    for what, key, accept, reject in (
        ("fingerprint", "fingerprint_deviation", limits.accept, limits.reject),
        ("outputs", "output_deviation", limits.accept_output, limits.reject_output),
    ):
        worst = max(rows, key=lambda row: float(row[key]))
        deviation = float(worst[key])
        evidence[key] = _number(deviation)
        said = f"the {what} of {_place(worst)} deviates by {deviation:.2g}"
        found.append(_between(said, deviation, accept, reject, evidence))
    order = (Verdict.REJECT, Verdict.ESCALATE, Verdict.ACCEPT)
    return min(found, key=lambda comparison: order.index(comparison.verdict))


def _between(said: str, value: float, accept: float, reject: float, evidence: dict[str, Any]) -> Comparison:
    if value <= accept:
        return Comparison(Verdict.ACCEPT, f"{said}: within {accept:.2g}, as between honest machines", evidence)
    if value <= reject:
        return Comparison(Verdict.ESCALATE, f"{said}: between {accept:.2g} and {reject:.2g}, a second look", evidence)
    return Comparison(Verdict.REJECT, f"{said}: more than {reject:.2g}", evidence)
