"""Merging sample ranges and pasting tiles: whatever the split, the whole comes back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.geometry import Rect
from jobs.merge import MergeError, merge_ranges, paste_tiles
from jobs.passes import PassKind, colour_channel, cryptomatte_rank, pass_kind

LIGHT = [f"L.Diffuse {part}.{c}" for part in ("Direct", "Color") for c in "RGB"]
CRYPTO = [f"L.CryptoObject{level:02d}.{c}" for level in (0, 1) for c in "rgba"]


@st.composite
def splits(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """A sample count and ranges that cover it, in any order."""
    total = draw(st.integers(2, 64))
    cuts = draw(st.sets(st.integers(1, total - 1), max_size=6))
    edges = [0, *sorted(cuts), total]
    ranges = list(itertools.pairwise(edges))
    return total, draw(st.permutations(ranges))


@given(splits(), st.integers(0, 2**32 - 1))
def test_means_of_ranges_are_the_mean_of_all(split: tuple[int, list[tuple[int, int]]], seed: int) -> None:
    """To float32 rounding; FIRST comes from the range that holds sample 0."""
    total, ranges = split
    samples = np.random.default_rng(seed).normal(0, 100, (total, 2, 3, 4))
    parts = [((a, b), samples[a:b].mean(0).astype(np.float32)) for a, b in ranges]
    merged = merge_ranges(parts, ["L.Combined.R", "L.Depth.Z"])
    whole = samples.mean(0)
    assert merged.dtype == np.float32
    assert np.all(np.abs(merged[0] - whole[0]) <= 1e-5 * np.maximum(1, np.abs(samples[:, 0]).max()))
    first = next(planes for (a, _), planes in parts if a == 0)
    assert np.array_equal(merged[1], first[1])


@given(splits(), st.integers(0, 2**32 - 1))
def test_divided_light_is_multiplied_out_first(split: tuple[int, list[tuple[int, int]]], seed: int) -> None:
    total, ranges = split
    rng = np.random.default_rng(seed)
    light, colour = rng.random((total, 3, 2, 5)), rng.random((total, 3, 2, 5)) + 0.01

    def stored(a: int, b: int) -> np.ndarray:
        c = colour[a:b].mean(0)
        return np.concatenate([light[a:b].mean(0) / c, c]).astype(np.float32)

    merged = merge_ranges([((a, b), stored(a, b)) for a, b in ranges], LIGHT)
    np.testing.assert_allclose(merged, stored(0, total), rtol=2e-5)


def test_a_colourless_component_takes_the_mean_of_the_others() -> None:
    """As Cycles divides, so that grey light on a saturated surface stays grey."""
    planes = np.array([2, 4, 0, 0.5, 0.25, 0], np.float32).reshape(6, 1, 1)
    merged = merge_ranges([((0, 1), planes), ((1, 2), planes)], LIGHT)
    assert merged.ravel().tolist() == [2, 4, 3, 0.5, 0.25, 0]


@given(splits(), st.integers(0, 2**32 - 1))
def test_cryptomatte_is_added_id_by_id(split: tuple[int, list[tuple[int, int]]], seed: int) -> None:
    """Every sample hits one of at most four objects, so four ranks hold them all."""
    total, ranges = split
    rng = np.random.default_rng(seed)
    ids = np.array([0x3F1234AB, 0x80000001, 0x41000000, 0x12345678], np.uint32)
    hits = rng.integers(0, 4, (total, 2, 3))

    def ranked(a: int, b: int) -> np.ndarray:
        share = np.stack([(hits[a:b] == i).mean(0) for i in range(4)])
        order = np.argsort(-share, axis=0, kind="stable")
        top = np.take_along_axis(share, order, 0)
        names = np.where(top > 0, ids[order], 0).astype(np.uint32).view(np.float32)
        planes = np.empty((8, 2, 3), np.float32)
        planes[0::2], planes[1::2] = names, top
        return planes

    merged = merge_ranges([((a, b), ranked(a, b)) for a, b in ranges], CRYPTO)
    got, want = _coverage(merged), _coverage(ranked(0, total))
    assert got.keys() == want.keys()
    for number in got:
        np.testing.assert_allclose(got[number], want[number], atol=1e-6)
    assert np.all(np.diff(merged[1::2], axis=0) <= 0), "coverage falls with the rank"


def _coverage(planes: np.ndarray) -> dict[int, np.ndarray]:
    found: dict[int, np.ndarray] = {}
    for names, share in zip(planes[0::2].view(np.uint32), planes[1::2], strict=True):
        for number in np.unique(names[names != 0]):
            found[int(number)] = found.get(int(number), 0) + np.where(names == number, share, 0)
    return found


def test_one_range_is_returned_as_it_is() -> None:
    """Even of a pass that nobody knows how to merge."""
    planes = np.array([[[np.nan, 1e30]]], np.float32)
    assert merge_ranges([((0, 4), planes)], ["L.Strange.X"]) is planes


@pytest.mark.parametrize(
    ("ranges", "channel", "says"),
    [
        ([], "L.Combined.R", "nothing"),
        ([(0, 4), (5, 8)], "L.Combined.R", "adjoin"),
        ([(0, 4), (3, 8)], "L.Combined.R", "adjoin"),
        ([(2, 4), (4, 8)], "L.Combined.R", "from 0 on"),
        ([(0, 4), (4, 4)], "L.Combined.R", "adjoin"),
        ([(0, 4), (4, 8)], "L.Strange.X", "not known"),
        ([(0, 4), (4, 8)], "L.Glossy Direct.R", "Glossy Color"),
        ([(0, 4), (4, 8)], "L.CryptoObject00.r", "lacks"),
    ],
)
def test_what_does_not_fit_is_refused(ranges: list[tuple[int, int]], channel: str, says: str) -> None:
    parts = [(r, np.zeros((1, 2, 2), np.float32)) for r in ranges]
    with pytest.raises(MergeError, match=says):
        merge_ranges(parts, [channel])


def test_the_kinds_of_the_contract_come_first() -> None:
    """An AOV may be called anything; the scene knows that it averages."""
    planes = [np.full((1, 1, 1), v, np.float32) for v in (1, 3)]
    parts = [((0, 1), planes[0]), ((1, 2), planes[1])]
    assert merge_ranges(parts, ["L.Dirt.X"], {"L.Dirt.X": "mean"}).item() == 2
    assert merge_ranges(parts, ["L.Combined.R"], {"L.Combined.R": "first"}).item() == 1


@pytest.mark.parametrize(
    ("channel", "kind"),
    [
        ("View Layer.Combined.R", PassKind.MEAN),
        ("My.Layer.Combined.A", PassKind.MEAN),
        ("L.Combined.left.G", PassKind.MEAN),
        ("L.Combined_key.B", PassKind.MEAN),
        ("L.Depth.Z", PassKind.FIRST),
        ("L.Transmission Indirect.R", PassKind.BY_COLOR),
        ("L.CryptoMaterial02.g", PassKind.CRYPTOMATTE),
        ("L.Shadow Catcher.R", PassKind.UNKNOWN),
        ("L.Render Time.X", PassKind.UNKNOWN),
    ],
)
def test_passes_are_known_by_blenders_names(channel: str, kind: PassKind) -> None:
    assert pass_kind(channel) is kind


def test_names_of_companions() -> None:
    assert colour_channel("L.Glossy Indirect.left.B") == "L.Glossy Color.left.B"
    assert cryptomatte_rank("My.L.CryptoAsset01.b") == ("My.L.CryptoAsset", 3, "id")
    assert cryptomatte_rank("L.CryptoObject00.right.g") == ("L.CryptoObject.right", 0, "coverage")
    with pytest.raises(ValueError, match="not a light pass"):
        colour_channel("L.Combined.R")


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(0, 9))
def test_any_grid_of_tiles_gives_the_frame(columns: int, rows: int, seed: int, x: int, y: int) -> None:
    window = Rect(x, y, x + 17, y + 11)
    frame = np.random.default_rng(seed).random((3, 11, 17), np.float32)
    tiles = [(r, frame[:, r.y0 - y : r.y1 - y, r.x0 - x : r.x1 - x]) for r in window.split(columns, rows) if r.area]
    assert np.array_equal(paste_tiles(reversed(tiles), window, 3), frame)


@pytest.mark.parametrize(
    ("rects", "says"),
    [
        ([(0, 0, 4, 4), (3, 0, 8, 4)], "overlaps"),
        ([(0, 0, 4, 4)], "in no rectangle"),
        ([(0, 0, 9, 4)], "leaves the window"),
        ([(4, 0, 4, 4)], "empty"),
    ],
)
def test_tiles_that_do_not_cover_the_window_once_are_refused(rects: list[Rect], says: str) -> None:
    tiles = [(r, np.zeros((1, r[3] - r[1], r[2] - r[0]), np.float32)) for r in rects]
    with pytest.raises(MergeError, match=says):
        paste_tiles(tiles, (0, 0, 8, 4), 1)


def test_a_tile_of_another_shape_is_refused() -> None:
    with pytest.raises(MergeError, match="has planes of shape"):
        paste_tiles([((0, 0, 2, 2), np.zeros((1, 2, 3), np.float32))], (0, 0, 2, 2), 1)
    with pytest.raises(MergeError, match="needs shape"):
        paste_tiles([], (0, 0, 2, 2), 1, out=np.zeros((1, 3, 3), np.float32))
