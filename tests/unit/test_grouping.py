"""Which cells share a render call: each exactly once, never dearer than a call for each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.runners.blender.grouping import Rect, area, bounds, grouped

CELLS = st.lists(
    st.tuples(st.integers(0, 63), st.integers(0, 63)).map(
        lambda at: (8 * at[0], 8 * at[1], 8 * at[0] + 8, 8 * at[1] + 8)
    ),
    max_size=40,
)


def cost(groups: list[list[int]], rects: list[Rect], guard: int, call: float, pixel: float) -> float:
    return sum(call + pixel * area(bounds([rects[i] for i in group]), guard) for group in groups)


@given(CELLS, st.integers(0, 12), st.floats(0, 1), st.floats(0, 1e-3))
def test_each_once_and_never_dearer(rects: list[Rect], guard: int, call: float, pixel: float) -> None:
    groups = grouped(rects, guard, call, pixel)
    assert sorted(i for group in groups for i in group) == list(range(len(rects)))
    assert groups == sorted(groups)
    alone = [[i] for i in range(len(rects))]
    assert cost(groups, rects, guard, call, pixel) <= cost(alone, rects, guard, call, pixel) + 1e-9


def test_near_ones_are_joined_and_far_ones_are_not() -> None:
    """Two in a corner, with 8 columns between them, and one far away: 64 pixels more cost less than a call."""
    rects = [(0, 0, 8, 8), (1000, 1000, 1008, 1008), (16, 0, 24, 8)]
    assert grouped(rects, 0, call_seconds=1.0, pixel_seconds=0.01) == [[0, 2], [1]]
    assert grouped(rects, 0, call_seconds=0.5, pixel_seconds=0.01) == [[0], [1], [2]]
    assert grouped(rects, 0, call_seconds=1.0, pixel_seconds=0.0) == [[0, 1, 2]]
