"""How a job is cut into tiles: pure functions of the contract and the measured cost.

A tile should be long enough that what is fixed (a lease, an upload, the audit's probes) is small beside it, and short
enough that every node gets several and a lost one costs little.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from jobs.contract import CELL_SIDE, InferContract, RenderContract
from jobs.errors import BadInput
from jobs.geometry import Rect
from jobs.tiles import InferTile, RenderTile

__all__ = [
    "WHOLE_RUN", "InferCost", "PlanPolicy", "RenderCost", "in_preview", "plan_infer", "plan_render", "preview_frames",
    "tile_seconds",
]  # fmt: skip

WHOLE_RUN = 10
"""Frames in a tile, at most, where only whole frames replay: one of them is redone, a tenth of the work."""


_MOST_PARTS = 1 << 20
"""Of a frame: more than anybody asks for."""


class _Cost(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    load_seconds: float = Field(default=0, ge=0)
    """Opening the scene or making the session, once per worker and job."""
    cell_seconds: float = Field(default=0.02, ge=0)
    """Redoing one cell on a warm worker: the price of one probe."""


class RenderCost(_Cost):
    """Seconds on a machine of benchmark score 1.0, measured at admission."""

    sync_seconds: float = Field(default=0, ge=0)
    """Preparing one frame (dependency graph, BVH), once per worker and frame."""
    per_pixel_sample_seconds: float = Field(gt=0)
    """Of the contract's samples, also of those that adaptive sampling leaves out."""
    taken: float = Field(default=1, gt=0, le=1)
    """Share of the samples that adaptive sampling takes. The first ones it takes all."""
    content: float = Field(default=1, ge=0, le=1)
    """Share of the picture that is not empty background: the less, the more cells are redone (verification.policy)."""

    def frame_seconds(self, pixels: int, samples: int) -> float:
        return self.sync_seconds + pixels * samples * self.per_pixel_sample_seconds


class InferCost(_Cost):
    """Seconds on a machine of benchmark score 1.0, measured at admission."""

    item_seconds: float = Field(gt=0)


class PlanPolicy(BaseModel):
    """What a plan aims for. Times are seconds at benchmark score 1.0."""

    model_config = ConfigDict(frozen=True)

    nodes: int = Field(default=4, ge=1)
    """Devices that are expected to take part."""
    tiles_per_node: int = Field(default=4, ge=1)
    max_tile_seconds: float = 600
    min_tile_seconds: float = 2
    probes: int = 8
    """Cells that will be redone in each tile of a node in good standing; three times as many of a new one."""
    audit_share: float = 0.0175
    """What the probes may cost, as a share of the tile's own time. What is wanted is 2%; both sides of the ratio are
    measured once, at admission, within a second or two, and err by some hundredths of themselves."""
    infer_audit_share: float = 0.01
    """The same for inference, where tiles may well be longer: then a new node's audits cost 3% there."""
    min_side: int = 64
    """Pixels; below that a tile is not cut further in space."""
    max_tile_bytes: int = 256 << 20

    def seconds(self, total: float, cell_seconds: float, share: float, audit_fixed: float = 0) -> float:
        """How long a tile should take so that all goals are met, the audit's first.

        `share` and `audit_fixed` as for audited_seconds."""
        wanted = total / (self.nodes * self.tiles_per_node)
        audited = self.audited_seconds(total, cell_seconds, share, audit_fixed)
        return min(self.max_tile_seconds, max(wanted, audited, self.min_tile_seconds))

    def audited_seconds(self, total: float, cell_seconds: float, share: float, audit_fixed: float = 0) -> float:
        """The shortest tile whose audit costs no more than `share` of the work. `audit_fixed` is what the auditor
        spends however many tiles there are (preparing each frame once); it may take up to half of that."""
        budget = share * total
        return self.probes * cell_seconds * total / max(budget - audit_fixed, budget / 2)


