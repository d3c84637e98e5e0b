"""The table of docs/proof.md and verification/calibration_data/adversaries.json, from trials."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jobs.contract import Lane
from jobs.states import Verdict
from node.calibrate.batches import INFER_CHEATS, Results
from node.calibrate.cheats import RENDER_CHEATS
from node.calibrate.drawing import cells_differing
from node.calibrate.studio import BLOCKS, Planes
from tests.adversarial import rivals
from tests.adversarial.honest import count_honest
from tests.adversarial.material import EMULATED, SWITCHED, Material, Picture
from tests.adversarial.partial import PARTIAL
from tests.adversarial.trials import Committed, Rate, expected, interval, render_trial, tally, tiles_of
from verification.policy import FLOOR, TOLERANT_FLOOR

__all__ = ["build", "draw_across"]

FIRST = 24
"""Cells of a new node's tile (verification.policy: three times the floor)."""
WITHIN = 20
_ITEMS = 64
"""Items of an inference tile: those of the batch eight times over."""

Claim = Callable[[np.random.Generator], Planes]


def build(
    material: Material, *, draws: int, seed: int = 1, kept: Path | None = None, items: bool = True,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:  # fmt: skip
    """All figures, JSON; without `items` none of honest tiles of inference. `draws` trials for each cheat and lane.
    Rows that are in the file `kept` are not drawn again: a run that was cut short goes on where it was."""
    rows: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept is not None and kept.is_file() else {}

    def row(key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if key not in rows:
            rows[key] = make()
            say(f"{key}: drawn")
            if kept is not None:
                kept.write_text(json.dumps(rows))
        return rows[key]

    rng = np.random.default_rng(seed)
    named = [(c.name, c.saves, c.everywhere) for c in RENDER_CHEATS]
    named += [(name, what, False) for name, (what, _) in PARTIAL.items()]
    render = [
        row(f"render {name}", lambda n=name, w=what, e=everywhere: _render_row(n, w, e, material, draws, rng))  # type: ignore[misc]
        for name, what, everywhere in named
    ]
    infer = [
        row(f"infer {c.name}", lambda c=c: _infer_row(c.name, c.saves, c.everywhere, material, draws, rng))  # type: ignore[misc]
        for c in INFER_CHEATS
    ]
    return {
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "probes": {"floor": FLOOR, "first": FIRST},
        "cells": len(BLOCKS),
        "draws": draws,
        "pictures": len(material.pictures),
        "scenes": len({picture.shot.scene.name for picture in material.pictures}),
        "render": [one for one in render if one["tiles"]],
        "infer": infer,
        "honest": count_honest(material, items=items, slow_items=items, say=say),
        "rivals": [_rival_row(c.name, material, draws, rng) for c in RENDER_CHEATS],
        "skipped": material.skipped,
    }


def _claims(name: str, material: Material) -> list[tuple[Picture, Claim]]:
    """(picture, what is handed in for it) of a cheat, for every picture where it changes a cell at all."""
    found: list[tuple[Picture, Claim]] = []
    for picture in material.pictures:
        if not picture.cheats:
            continue
        if name in PARTIAL:
            make = PARTIAL[name][1]
            found.append((picture, lambda rng, make=make, picture=picture: make(picture.honest, rng)))
        elif name in picture.cheats and cells_differing(picture.cheats[name], picture.honest).any():
            planes = picture.cheats[name]
            found.append((picture, lambda _rng, planes=planes: planes))
    return found


def _render_row(
    name: str, what: str, everywhere: bool, material: Material, draws: int, rng: np.random.Generator
) -> dict[str, Any]:
    claims = _claims(name, material)
    row: dict[str, Any] = {"name": name, "what": what, "everywhere": everywhere, "tiles": len(claims)}
    if not claims:
        return row
    touched = [
        [cells_differing(make(rng), p.honest).sum() for _ in range(20 if name in PARTIAL else 1)] for p, make in claims
    ]
    row["share_of_cells"] = float(np.mean([np.mean(t) for t in touched])) / len(BLOCKS)
    row["least_share_of_cells"] = float(min(np.mean(t) for t in touched)) / len(BLOCKS)
    for label, probes in (("first", FIRST), ("floor", FLOOR)):
        rate = _draw(claims, rng, draws, Lane.EXACT, probes, lambda p: p.audited)
        wanted = float(np.mean([expected(int(k), len(BLOCKS), probes) for t in touched for k in t]))
        row[label] = _as_json(rate) | {"expected": wanted}
    within = [0, draws]
    for _ in range(within[1]):
        within[0] += any(
            _one(claims, rng, Lane.EXACT, FLOOR, lambda p: p.audited) is Verdict.REJECT for _ in range(WITHIN)
        )
    row["within_20"] = {"caught": within[0], "draws": within[1]}
    return row | _across(claims, material, draws, rng)


def draw_across(rows: list[dict[str, Any]], material: Material, draws: int, say: Callable[[str], None] = print) -> None:
    """Draw the tolerant lane of renders anew for the classes that there is material of; all else in `rows` stays."""
    rng = np.random.default_rng(2)
    for row in rows:
        row |= _across(_claims(row["name"], material), material, draws, rng)
        say(f"across, {row['name']}: drawn")


def _across(
    claims: list[tuple[Picture, Claim]], material: Material, draws: int, rng: np.random.Generator
) -> dict[str, Any]:
    """By class: refusals of auditors of that class, of as many cells as policy draws, and for comparison of FLOOR."""
    found: dict[str, Any] = {}
    for other in (*EMULATED, *SWITCHED):
        limits = material.limits.get(("render", other))
        there = [(p, make) for p, make in claims if other in p.others]
        if limits is not None and there:
            for label, probes in ((other, TOLERANT_FLOOR), (f"{other}_floor", FLOOR)):
                rate = _draw(there, rng, draws, Lane.TOLERANT, probes, lambda p, other=other: p.others[other], limits)  # type: ignore[misc]
                found[label] = _as_json(rate) | {"probes": probes}
    return found


def _one(
    claims: list[tuple[Picture, Claim]], rng: np.random.Generator, lane: Lane, probes: int,
    auditor: Callable[[Picture], Planes], limits: Any = None,
) -> Verdict:  # fmt: skip
    picture, make = claims[int(rng.integers(len(claims)))]
    (tile,) = tiles_of(picture.contract, picture.shot.frame, 1, 1)
    return render_trial(picture.contract, tile, make(rng), auditor(picture), lane, probes, limits)


def _draw(
    claims: list[tuple[Picture, Claim]], rng: np.random.Generator, draws: int, lane: Lane, probes: int,
    auditor: Callable[[Picture], Planes], limits: Any = None,
) -> Rate:  # fmt: skip
    verdicts = Counter(_one(claims, rng, lane, probes, auditor, limits) for _ in range(draws))
    return tally(verdicts, len(claims))


def _as_json(rate: Rate) -> dict[str, Any]:
    tests = len(RENDER_CHEATS) + len(PARTIAL) + len(INFER_CHEATS)
    low, high = interval(rate.refused, rate.draws, tests=tests)
    return {**rate._asdict(), "share": rate.share, "interval": [low, high]}


def _tiled(results: Results) -> Results:
    return np.tile(results, (_ITEMS // len(results), 1))


def _infer_row(
    name: str, what: str, everywhere: bool, material: Material, draws: int, rng: np.random.Generator
) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "what": what, "everywhere": everywhere, "models": len(material.batches)}
    batches = [batch for batch in material.batches if name in batch.cheats]
    tiles, shares = [], []
    for batch in batches:
        claimed = _tiled(batch.cheats[name])
        if name == "one-forged":  # of the whole tile, not of every batch in it
            claimed = _tiled(batch.honest)
            claimed[int(rng.integers(_ITEMS))] ^= np.uint8(1)
        differing = [(row != batch.honest[i % len(batch.honest)]).any() for i, row in enumerate(claimed)]
        shares.append(float(np.mean(differing)))
        tiles.append(Committed(batch.contract, claimed))
    row["share_of_cells"] = float(np.mean(shares)) if shares else 0.0
    for label, probes in (("floor", FLOOR),):
        verdicts: Counter[Verdict] = Counter()
        for _ in range(draws):
            which = int(rng.integers(len(batches)))
            verdicts[tiles[which].trial(batches[which].audited, Lane.EXACT, probes)] += 1
        wanted = np.mean([expected(round(s * _ITEMS), _ITEMS, probes) for s in shares])
        row[label] = _as_json(tally(verdicts, len(batches))) | {"expected": float(wanted)}
    for other in ("avx2", "no-avx2"):
        limits = material.limits.get(("infer", other))
        there = [i for i, batch in enumerate(batches) if other in batch.others]
        if limits is not None and there:
            verdicts = Counter()
            for _ in range(draws):
                which = there[int(rng.integers(len(there)))]
                verdicts[tiles[which].trial(batches[which].others[other], Lane.TOLERANT, FLOOR, limits)] += 1
            row[other] = _as_json(tally(verdicts, len(there)))
    return row


def _rival_row(name: str, material: Material, draws: int, rng: np.random.Generator) -> dict[str, Any]:
    """Shares refused by each rival check, over the same pictures; SSIM's crops are drawn, the hashes are not."""
    found: dict[str, list[bool]] = {"phash": [], "dhash": [], "ssim": [], "redundancy": []}
    claims = _claims(name, material)
    for picture, make in claims:
        colors = _rgb(picture)
        claimed, honest = rivals.display(make(rng)[colors]), rivals.display(picture.honest[colors])
        found["phash"].append(rivals.phash_refuses(claimed, honest))
        found["dhash"].append(rivals.dhash_refuses(claimed, honest))
        found["redundancy"].append(rivals.redundancy_refuses(claimed, honest))
        for _ in range(max(1, draws // 20 // max(1, len(claims)))):
            found["ssim"].append(rivals.ssim_refuses(claimed, honest, rng))
    return {"name": name, "tiles": len(claims)} | {key: float(np.mean(v)) if v else None for key, v in found.items()}


def _rgb(picture: Picture) -> list[int]:
    names = list(picture.contract.channels)
    stem = next(name.rpartition(".")[0] for name in names if name.endswith("Combined.R"))
    return [names.index(f"{stem}.{color}") for color in "RGB"]
