"""Calibration of a pair of classes for rendering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from node.calibrate.cheats import RENDER_CHEATS, Desk
from node.calibrate.drawing import cells_differing, draw_shares, off_by_cell
from node.calibrate.shots import Scene, Shot, shots_of
from node.calibrate.sides import Side
from node.calibrate.studio import BLOCKS, Planes, Studio, cut
from node.runner_process import RunnerFailure
from verification.calibration import limits_between, quantiles

__all__ = ["RenderPair", "measure_render"]

PROBES = 8
"""Cells of a draw: the fewest that the policy ever draws, so the draws that scatter most."""
SETTINGS = tuple((difference, 0.01) for difference in (1e-4, 1e-3, 1e-2))
_DRAWS = 200
_REPEATED = BLOCKS[5::16]
_WHOLE = 0.5
"""A cheat is held against the limits where it changed at least this share of a picture's cells."""
_LEAST_GAP = 3.0
_LEAST_SHARE = 1 / (PROBES * 64)


@dataclass
class RenderPair:
    """What was found. `honest` and `cheats` are files of evidence."""

    n: dict[str, int] = field(default_factory=dict)
    honest: dict[str, Any] = field(default_factory=dict)
    cheats: dict[str, Any] = field(default_factory=dict)
    repeats: dict[str, list[int]] = field(default_factory=lambda: {"a": [0, 0], "b": [0, 0]})
    """By side: cells computed alone as well, and those of them that differed."""
    gap: float | None = None
    limits: dict[str, float] | None = None
    refused: str = ""
    skipped: list[str] = field(default_factory=list)


def measure_render(
    sides: tuple[Side, Side],
    scenes: list[Scene],
    folder: Path,
    *,
    cheats: int,
    honest: int,
    say: Callable[[str], None],
) -> RenderPair:
    """Render `cheats` shots of each scene honestly and cheating and `honest` more honestly, on both sides, and draw
    limits. Scenes that a side cannot render are skipped and named."""
    found = RenderPair()
    rng = np.random.default_rng(20)
    shares: dict[tuple[float, float], dict[str, list[np.ndarray[Any, Any]]]] = {s: {} for s in SETTINGS}
    seen: dict[str, list[float]] = {}
    differing: list[float] = []
    with sides[0].pool(folder / "runners-a") as pool_a, sides[1].pool(folder / "runners-b") as pool_b:
        a, b = (Studio(side, pool, folder / "renders") for side, pool in zip(sides, (pool_a, pool_b), strict=True))
        elsewhere: Planes | None = None
        for scene in scenes:
            cheated, plain = shots_of(scene, cheats=cheats, honest=honest)
            try:
                for shot in (*cheated, *plain):
                    contract = a.contract(shot)
                    mine, theirs = a.tile(shot, contract), b.tile(shot, contract)
                    differing.append(float(cells_differing(mine, theirs).mean()))
                    for setting in SETTINGS:
                        off = off_by_cell(mine, theirs, *setting)
                        drawn = draw_shares(off, probes=PROBES, draws=_DRAWS, rng=rng)
                        shares[setting].setdefault("honest", []).append(drawn)
                    _count(found.n, "pictures")
                    if shot is cheated[0]:
                        for name, studio, whole in (("a", a, mine), ("b", b, theirs)):
                            alone = studio.cells(shot, contract, _REPEATED)
                            found.repeats[name][0] += len(alone)
                            found.repeats[name][1] += sum(_bits(alone[i]) != _bits(cut(whole, i)) for i in alone)
                    if shot not in cheated:
                        continue
                    desk = Desk(a, shot, contract, mine, elsewhere)
                    for cheat in RENDER_CHEATS:
                        claimed = cheat.make(desk)
                        touched = float(cells_differing(claimed, mine).mean()) if claimed is not None else 0.0
                        if claimed is None or not touched:
                            continue
                        seen.setdefault(cheat.name, []).append(touched)
                        if touched >= _WHOLE:
                            for setting in SETTINGS:
                                off = off_by_cell(claimed, theirs, *setting)
                                drawn = draw_shares(off, probes=PROBES, draws=_DRAWS, rng=rng)
                                shares[setting].setdefault(cheat.name, []).append(drawn)
                    elsewhere = mine[desk.colors[0]]
            except RunnerFailure as error:
                found.skipped.append(f"{scene.name}: {' '.join(str(error).split())[:160]}")
                say(f"skipped {found.skipped[-1]}")
                continue
            _count(found.n, "scenes")
            say(f"{scene.name}: done")
    if found.n.get("scenes"):
        _conclude(found, shares, seen, differing)
    else:
        found.refused = "no scene could be rendered on both sides"
    return found


def _conclude(
    found: RenderPair,
    shares: dict[tuple[float, float], dict[str, list[np.ndarray[Any, Any]]]],
    seen: dict[str, list[float]],
    differing: list[float],
) -> None:
    """The setting with the widest gap between the largest honest share and the low end of the closest cheat."""
    everywhere = {cheat.name for cheat in RENDER_CHEATS if cheat.everywhere}
    best, setting = -1.0, SETTINGS[0]
    for candidate, drawn in shares.items():
        gap = _low(drawn, everywhere) / max(float(np.concatenate(drawn["honest"]).max()), _LEAST_SHARE)
        if gap > best:
            best, setting = gap, candidate
    chosen = shares[setting]
    honest = np.concatenate(chosen["honest"])
    largest, low = float(honest.max()), _low(chosen, everywhere)
    found.n |= {"cells": found.n["pictures"] * len(BLOCKS), "honest_draws": len(honest), "probes": PROBES}
    found.n["cheat_draws"] = sum(len(part) for name, parts in chosen.items() if name != "honest" for part in parts)
    found.honest = {
        "share_of_pixels_off": quantiles(honest),
        "cells_differing_in_bits": quantiles(np.array(differing)),
    }
    for name, touched in seen.items():
        entry: dict[str, Any] = {"pictures": len(touched), "cells_touched": quantiles(np.array(touched))}
        if name in chosen:
            entry["share_of_pixels_off"] = quantiles(np.concatenate(chosen[name]))
        found.cheats[name] = entry
    found.gap = round(low / max(largest, _LEAST_SHARE), 3)
    if found.gap < _LEAST_GAP:
        found.refused = (
            f"honest machines differ in up to {largest:.1%} of the challenged pixels and the closest cheat in "
            f"{low:.1%}: too close to tell apart"
        )
        return
    accept, reject = limits_between(largest, low, least=_LEAST_SHARE)
    found.limits = {"accept": accept, "reject": reject, "pixel_difference": setting[0], "pixel_floor": setting[1]}


def _low(drawn: dict[str, list[np.ndarray[Any, Any]]], names: set[str]) -> float:
    """The 1% quantile of the closest cheat among `names`."""
    found = [float(np.quantile(np.concatenate(parts), 0.01)) for name, parts in drawn.items() if name in names]
    return min(found, default=0.0)


def _count(n: dict[str, int], key: str) -> None:
    n[key] = n.get(key, 0) + 1


def _bits(cell: Planes) -> bytes:
    return np.ascontiguousarray(cell).tobytes()


def one_shot(scene: Scene) -> Shot:
    """The first shot of a scene that cheats are tried on."""
    return shots_of(scene, cheats=1, honest=0)[0][0]