def _grid(width: int, height: int, parts: int, most: int, min_side: int) -> tuple[int, int]:
    """Columns and rows for about `parts` nearly square tiles, no more than `most`, none under min_side (where the
    frame itself is not)."""
    most_columns, most_rows = max(1, width // min_side), max(1, height // min_side)
    best = (1, 1)
    best_score = math.inf
    for columns in range(1, min(most_columns, parts, most) + 1):
        rows = min(most_rows, max(1, round(parts / columns)), most // columns)
        w, h = width / columns, height / rows
        score = abs(math.log(columns * rows / parts)) * 4 + abs(math.log(w / h))
        if score < best_score:
            best, best_score = (columns, rows), score
    return best


def _ranges(samples: int, parts: int) -> list[tuple[int, int]]:
    parts = max(1, min(parts, samples))
    edges = [samples * i // parts for i in range(parts + 1)]
    return list(itertools.pairwise(edges))


def _growing(samples: int) -> list[tuple[int, int]]:
    """An eighth, an eighth, a quarter, a half of the samples: at each edge the noise is that of half as many as at the
    next, and lower by the square root of two."""
    edges = sorted({0, samples, *(samples // part for part in (8, 4, 2))})
    return list(itertools.pairwise(edges))


def _runs(window: Rect, samples: tuple[int, int], frames: Sequence[int], run: int) -> list[RenderTile]:
    """Whole frames, `run` of them (one at least) in each tile."""
    run = max(1, run)
    starts = range(0, len(frames), run)
    return [RenderTile(frames=tuple(frames[i : i + run]), rect=window, samples=samples) for i in starts]


def plan_render(
    contract: RenderContract,
    frames: Sequence[int],
    cost: RenderCost,
    policy: PlanPolicy,
    *,
    tiles: int | None = None,
    sample_ranges: int | None = None,
    preview_every: int | None = None,
    progressive: bool = False,
) -> list[RenderTile]:
    """Tiles that cover each pixel, sample and frame exactly once, in the order in which they should be leased; before
    them, where a still's samples do not merge, a preview by itself.

    Frames are cut in space (nearly square tiles), then, where space cannot be cut enough or the client asks for it
    with `sample_ranges`, in sample ranges. `tiles` replaces the number of rectangles that the cost would suggest.
    Frames that are shorter than a tile should be are leased in runs. What does not replay in cells is never cut:
    EEVEE, Workbench, path guiding and Freestyle render another picture in pieces. It is leased in runs of frames.

    With `preview_every` N the preview's tiles (in_preview) come first: every Nth frame, or of a still 1/N of the
    samples. With `progressive` a still is cut into ranges of samples that grow (where they can be rendered apart), the
    first ones of all rectangles before the next: it is seen whole early and gets cleaner. Raises BadInput `no_preview`
    for a preview of a still that has none: of one sample, or of another engine than Cycles.
    """
    if preview_every is not None and len(frames) > 1:
        first = preview_frames(frames, preview_every)
        rest = sorted(set(frames) - set(first))
        halves = [half for half in (first, rest) if half]
        plans = [plan_render(contract, half, cost, policy, tiles=tiles, sample_ranges=sample_ranges) for half in halves]
        return [tile for plan in plans for tile in plan]
    if preview_every is not None:
        _check_still(contract)
        if not contract.merges_samples:
            few = contract.model_copy(update={"samples": _edge(contract, preview_every)})
            plans = [plan_render(each, frames, cost, policy, tiles=tiles) for each in (few, contract)]
            return [tile for plan in plans for tile in plan]
    window = contract.rect
    frame_seconds = cost.frame_seconds(window.area, contract.samples)
    total, preparing = frame_seconds * len(frames), cost.sync_seconds * len(frames)
    target = policy.seconds(total, cost.cell_seconds, policy.audit_share, preparing)
    audited = policy.audited_seconds(total, cost.cell_seconds, policy.audit_share, preparing)
    frame_bytes = contract.result_bytes(window)
    full = (0, contract.samples)
    if not contract.in_cells:
        # Of a run one frame is redone: a frame alone would be redone each time.
        shared = min(WHOLE_RUN, math.ceil(len(frames) / policy.nodes), int(policy.max_tile_seconds / frame_seconds))
        return _runs(window, full, frames, min(shared, policy.max_tile_bytes // frame_bytes))
    by_bytes = math.ceil(frame_bytes / policy.max_tile_bytes)
    # A cut frame is prepared by every node that gets a piece: cut only what is long beside its preparation.
    by_time = 1 if frame_seconds <= 1.5 * target else round((frame_seconds - cost.sync_seconds) / target)
    # Not rounded up where that would make the audits dearer than they may be.
    audited = min(audited, policy.max_tile_seconds)
    bearable = frame_seconds / audited if audited and tiles is None else math.inf
    most = max(1, by_bytes, int(min(bearable, _MOST_PARTS)))
    parts = max(1, by_bytes, min(by_time, most) if tiles is None else tiles)
    side = policy.min_side if tiles is None else CELL_SIDE
    columns, rows = _grid(window.width, window.height, parts, max(most, parts), side)
    while columns * rows < by_bytes:  # the size of an upload is a limit, the side of a tile only a wish
        columns, rows = (columns * 2, rows) if window.width / columns > window.height / rows else (columns, rows * 2)
    ranges = [full]
    if contract.merges_samples:
        shared = min(round(parts / (columns * rows)), max(1, most // (columns * rows)))
        wanted = sample_ranges if sample_ranges is not None else min(8, shared)
        ranges = _ranges(contract.samples, wanted)
        if progressive and len(frames) == 1:
            # As many tiles as before, of which the first ones are short.
            rectangles = max(by_bytes, math.ceil(columns * rows / 2)) if tiles is None else columns * rows
            columns, rows = _grid(window.width, window.height, rectangles, rectangles, policy.min_side)
            ranges = _growing(contract.samples)
    if preview_every is not None:
        ranges = _preview_range(contract, preview_every, ranges)
    if columns * rows == 1 and len(ranges) == 1 and len(frames) > 1:
        return _runs(window, full, frames, min(int(target / frame_seconds), policy.max_tile_bytes // frame_bytes))
    rects = list(window.split(columns, rows))
    return [
        RenderTile(frames=(frame,), rect=rect, samples=samples)
        for frame in frames
        for samples in ranges
        for rect in rects
    ]


def preview_frames(frames: Sequence[int], every: int) -> list[int]:
    """The frames that are whole in a preview: of an animation the first and every Nth after it, in the order of
    `frames`; of a still none, since some of its samples are no frame yet."""
    return list(frames[::every]) if len(frames) > 1 else []


def in_preview(tile: RenderTile, contract: RenderContract, frames: Sequence[int], every: int) -> bool:
    """Whether a tile of a plan that was made with `preview_every` belongs to the preview."""
    if len(frames) > 1:
        return set(tile.frames) <= set(preview_frames(frames, every))
    return tile.samples == (0, _edge(contract, every))


def _check_still(contract: RenderContract) -> None:
    if contract.in_cells and contract.samples > 1:
        return
    raise BadInput(
        "preview: this still has no fewer samples to be seen with first (one sample, path guiding, or another engine "
        "than Cycles); order a small one first (--resolution) and then the whole",
        code="no_preview",
    )


def _edge(contract: RenderContract, every: int) -> int:
    """Samples of a still's preview."""
    return max(1, round(contract.samples / every))


def _preview_range(contract: RenderContract, every: int, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges with the first 1/N of the samples as one of their own."""
    edge = _edge(contract, every)
    kept = sorted({s1 for _, s1 in ranges if s1 > edge})
    return list(itertools.pairwise([0, edge, *kept]))


def plan_infer(contract: InferContract, items: int, cost: InferCost, policy: PlanPolicy) -> list[InferTile]:
    """Runs of items, a multiple of the micro-batch each (but for the last), covering the batch once."""
    target = policy.seconds(items * cost.item_seconds, cost.cell_seconds, policy.infer_audit_share)
    run = min(round(target / cost.item_seconds), policy.max_tile_bytes // contract.item_bytes, items)
    run = max(1, run // contract.micro_batch) * contract.micro_batch
    return [InferTile(first=i, count=min(run, items - i)) for i in range(0, items, run)]


def tile_seconds(
    tile: RenderTile | InferTile, contract: RenderContract | InferContract, cost: RenderCost | InferCost
) -> float:
    """Expected seconds of a tile at benchmark score 1.0: its share of the work, by which the price is divided too.

    A frame's preparation counts in proportion to the tile's share of the frame: who renders more pieces prepares
    once, and the sum over the tiles of a frame is the frame.
    """
    if isinstance(tile, InferTile):
        assert isinstance(cost, InferCost)
        return tile.count * cost.item_seconds
    assert isinstance(cost, RenderCost) and isinstance(contract, RenderContract)
    if tile.only_seen(contract):
        taken = round(tile.samples[1] / cost.taken)
        return cost.frame_seconds(contract.rect.area, taken) * tile.area.area / contract.rect.area
    share = tile.area.area / contract.rect.area * (tile.samples[1] - tile.samples[0]) / contract.samples
    return len(tile.frames) * share * cost.frame_seconds(contract.rect.area, contract.samples)
