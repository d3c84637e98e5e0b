"""Plans: every pixel, sample, frame and item exactly once, in pieces that are worth a lease."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.contract import Lane
from jobs.errors import BadInput
from jobs.geometry import Rect
from jobs.planner import (
    WHOLE_RUN,
    InferCost,
    PlanPolicy,
    RenderCost,
    in_preview,
    plan_infer,
    plan_render,
    preview_frames,
    tile_seconds,
)
from tests.unit.strategies import infer_contract, render_contract

policies = st.builds(
    PlanPolicy,
    nodes=st.integers(1, 32),
    tiles_per_node=st.integers(1, 8),
    max_tile_seconds=st.floats(5, 2000),
    min_tile_seconds=st.floats(0.5, 5),
    probes=st.integers(1, 32),
    max_tile_bytes=st.sampled_from([1 << 16, 1 << 20, 256 << 20]),
)
costs = st.builds(
    RenderCost,
    load_seconds=st.floats(0, 60),
    sync_seconds=st.floats(0, 30),
    per_pixel_sample_seconds=st.floats(1e-9, 1e-3),
    cell_seconds=st.floats(0, 1),
)
contracts = st.builds(
    lambda width, height, adaptive, split, lane, samples: render_contract(
        width, height, adaptive=adaptive, sample_split=split, lane=lane, samples=samples
    ),
    st.integers(1, 700), st.integers(1, 500), st.booleans(), st.booleans(), st.sampled_from(list(Lane)),
    st.integers(1, 300),
)  # fmt: skip
frame_lists = st.lists(st.integers(-5, 400), min_size=1, max_size=12, unique=True).map(sorted)


@settings(deadline=None)
@given(contracts, frame_lists, costs, policies, st.none() | st.integers(1, 12), st.none() | st.integers(1, 40))
def test_a_render_plan_covers_everything_once(contract, frames, cost, policy, ranges, tiles) -> None:  # type: ignore[no-untyped-def]
    """For each frame the rectangles are disjoint, inside the window and as large as it together, in every sample range;
    the ranges follow each other from 0 to the last sample; frames stay in order."""
    plan = plan_render(contract, frames, cost, policy, sample_ranges=ranges, tiles=tiles)
    pieces = defaultdict(lambda: defaultdict(list))
    for tile in plan:
        for frame in tile.frames:
            pieces[frame][tile.samples].append(tile.area)
    assert sorted(pieces) == frames
    assert [tile.frames[0] for tile in plan] == sorted(tile.frames[0] for tile in plan)
    for by_range in pieces.values():
        edges = sorted(by_range)
        assert edges[0][0] == 0 and edges[-1][1] == contract.samples
        assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
        for rects in by_range.values():
            assert sum(rect.area for rect in rects) == contract.rect.area
            assert all(contract.rect.contains(rect) and rect.area > 0 for rect in rects)
            assert disjoint(rects)


@settings(deadline=None)
@given(contracts, frame_lists, costs, policies, st.none() | st.integers(1, 12), st.integers(2, 20))
def test_the_preview_comes_first_and_nothing_is_rendered_twice(contract, frames, cost, policy, ranges, every) -> None:  # type: ignore[no-untyped-def]
    """The preview's tiles are the first of the plan: of an animation just every Nth frame, of a still all pixels with
    about 1/N of the samples. What makes up the frames covers each pixel and sample once: with the rest, or, of a still
    whose samples do not merge, without the preview. A still that has none is refused in a line that says what to do."""
    if len(frames) == 1 and not (contract.in_cells and contract.samples > 1):
        with pytest.raises(BadInput, match="order a small one first") as refused:
            plan_render(contract, frames, cost, policy, sample_ranges=ranges, preview_every=every)
        assert refused.value.code == "no_preview"
        return
    plan = plan_render(contract, frames, cost, policy, sample_ranges=ranges, preview_every=every)
    chosen = [in_preview(tile, contract, frames, every) for tile in plan]
    first = [tile for tile, wanted in zip(plan, chosen, strict=True) if wanted]
    assert chosen == sorted(chosen, reverse=True) and first
    if len(frames) == 1:
        assert [tile.only_seen(contract) for tile in plan] == [
            wanted and not contract.merges_samples for wanted in chosen
        ]
    merged = [tile for tile in plan if not tile.only_seen(contract)]
    covered = sum(len(t.frames) * t.area.area * (t.samples[1] - t.samples[0]) for t in merged)
    assert covered == len(frames) * contract.rect.area * contract.samples
    of_first = sum(len(t.frames) * t.area.area * (t.samples[1] - t.samples[0]) for t in first)
    if len(frames) > 1:
        assert {frame for tile in first for frame in tile.frames} == set(preview_frames(frames, every))
        assert of_first == len(preview_frames(frames, every)) * contract.rect.area * contract.samples
    else:
        few = max(1, round(contract.samples / every))
        assert {tile.samples for tile in first} == {(0, few)} and of_first == contract.rect.area * few


def test_a_preview_by_itself_is_paid_for_all_the_samples_it_takes() -> None:
    """Adaptive sampling takes a fifth of the samples, but all of the first ones: a tenth of them is half the work."""
    contract = render_contract(100, 100, adaptive=True, sample_split=False, samples=100)
    cost = RenderCost(per_pixel_sample_seconds=1e-5, taken=0.2)
    seen, whole = plan_render(contract, [1], cost, PlanPolicy(nodes=1), tiles=1, preview_every=10)
    assert (seen.samples, whole.samples) == ((0, 10), (0, 100))
    assert tile_seconds(seen, contract, cost) == pytest.approx(tile_seconds(whole, contract, cost) / 2)


@settings(deadline=None)
@given(contracts, costs, policies)
def test_a_progressive_still_is_whole_before_it_is_clean(contract, cost, policy) -> None:  # type: ignore[no-untyped-def]
    """Where samples can be rendered apart: all rectangles have their first range before any has its second, ranges grow
    by no more than what was there before, and together they cover each pixel and sample once."""
    plan = plan_render(contract, [7], cost, policy, progressive=True)
    assert sum(t.area.area * (t.samples[1] - t.samples[0]) for t in plan) == contract.rect.area * contract.samples
    assert [t.samples[0] for t in plan] == sorted(t.samples[0] for t in plan)
    if contract.in_cells and contract.sample_split and not contract.adaptive:
        ranges = sorted({t.samples for t in plan})
        assert ranges[0][1] == max(1, contract.samples // 8) or contract.samples < 8
        assert all(end - start <= max(start, 1) + 1 for start, end in ranges[1:])
    else:
        assert {t.samples for t in plan} == {(0, contract.samples)}


def disjoint(rects: list[Rect]) -> bool:
    """No pixel lies in two of the rectangles."""
    ordered = sorted(rects)
    return not any(
        a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
        for i, a in enumerate(ordered)
        for b in ordered[i + 1 :]
    )


@settings(deadline=None)
@given(contracts, frame_lists, costs, policies)
def test_what_may_not_be_cut_is_not_cut(contract, frames, cost, policy) -> None:  # type: ignore[no-untyped-def]
    """Whole lane: whole frames, in runs, so that of each run one is redone. Adaptive sampling, or passes that cannot be
    merged: no sample ranges."""
    plan = plan_render(contract, frames, cost, policy, sample_ranges=4)
    if contract.lane is Lane.WHOLE:
        assert [frame for tile in plan for frame in tile.frames] == list(frames)
        assert all(tile.rect == contract.window and len(tile.frames) <= WHOLE_RUN for tile in plan)
        assert len(plan) >= min(policy.nodes, len(frames)) / 2  # each node gets some
    if contract.adaptive or not contract.sample_split or contract.lane is Lane.WHOLE:
        assert {tile.samples for tile in plan} == {(0, contract.samples)}


@settings(deadline=None)
@given(contracts, frame_lists, costs, policies)
def test_the_parts_take_as_long_as_the_whole(contract, frames, cost, policy) -> None:  # type: ignore[no-untyped-def]
    """Expected seconds of the tiles add up to those of the frames: so the price is divided as the work is."""
    plan = plan_render(contract, frames, cost, policy)
    whole = len(frames) * cost.frame_seconds(contract.rect.area, contract.samples)
    assert sum(tile_seconds(tile, contract, cost) for tile in plan) == pytest.approx(whole)


@settings(deadline=None)
@given(st.integers(64, 700), st.integers(64, 500), frame_lists)
def test_an_upload_stays_within_its_limit(width, height, frames) -> None:  # type: ignore[no-untyped-def]
    """However cheap the pixels are, no tile is larger than max_tile_bytes where it can be cut at all."""
    contract = render_contract(width, height)
    limit = 256 * 1024
    plan = plan_render(
        contract, frames, RenderCost(per_pixel_sample_seconds=1e-9), PlanPolicy(max_tile_bytes=limit)
    )  # fmt: skip
    assert all(tile.result_bytes(contract) <= 1.2 * limit for tile in plan)


def test_long_frames_are_cut_and_short_ones_run_together() -> None:
    """A frame of an hour becomes many tiles; frames of a tenth of a second are leased in runs."""
    contract = render_contract(640, 480)
    pixels = 640 * 480 * 64
    slow = RenderCost(per_pixel_sample_seconds=3600 / pixels)
    fast = RenderCost(per_pixel_sample_seconds=0.1 / pixels, cell_seconds=0.001)
    assert len(plan_render(contract, [1], slow, PlanPolicy())) >= 12
    runs = plan_render(contract, range(1, 201), fast, PlanPolicy())
    assert len(runs) < 20 and all(len(tile.frames) >= 10 for tile in runs[:-1])


def test_dear_probes_make_larger_tiles() -> None:
    """The audit keeps its share: where a probe costs a second, eight of them need a tile of 400 s."""
    contract = render_contract(640, 480)
    cost = RenderCost(per_pixel_sample_seconds=3600 / (640 * 480 * 64), cell_seconds=1.0)
    plan = plan_render(contract, [1], cost, PlanPolicy(nodes=100))
    assert len(plan) <= 10


@settings(deadline=None)
@given(
    st.integers(64, 2000), st.integers(64, 1200), st.sampled_from([16, 64, 256, 1024]), st.floats(1e-7, 3e-5),
    st.floats(0.003, 1), st.floats(0, 1), st.integers(1, 32),
)  # fmt: skip
def test_a_frame_is_never_cut_so_small_that_its_audits_cost_more_than_they_may(  # type: ignore[no-untyped-def]
    width, height, samples, each, cell, sync, nodes
) -> None:
    """Neither rounding to whole rows and columns nor to sample ranges makes the probes dearer than is allowed."""
    contract, policy = render_contract(width, height, samples=samples), PlanPolicy(nodes=nodes, max_tile_seconds=1e6)
    cost = RenderCost(per_pixel_sample_seconds=each, cell_seconds=cell, sync_seconds=sync)
    plan = plan_render(contract, [1], cost, policy)
    share = len(plan) * policy.probes * cell / cost.frame_seconds(width * height, samples)
    assert len(plan) == 1 or share <= policy.audit_share <= 0.02


@settings(deadline=None)
@given(st.integers(1, 10_000), st.integers(1, 16), st.floats(1e-6, 100), policies)
def test_an_inference_plan_covers_every_item_once(items, batch, seconds, policy) -> None:  # type: ignore[no-untyped-def]
    """Runs follow each other without gap, in multiples of the micro-batch but for the last."""
    contract = infer_contract(micro_batch=batch)
    cost = InferCost(item_seconds=seconds)
    plan = plan_infer(contract, items, cost, policy)
    assert [tile.first for tile in plan] == [sum(tile.count for tile in plan[:i]) for i in range(len(plan))]
    assert sum(tile.count for tile in plan) == items
    assert all(tile.count % batch == 0 for tile in plan[:-1])
    assert sum(tile_seconds(tile, contract, cost) for tile in plan) == pytest.approx(items * seconds)
