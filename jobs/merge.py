"""Putting a frame together: sample ranges into full renders, rectangles into a window.

Everything is scene-linear float32 in planes (C, H, W), row 0 at the top; sums are made in float64, so that merging adds
no error of its own (merged against rendered at once: |a-b| <= 1e-6 x max(1, |v|), all of it float32 rounding).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.errors import KilnetError
from jobs.passes import PassKind, colour_channel, cryptomatte_rank, pass_kind

__all__ = ["MergeError", "Part", "merge_ranges", "paste_tiles"]

Planes = NDArray[np.float32]
Part = tuple[tuple[int, int], Planes]
"""A sample range [s0, s1) and its planes (C, H, W)."""
RectLike = tuple[int, int, int, int]

_ROWS = 64
"""Cryptomatte is merged so many rows at a time: sorting needs several copies of its ranks."""


class MergeError(KilnetError):
    """The parts do not make up a whole; the message says which one does not fit, and how."""

    code = "merge"


def merge_ranges(
    parts: Sequence[Part], channels: Sequence[str], kinds: Mapping[str, str | PassKind] | None = None
) -> Planes:
    """Sample ranges of one rectangle -> what rendering all samples at once gives, (C, H, W) float32.

    `channels` name the first axis; `kinds` gives the kind of each (default: `pass_kind` of its name). A single part is
    returned as it is. Raises MergeError where ranges overlap or leave a gap from 0 on, shapes differ, a kind is
    unknown, or a light pass lacks its colour.
    """
    ordered = _in_order(parts, len(channels))
    if len(ordered) == 1:
        return ordered[0][1]
    of = {name: PassKind(kinds[name]) if kinds and name in kinds else pass_kind(name) for name in channels}
    index = {name: i for i, name in enumerate(channels)}
    counts = np.array([s1 - s0 for (s0, s1), _ in ordered], np.float64)
    weights = counts / counts.sum()
    merged = np.empty_like(ordered[0][1], dtype=np.float32)
    for name, i in index.items():
        if of[name] is PassKind.MEAN:
            merged[i] = _saturate(_mean([planes[i] for _, planes in ordered], weights), counts.sum())
        elif of[name] is PassKind.FIRST:
            merged[i] = ordered[0][1][i]
        elif of[name] is PassKind.UNKNOWN:
            raise MergeError(f"It is not known how sample ranges of {name!r} merge: split the frame in space only.")
    _merge_by_color([n for n in channels if of[n] is PassKind.BY_COLOR], index, ordered, weights, merged)
    _merge_cryptomatte([n for n in channels if of[n] is PassKind.CRYPTOMATTE], index, ordered, weights, merged)
    return merged


def _in_order(parts: Sequence[Part], channels: int) -> list[Part]:
    if not parts:
        raise MergeError("There is nothing to merge.")
    ordered = sorted(parts, key=lambda part: part[0])
    shape = ordered[0][1].shape
    expected = 0
    for (s0, s1), planes in ordered:
        if planes.ndim != 3 or planes.shape != shape or planes.shape[0] != channels:
            text = f"Samples [{s0}, {s1}) have shape {planes.shape}; {channels} channels of {shape[1:]} are expected."
            raise MergeError(text)
        if s0 != expected or s1 <= s0:
            raise MergeError(f"Samples [{s0}, {s1}) follow sample {expected}: ranges must adjoin, from 0 on.")
        expected = s1
    return ordered


def _mean(planes: Sequence[Planes], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros(planes[0].shape, np.float64)
    for plane, weight in zip(planes, weights, strict=True):
        total += plane.astype(np.float64) * weight
    return total


def _saturate(mean: NDArray[np.float64], samples: float) -> NDArray[np.float64]:
    """Cycles' sum of a pixel stops at the largest float, which is what the sky's denoising depth is."""
    return np.minimum(mean, float(np.finfo(np.float32).max) / samples)


def _merge_by_color(
    names: Sequence[str],
    index: Mapping[str, int],
    parts: Sequence[Part],
    weights: NDArray[np.float64],
    merged: Planes,
) -> None:
    """Light passes: average what was light before the division by colour, then divide as Cycles divides."""
    passes: dict[str, list[str]] = defaultdict(list)
    for name in names:
        passes[name.rsplit(".", 1)[0]].append(name)
    for members in passes.values():
        light, colour = [], []
        for name in members:
            by = colour_channel(name)
            if by not in index:
                raise MergeError(f"{name!r} is stored divided by {by!r}, which is not there: split in space only.")
            a, b = index[name], index[by]
            products = [planes[a].astype(np.float64) * planes[b] for _, planes in parts]
            light.append(sum((p * w for p, w in zip(products, weights, strict=True)), np.zeros_like(products[0])))
            colour.append(_mean([planes[b] for _, planes in parts], weights))
        for name, plane in zip(members, _divide_even(light, colour), strict=True):
            merged[index[name]] = plane


def _divide_even(
    light: Sequence[NDArray[np.float64]], colour: Sequence[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """light / colour; a component whose colour is 0 takes the mean of the others, so that grey light stays grey.

    That is how Cycles divides (`safe_divide_even_color`); all three 0 gives 0.
    """
    lights, colours = np.stack(light), np.stack(colour)
    known = colours != 0
    ratio = np.divide(lights, colours, out=np.zeros_like(lights), where=known)
    number = known.sum(axis=0)
    grey = np.divide(ratio.sum(axis=0), number, out=np.zeros_like(ratio[0]), where=number > 0)
    return list(np.where(known, ratio, grey))


def _merge_cryptomatte(
    names: Sequence[str],
    index: Mapping[str, int],
    parts: Sequence[Part],
    weights: NDArray[np.float64],
    merged: Planes,
) -> None:
    groups: dict[str, dict[tuple[int, str], int]] = defaultdict(dict)
    for name in names:
        group, rank, what = cryptomatte_rank(name)
        groups[group][rank, what] = index[name]
    for group, places in groups.items():
        ranks = sorted({rank for rank, _ in places})
        if len(places) != 2 * len(ranks):
            raise MergeError(f"Cryptomatte {group!r} lacks an ID or a coverage channel.")
        ids = [places[rank, "id"] for rank in ranks]
        coverages = [places[rank, "coverage"] for rank in ranks]
        height = merged.shape[1]
        for y in range(0, height, _ROWS):
            rows = slice(y, min(height, y + _ROWS))
            strip = [planes[:, rows] for _, planes in parts]
            top_ids, top = _by_id([(p[ids], p[coverages]) for p in strip], weights)
            merged[ids, rows], merged[coverages, rows] = top_ids, top


def _by_id(parts: Sequence[tuple[Planes, Planes]], weights: NDArray[np.float64]) -> tuple[Planes, NDArray[np.float64]]:
    """(K, H, W) IDs and coverages of each part -> the K largest coverages by ID, in falling order.

    IDs are hashes stored in a float's bits, so they are compared as bits. ID 0 is an empty rank.
    """
    ranks, height, width = parts[0][0].shape
    pixels = height * width
    ids = np.concatenate([i.reshape(ranks, pixels) for i, _ in parts]).T.copy().view(np.uint32)
    shares = [c.reshape(ranks, pixels).astype(np.float64) * w for (_, c), w in zip(parts, weights, strict=True)]
    coverage = np.concatenate(shares).T
    order = np.argsort(ids, axis=1, kind="stable")
    ids, coverage = np.take_along_axis(ids, order, 1), np.take_along_axis(coverage, order, 1)
    first = np.ones(ids.shape, bool)
    first[:, 1:] = ids[:, 1:] != ids[:, :-1]
    starts = np.flatnonzero(first)
    total = np.zeros(ids.size)
    total[starts] = np.add.reduceat(coverage.ravel(), starts)
    total = np.where(ids == 0, 0.0, total.reshape(ids.shape))
    best = np.argsort(-total, axis=1, kind="stable")[:, :ranks]
    top = np.take_along_axis(total, best, 1)
    top_ids = np.where(top > 0, np.take_along_axis(ids, best, 1), np.uint32(0)).astype(np.uint32)
    shape = (ranks, height, width)
    return np.ascontiguousarray(top_ids.T).view(np.float32).reshape(shape), top.T.reshape(shape)


def paste_tiles(
    tiles: Iterable[tuple[RectLike, Planes]], window: RectLike, channels: int, out: Planes | None = None
) -> Planes:
    """Rectangles of a frame -> the planes of its window, (C, window height, window width) float32.

    Rectangles and window are [x0, y0, x1, y1) in whole-frame pixels, origin top left. `out`, such as a memory map of
    that shape, is filled in place. Raises MergeError where a rectangle leaves the window or has another shape than its
    planes, and where rectangles overlap or leave pixels uncovered.
    """
    wx0, wy0, wx1, wy1 = window
    shape = (channels, wy1 - wy0, wx1 - wx0)
    if out is None:
        out = np.empty(shape, np.float32)
    elif out.shape != shape:
        raise MergeError(f"The window {window} needs shape {shape}, not {out.shape}.")
    covered = np.zeros(shape[1:], bool)
    for rect, planes in tiles:
        x0, y0, x1, y1 = rect
        if not (wx0 <= x0 < x1 <= wx1 and wy0 <= y0 < y1 <= wy1):
            raise MergeError(f"The rectangle {tuple(rect)} is empty or leaves the window {tuple(window)}.")
        if planes.shape != (channels, y1 - y0, x1 - x0):
            raise MergeError(f"The rectangle {tuple(rect)} has planes of shape {planes.shape}.")
        rows, columns = slice(y0 - wy0, y1 - wy0), slice(x0 - wx0, x1 - wx0)
        if covered[rows, columns].any():
            raise MergeError(f"The rectangle {tuple(rect)} overlaps another one.")
        out[:, rows, columns] = planes
        covered[rows, columns] = True
    if not covered.all():
        raise MergeError(f"{int((~covered).sum())} pixels of the window {tuple(window)} are in no rectangle.")
    return out
