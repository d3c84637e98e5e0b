"""One audit, judged: the lane that the two classes allow, and what the comparison in that lane says."""

from __future__ import annotations

from collections.abc import Mapping

from jobs.contract import InferContract, Lane, RenderContract
from jobs.tiles import InferTile, RenderTile
from verification.compare import Comparison, compare_cells
from verification.guided import compare_guided
from verification.lanes import Known, lane_between, question_of
from verification.limits import limits_for
from verification.noise import compare_frames
from verification.perceptual import compare_pictures

__all__ = ["judge_cells"]


def judge_cells(
    contract: RenderContract | InferContract,
    tile: RenderTile | InferTile,
    classes: tuple[str, str],
    claimed: Mapping[int, bytes],
    recomputed: Mapping[int, bytes],
    *,
    repeats: bool = True,
    known: Known = limits_for,
) -> tuple[Lane | None, Comparison | None]:
    """`classes` are the worker's and the auditor's. (None, None) where that auditor cannot judge that worker.

    `claimed` and `recomputed` hold the same cells; for what replays in whole frames only, all cells of some frames.
    Raises ValueError where they do not."""
    question = question_of(contract)
    lane = lane_between(question, *classes, repeats=repeats, known=known)
    if lane is None:
        return None, None
    if lane is Lane.PERCEPTUAL:
        return lane, compare_pictures(contract, tile, claimed, recomputed)
    if lane is Lane.WHOLE and question.path_guiding:
        assert isinstance(contract, RenderContract) and isinstance(tile, RenderTile)
        compare = compare_guided if classes[0] == classes[1] and repeats else compare_frames
        return lane, compare(contract, tile, claimed, recomputed)
    limits = known(*classes, question.kind) if lane is Lane.TOLERANT else None
    return lane, compare_cells(contract, tile, lane, dict(claimed), dict(recomputed), limits)
