"""Claimed cells against recomputed ones: the verdict, and the numbers a person can check it by.

Exact lane: bits. Tolerant lane, render: the share of pixels that differ by more than 1e-3 of max(1, |value|);
inference: the relative deviation of the fingerprint, a random projection of a late activation.

The tolerant limits are a first setting, from measurements between AVX-512, AVX2 and neither (honest: 0.3% of pixels;
smallest cheat tried, 12 -> 8 light bounces: 3%; fingerprints: 2.7e-6 against 3.0e-4). What lies between them is
escalated, so that nobody is refused for hardware.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.contract import InferContract, Lane, RenderContract
from jobs.states import Verdict
from jobs.tiles import InferTile, RenderTile

__all__ = ["FINGERPRINT_FLOATS", "Comparison", "TolerantLimits", "compare_cells"]

FINGERPRINT_FLOATS = 16
_SHOWN = 8


class TolerantLimits(NamedTuple):
    """Where the tolerant lane accepts and refuses; between the two it escalates."""

    pixel_difference: float = 1e-3
    accept_share: float = 0.02
    reject_share: float = 0.10
    accept_fingerprint: float = 1e-5
    reject_fingerprint: float = 1e-4


class Comparison(NamedTuple):
    """`reason` is one sentence for people; `evidence` is JSON: lane, limits and the cells that differ the most."""

    verdict: Verdict
    reason: str
    evidence: dict[str, Any]


def _floats(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data, np.dtype("<f4")).astype(np.float32, copy=False)


def _render_cell(
    contract: RenderContract, tile: RenderTile, index: int, claimed: bytes, redone: bytes, limit: float
) -> dict[str, Any]:
    """How one render cell differs; `pixels_over` counts pixels with any channel beyond the limit."""
    cell = tile.cell(index)
    a = _floats(claimed).reshape(len(contract.channels), -1)
    b = _floats(redone).reshape(len(contract.channels), -1)
    bits = a.view(np.uint32) != b.view(np.uint32)
    with np.errstate(all="ignore"):
        difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    # Equal infinities differ by NaN and are equal; a NaN against a number differs by as much as can be.
    difference = np.where(bits, np.where(np.isfinite(difference), difference, np.inf), 0.0)
    worst = np.unravel_index(int(np.argmax(difference)), difference.shape)
    over = (difference > limit * np.maximum(1.0, np.abs(np.nan_to_num(b)))).any(axis=0)
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


def _number(value: float | np.floating[Any]) -> float | str:
    """JSON has no NaN and no infinity."""
    return float(value) if np.isfinite(value) else str(value)


def _infer_cell(contract: InferContract, tile: InferTile, index: int, claimed: bytes, redone: bytes) -> dict[str, Any]:
    """How one item differs: its outputs by bits, its fingerprint by relative root mean square deviation."""
    tail = 4 * FINGERPRINT_FLOATS
    a, b = _floats(claimed[-tail:]).astype(np.float64), _floats(redone[-tail:]).astype(np.float64)
    with np.errstate(all="ignore"):
        deviation = float(np.sqrt(np.mean((a - b) ** 2)) / max(float(np.sqrt(np.mean(b**2))), 1e-30))
    differing = np.frombuffer(claimed, np.uint8) != np.frombuffer(redone, np.uint8)
    return {
        "cell": index,
        "item": tile.cell(index),
        "differing_share": float(differing.mean()),
        "outputs_equal": claimed[:-tail] == redone[:-tail],
        "fingerprint_deviation": _number(deviation),
        "claimed": [_number(v) for v in a[:4]],
        "recomputed": [_number(v) for v in b[:4]],
        "bytes": len(claimed) if contract.item_bytes == len(claimed) else 0,
    }


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
    limits: TolerantLimits | None = None,
) -> Comparison:
    """Compare the challenged cells of a tile.

    `claimed` and `recomputed` hold the same cell indices, each cell's bytes as verification.commitment cuts them.
    Raises ValueError where they do not.
    """
    limits = limits or TolerantLimits()
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
            rows.append(_render_cell(contract, tile, index, claimed[index], recomputed[index], limits.pixel_difference))
        else:
            assert isinstance(tile, InferTile)
            rows.append(_infer_cell(contract, tile, index, claimed[index], recomputed[index]))
    evidence: dict[str, Any] = {"lane": str(lane), "cells": len(claimed), "cells_differing": len(rows)}
    if lane is Lane.TOLERANT:
        evidence["limits"] = limits._asdict()
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
    return _tolerant(contract, claimed, rows, evidence, limits)


def _tolerant(
    contract: RenderContract | InferContract,
    claimed: dict[int, bytes],
    rows: list[dict[str, Any]],
    evidence: dict[str, Any],
    limits: TolerantLimits,
) -> Comparison:
    if isinstance(contract, RenderContract):
        pixels = sum(len(data) for data in claimed.values()) // (4 * len(contract.channels))
        share = sum(row["pixels_over"] for row in rows) / pixels
        evidence["share"] = share
        said = f"{share:.2%} of {pixels} challenged pixels differ by more than {limits.pixel_difference:g}"
        accept, reject = limits.accept_share, limits.reject_share
    else:
        share = max(float(row["fingerprint_deviation"]) for row in rows)
        evidence["deviation"] = _number(share)
        said = f"the fingerprint of {_place(rows[0])} deviates by {share:.2g}"
        accept, reject = limits.accept_fingerprint, limits.reject_fingerprint
    if share <= accept:
        return Comparison(Verdict.ACCEPT, f"{said}: within {accept:g}, as between honest machines", evidence)
    if share <= reject:
        return Comparison(Verdict.ESCALATE, f"{said}: between {accept:g} and {reject:g}, a second look", evidence)
    return Comparison(Verdict.REJECT, f"{said}: more than {reject:g}", evidence)
