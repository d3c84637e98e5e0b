# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cells are rendered in one call, with what lies between them, because that is cheaper than a call for each.

Blender evaluates the frame anew at every call, and what moves and shines has its light tree built anew: 0.2 s a call in
a scene of ten small objects, where an 8x8 block of 64 samples takes 0.02 s. A cell has the same bits whatever rectangle
it is rendered in, so only the time differs.
"""

from __future__ import annotations

from collections.abc import Sequence

Rect = tuple[int, int, int, int]

_AT_ONCE = 64
"""Cells that are looked at together: pairs are compared, so the effort grows with the square."""


def bounds(rects: Sequence[Rect]) -> Rect:
    """The smallest rectangle around all of them, pixels `[x0, y0, x1, y1)`."""
    columns = [x for rect in rects for x in (rect[0], rect[2])]
    rows = [y for rect in rects for y in (rect[1], rect[3])]
    return min(columns), min(rows), max(columns), max(rows)


def area(rect: Rect, guard: int) -> int:
    """Pixels that are rendered for `rect`."""
    return (rect[2] - rect[0] + 2 * guard) * (rect[3] - rect[1] + 2 * guard)


def grouped(rects: Sequence[Rect], guard: int, call_seconds: float, pixel_seconds: float) -> list[list[int]]:
    """Indices of `rects` in groups, in the order of each group's first; the two groups whose union saves most time are
    joined again and again, until none saves any.

    `call_seconds` is what a call takes whatever its size, `pixel_seconds` what a pixel takes with all of its samples.
    """
    order = sorted(range(len(rects)), key=lambda i: (rects[i][1], rects[i][0]))
    groups: list[list[int]] = []
    for start in range(0, len(order), _AT_ONCE):
        groups += _joined(order[start : start + _AT_ONCE], rects, guard, call_seconds, pixel_seconds)
    return sorted(sorted(group) for group in groups)


def _joined(
    members: Sequence[int], rects: Sequence[Rect], guard: int, call_seconds: float, pixel_seconds: float
) -> list[list[int]]:
    groups = [([i], rects[i]) for i in members]

    def saved(one: Rect, other: Rect) -> float:
        more = area(bounds((one, other)), guard) - area(one, guard) - area(other, guard)
        return call_seconds - more * pixel_seconds

    while len(groups) > 1:
        pairs = ((i, j) for i in range(len(groups)) for j in range(i))
        best, i, j = max((saved(groups[i][1], groups[j][1]), i, j) for i, j in pairs)
        if best <= 0:
            break
        groups[j] = (groups[j][0] + groups[i][0], bounds((groups[j][1], groups[i][1])))
        del groups[i]
    return [group for group, _ in groups]
