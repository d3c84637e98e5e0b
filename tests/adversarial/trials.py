"""One trial: a lease, a commitment, a challenge, an audit and a verdict, by the code that decides in production."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import beta, hypergeom

from jobs.contract import CELL_SIDE, InferContract, Lane, RenderContract
from jobs.geometry import Rect
from jobs.states import Verdict
from jobs.tiles import InferTile, RenderTile
from node.calibrate.batches import Results
from node.calibrate.studio import Planes
from verification.challenge import draw_cells, new_secret
from verification.commitment import cell_bytes, commit
from verification.compare import compare_cells
from verification.limits import Limits

__all__ = ["Committed", "Rate", "bits_of", "expected", "interval", "render_trial", "tiles_of"]


class Rate(NamedTuple):
    """`refused` of `draws`, over `tiles` different ones; `escalated` were neither accepted nor refused."""

    refused: int
    escalated: int
    draws: int
    tiles: int

    @property
    def share(self) -> float:
        return self.refused / max(1, self.draws)


def tiles_of(contract: RenderContract, frame: int, columns: int, rows: int) -> list[RenderTile]:
    """The picture in columns x rows tiles; sides are multiples of a cell's."""
    x, y = contract.width // columns, contract.height // rows
    assert x % CELL_SIDE == y % CELL_SIDE == 0
    rects = [(i * x, j * y, (i + 1) * x, (j + 1) * y) for j in range(rows) for i in range(columns)]
    return [RenderTile(frames=(frame,), rect=rect, samples=(0, contract.samples)) for rect in rects]


def _part(planes: Planes, rect: tuple[int, int, int, int]) -> bytes:
    x0, y0, x1, y1 = rect
    return np.ascontiguousarray(planes[:, y0:y1, x0:x1]).tobytes()


def bits_of(tile: RenderTile, claimed: Planes, recomputed: Planes) -> bytes:
    """SHA-256 of both sides' bits of a tile of two whole pictures: trials that share it are one trial made twice, such
    as that of an empty background in each frame."""
    return hashlib.sha256(_part(claimed, tile.rect) + _part(recomputed, tile.rect)).digest()


def render_trial(
    contract: RenderContract, tile: RenderTile, claimed: Planes, recomputed: Planes, lane: Lane, probes: int,
    limits: Limits | None = None,
) -> Verdict:  # fmt: skip
    """`claimed` and `recomputed` are whole pictures, of the worker and of the auditor."""
    lease = secrets.token_hex(16)
    data = _part(claimed, tile.rect)
    root = commit(lease, contract, tile, data).root
    cells = draw_cells(root, lease, new_secret(), cells=tile.cell_count(), probes=probes)
    shown = {index: cell_bytes(contract, tile, data, index) for index in cells}
    redone = {index: _part(recomputed, tuple(Rect(*tile.cell(index).rect))) for index in cells}
    return compare_cells(contract, tile, lane, shown, redone, limits).verdict


class Committed:
    """A tile of items, committed to once; every trial draws from it anew with a secret of its own."""

    def __init__(self, contract: InferContract, claimed: Results) -> None:
        self.contract, self.claimed = contract, np.ascontiguousarray(claimed)
        self.lease, self.tile = secrets.token_hex(16), InferTile(first=0, count=len(claimed))
        self.root = commit(self.lease, contract, self.tile, memoryview(self.claimed).cast("B")).root

    def draw(self, probes: int) -> list[int]:
        """Items to redo, by a secret of their own."""
        return draw_cells(self.root, self.lease, new_secret(), cells=len(self.claimed), probes=probes)

    def judge(
        self, cells: list[int], redone: Mapping[int, Results], lane: Lane, limits: Limits | None = None
    ) -> Verdict:  # fmt: skip
        """What the comparator says of the drawn items; `redone` holds the auditor's, by index."""
        shown = {index: self.claimed[index].tobytes() for index in cells}
        again = {index: redone[index].tobytes() for index in cells}
        return compare_cells(self.contract, self.tile, lane, shown, again, limits).verdict

    def trial(self, recomputed: Results, lane: Lane, probes: int, limits: Limits | None = None) -> Verdict:
        """`recomputed` holds the auditor's items, repeated as often as it takes to fill the tile."""
        cells = self.draw(probes)
        return self.judge(cells, {index: recomputed[index % len(recomputed)] for index in cells}, lane, limits)


def expected(differing: int, cells: int, probes: int) -> float:
    """Chance that `probes` different cells of `cells` hit one of those `differing`: never less than 1 - (1-s)^m."""
    return float(1 - hypergeom.pmf(0, cells, differing, min(probes, cells)))


def interval(hits: int, draws: int, *, tests: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's exact interval, Bonferroni-corrected for so many tests."""
    tail = (1 - confidence) / tests / 2
    low = float(beta.ppf(tail, hits, draws - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, draws - hits)) if hits < draws else 1.0
    return low, high


def tally(verdicts: Mapping[Verdict, int], tiles: int) -> Rate:
    """Counted verdicts as a rate."""
    total = sum(verdicts.values())
    return Rate(verdicts.get(Verdict.REJECT, 0), verdicts.get(Verdict.ESCALATE, 0), total, tiles)
