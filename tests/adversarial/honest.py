"""Honest tiles, counted: nobody who did what was asked may be refused, in any lane. Two pictures of the same bits are
one, and counted once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from jobs.contract import Lane
from jobs.states import Verdict
from node.calibrate.shots import Shot
from node.calibrate.sides import Side
from tests.adversarial.honest_items import EXACT_TILES, Bench, count_items
from tests.adversarial.material import AWKWARD, EMULATED, SWITCHED, WORK, Material, Picture
from tests.adversarial.trials import bits_of, render_trial, tiles_of
from verification.policy import TOLERANT_FLOOR

__all__ = ["count_honest"]

_SLOW_TILES = {"canary": 300, "text-direction": 300, "text-detection": 60, "text-recognition": 40}
"""Of each model, where one side runs in an emulator: a hundredth of the speed."""


def count_honest(
    material: Material, *, items: bool = True, slow_items: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Renders: every tile of every different picture once. Exact lane: 16x16 pixels, all cells redone. Tolerant lane:
    32x16 pixels, all eight cells redone, which are fewer than of real tiles, so that shares scatter more; tiles of this
    class before auditors of the other, and the other way round. `distinct`: tiles that have bits of their own.
    `items`: thousands of tiles of inference too; `slow_items`: across classes as well."""
    exact: Counter[Verdict] = Counter()
    tolerant: dict[str, Counter[Verdict]] = {}
    bits: dict[str, set[bytes]] = {}
    audited = list(_different(p for p in material.pictures if p.audited is not None))
    for picture in audited:
        assert picture.audited is not None
        contract, frame = picture.contract, picture.shot.frame
        for tile in tiles_of(contract, frame, contract.width // 16, contract.height // 16):
            exact[render_trial(contract, tile, picture.honest, picture.audited, Lane.EXACT, tile.cell_count())] += 1
            bits.setdefault("exact", set()).add(bits_of(tile, picture.honest, picture.audited))
    across = {
        other: list(_different(p for p in material.pictures if other in p.others)) for other in EMULATED | SWITCHED
    }
    for other, pictures in across.items():
        limits = material.limits.get(("render", other))
        for picture in pictures if limits is not None else ():
            contract, frame, planes = picture.contract, picture.shot.frame, picture.others[other]
            for tile in tiles_of(contract, frame, contract.width // 32, contract.height // 16):
                for claimed, redone in ((picture.honest, planes), (planes, picture.honest)):
                    verdict = render_trial(contract, tile, claimed, redone, Lane.TOLERANT, TOLERANT_FLOOR, limits)
                    tolerant.setdefault(other, Counter())[verdict] += 1
                    bits.setdefault(other, set()).add(bits_of(tile, claimed, redone))
    found: dict[str, Any] = {
        "render_tolerant": {
            other: _counts(counted) | _of([p.shot for p in across[other]]) | {"distinct": len(bits[other])}
            for other, counted in tolerant.items()
        },
        "infer_tolerant": {},
    }
    if exact:
        found["render_exact"] = _counts(exact) | _of([p.shot for p in audited]) | {"distinct": len(bits["exact"])}
    if items:
        kept = AWKWARD.parent / "honest-items-exact.json"
        found["infer_exact"] = count_items(Bench(WORK / "models", Side.of("a")), EXACT_TILES, kept=kept, say=say)
    for other in EMULATED if slow_items else ():
        limits = material.limits.get(("infer", other))
        if limits is not None:
            bench = Bench(WORK / "models", Side.of("b", wrapper=EMULATED[other]), limits)
            kept = AWKWARD.parent / f"honest-items-{other}.json"
            found["infer_tolerant"][other] = count_items(bench, _SLOW_TILES, kept=kept, say=say)
    return found


def _different(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """Of pictures with the same bits the first: an object that does not move, adaptive sampling that stops nowhere."""
    seen: set[bytes] = set()
    for picture in pictures:
        digest = hashlib.sha256(np.ascontiguousarray(picture.honest)).digest()
        if digest not in seen:
            seen.add(digest)
            yield picture


def _of(shots: list[Shot]) -> dict[str, int]:
    return {
        "scenes": len({shot.scene.name for shot in shots}), "pictures": len(shots),
        "adaptive": sum(shot.adaptive for shot in shots),
    }  # fmt: skip


def _counts(verdicts: Counter[Verdict]) -> dict[str, int]:
    return {
        "tiles": verdicts.total(), "refused": verdicts[Verdict.REJECT], "escalated": verdicts[Verdict.ESCALATE]
    }  # fmt: skip
