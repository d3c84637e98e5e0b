"""Calibration of a pair of classes for inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jobs.contract import InferContract
from node.calibrate.batches import INFER_CHEATS, Results, Workbench, cheated
from node.calibrate.models import ModelCase
from node.calibrate.sides import Side
from node.runner_process import RunnerFailure
from verification.calibration import LEAST_GAP, limits_between, quantiles
from verification.compare import FINGERPRINT_FLOATS, output_deviation, relative_deviation

__all__ = ["InferPair", "deviations", "measure_infer"]

_LEAST = 1e-7
"""Stands in for a smaller honest deviation: about the spacing of float32 at 1."""
_OUTPUTS_ALONE = ("output-noise",)
"""Cheats that leave the fingerprint alone."""
_OWN = ("fp16-weights", "bf16-weights", "int8-weights", "pruned-5", "pruned-30", "smaller-model", "half-size-input")
"""Cheats that compute something else: the fingerprint has to show them."""


@dataclass
class InferPair:
    n: dict[str, int] = field(default_factory=dict)
    honest: dict[str, Any] = field(default_factory=dict)
    cheats: dict[str, Any] = field(default_factory=dict)
    repeats: dict[str, list[int]] = field(default_factory=lambda: {"a": [0, 0], "b": [0, 0]})
    gap: float | None = None
    limits: dict[str, float] | None = None
    refused: str = ""
    skipped: list[str] = field(default_factory=list)


def deviations(contract: InferContract, claimed: Results, recomputed: Results) -> np.ndarray[Any, Any]:
    """(items, 2): of each item the fingerprint's deviation and the outputs'."""
    tail, rows = 4 * FINGERPRINT_FLOATS, []
    for one, other in zip(claimed, recomputed, strict=True):
        x, y = one.tobytes(), other.tobytes()
        marks = relative_deviation(np.frombuffer(x[-tail:], "<f4"), np.frombuffer(y[-tail:], "<f4"))
        rows.append((marks, output_deviation(contract, x, y)))
    return np.array(rows)


def measure_infer(
    sides: tuple[Side, Side], cases: list[ModelCase], folder: Path, *, say: Callable[[str], None]
) -> InferPair:
    """Run every model on both sides, and cheats on the first, and draw limits."""
    found, honest = InferPair(), []
    shown: dict[str, list[np.ndarray[Any, Any]]] = {}
    by_model: dict[str, Any] = {}
    rng = np.random.default_rng(21)
    with sides[0].pool(folder / "runners-a") as pool_a, sides[1].pool(folder / "runners-b") as pool_b:
        a, b = (
            Workbench(side, pool, folder / "models", folder / "results")
            for side, pool in zip(sides, (pool_a, pool_b), strict=True)
        )
        for case in cases:
            try:
                contract = a.contract(case)
                mine, theirs = a.results(case, contract), b.results(case, contract)
                for name, bench, whole in (("a", a, mine), ("b", b, theirs)):
                    alone = bench.results(case, contract, one_by_one=True)
                    found.repeats[name][0] += len(alone)
                    found.repeats[name][1] += int((alone != whole).any(axis=1).sum())
                apart = deviations(contract, mine, theirs)
                closest = np.inf
                for cheat in INFER_CHEATS:
                    claimed = cheated(cheat, a, case, contract, mine, rng)
                    touched = (claimed != mine).any(axis=1)
                    values = deviations(contract, claimed[touched], theirs[touched])
                    shown.setdefault(cheat.name, []).append(values)
                    if cheat.name in _OWN:
                        closest = min(closest, float(values[:, 0].min()))
            except RunnerFailure as error:
                found.skipped.append(f"{case.name}: {' '.join(str(error).split())[:160]}")
                say(f"skipped {found.skipped[-1]}")
                continue
            honest.append(apart)
            by_model[case.name] = {"tap": contract.tap, "honest": float(apart[:, 0].max()), "closest_cheat": closest}
            say(f"{case.name}: honest {apart[:, 0].max():.1e}, closest cheat {closest:.1e}")
    if not honest:
        found.refused = "no model could be run on both sides"
        return found
    _conclude(found, np.concatenate(honest), shown, by_model)
    return found


def _conclude(
    found: InferPair,
    honest: np.ndarray[Any, Any],
    shown: dict[str, list[np.ndarray[Any, Any]]],
    by_model: dict[str, Any],
) -> None:
    found.n = {"models": len(by_model), "items": len(honest), "cells": len(honest)}
    found.honest = {"fingerprint": quantiles(honest[:, 0]), "outputs": quantiles(honest[:, 1]), "by_model": by_model}
    for name, parts in shown.items():
        values = np.concatenate(parts)
        found.cheats[name] = {
            "items": len(values), "fingerprint": quantiles(values[:, 0]), "outputs": quantiles(values[:, 1])
        }  # fmt: skip
    largest = float(honest[:, 0].max())
    closest = min(float(np.concatenate(shown[name])[:, 0].min()) for name in _OWN)
    found.gap = round(closest / max(largest, _LEAST), 2)
    if found.gap < LEAST_GAP:
        found.refused = (
            f"honest machines deviate by {largest:.1e}, the closest cheat by {closest:.1e}: under {LEAST_GAP:g} times"
        )
        return
    accept, reject = limits_between(largest, closest, least=_LEAST)
    noisy = np.concatenate([np.concatenate(shown[name]) for name in _OUTPUTS_ALONE])[:, 1]
    # Of outputs that saturate (a softmax near 1) noise of 1e-4 moves next to nothing: half of the items must show it.
    output = limits_between(float(honest[:, 1].max()), float(np.median(noisy)), least=_LEAST)
    found.limits = {"accept": accept, "reject": reject, "accept_output": output[0], "reject_output": output[1]}
