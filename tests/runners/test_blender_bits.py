"""A tile or an 8x8 cell has the very bits of the full frame, whatever was rendered before it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from jobs.merge import merge_ranges, paste_tiles
from jobs.passes import PassKind, cryptomatte_rank
from tests.runners.blender_support import SAMPLES, Planes, Runner, differing, part, started

pytestmark = pytest.mark.blender

CELLS = [(0, 0, 8, 8), (24, 16, 32, 24), (40, 8, 48, 16), (56, 32, 64, 36), (17, 9, 25, 17)]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    yield from started(tmp_path_factory.mktemp("scratch"))


def test_the_runner_says_what_it_is(runner: Runner) -> None:
    assert runner.ready["event"] == "ready" and runner.ready["protocol"] == 1
    assert runner.ready["devices"][0]["id"] == "CPU" and runner.ready["version"].count(".") == 2


@pytest.mark.parametrize(
    ("name", "adaptive", "guard"),
    [("passes", False, 0), ("compositor", True, 4), ("volume", False, 12), ("animation", True, 4)],
)
def test_blocks_have_the_bits_of_the_frame(runner: Runner, name: str, adaptive: bool, guard: int) -> None:
    """Every pass of the contract, with the guard band that the scene asks for."""
    blend = SAMPLES / f"{name}.blend"
    samples = 24 if adaptive else 4
    contract = runner.contract(blend, resolution=[64, 36], samples=samples, adaptive=adaptive)
    assert contract["guard"] == guard
    assert contract["sample_split"] is (guard == 0), "adaptive and volume sampling learn from the samples before"
    frame = runner.tile(blend, contract, 6)
    combined = [i for i, name in enumerate(contract["channels"]) if ".Combined." in name]
    assert frame[combined].std() > 0.01
    for rect, cell in zip(CELLS, runner.cells(blend, contract, 6, CELLS), strict=True):
        assert differing(cell, part(frame, (0, 0, 64, 36), rect)) == 0, rect
    columns = [(0, 0, 21, 36), (21, 0, 43, 36), (43, 0, 64, 36)]
    tiles = [(rect, runner.tile(blend, contract, 6, rect)) for rect in columns]
    assert differing(paste_tiles(tiles, (0, 0, 64, 36), len(contract["channels"])), frame) == 0


def test_blocks_that_share_a_call_have_the_bits_of_the_frame(runner: Runner) -> None:
    """Moving lights make a call dear: near blocks are rendered together, with what lies between them."""
    blend = SAMPLES / "animation.blend"
    contract = runner.contract(blend, resolution=[64, 36], samples=4)
    frame = runner.tile(blend, contract, 6)
    rects = [(x, y, x + 8, y + 8) for x in (48, 0, 24) for y in (24, 0, 13)]
    for rect, cell in zip(rects, runner.cells(blend, contract, 6, rects), strict=True):
        assert differing(cell, part(frame, (0, 0, 64, 36), rect)) == 0, rect
    answer = runner("render_cells", blend=blend, contract=contract, frame=6, rects=rects, out="cells")
    assert answer["calls"] < len(rects) == len(answer["cell_seconds"])


def test_frames_out_of_order_equal_each_frame_alone(runner: Runner) -> None:
    """Hair on a moving emitter, motion blur, keys on world and materials: nothing of another frame remains."""
    blend = SAMPLES / "animation.blend"
    contract = runner.contract(blend, resolution=[48, 27], samples=2)
    order = (12, 3, 20, 12)
    mixed = {frame: runner.tile(blend, contract, frame) for frame in order}
    runner("reference", blend=blend, contract=contract, frame=3, width=16, height=9, samples=2, out="low")
    after_reference = runner.tile(blend, contract, 20)
    assert differing(after_reference, mixed[20]) == 0
    for frame in (3, 20):
        runner("describe", blend=blend, overrides={})  # makes the runner open the file anew
        alone = runner.tile(blend, contract, frame)
        assert differing(alone, mixed[frame]) == 0
    assert differing(mixed[3], mixed[20]) > 0.2


def _by_id(planes: Planes, channels: list[str]) -> dict[str, Planes]:
    """Cryptomatte as one coverage plane for each ID: ranks of nearly equal coverage may change places."""
    groups: dict[str, dict[tuple[int, str], Planes]] = {}
    for name, plane in zip(channels, planes, strict=True):
        group, rank, what = cryptomatte_rank(name)
        groups.setdefault(group, {})[rank, what] = plane
    found: dict[str, Planes] = {}
    for group, places in groups.items():
        for rank in {rank for rank, _ in places}:
            ids = places[rank, "id"].view(np.uint32)
            for number in np.unique(ids[ids != 0]):
                into = found.setdefault(f"{group} {number}", np.zeros(ids.shape, np.float32))
                into += np.where(ids == number, places[rank, "coverage"], np.float32(0))
    return found


def test_sample_ranges_merge_to_the_frame(runner: Runner) -> None:
    """Uneven ranges of every kind of pass, merged by what the pass is."""
    blend = SAMPLES / "passes.blend"
    contract = runner.contract(blend, resolution=[48, 27], samples=16)
    assert contract["sample_split"]
    channels = contract["channels"]
    whole = runner.tile(blend, contract, 1)
    ranges = [(0, 5), (5, 12), (12, 16)]
    merged = merge_ranges(
        [(r, runner.tile(blend, contract, 1, samples=r)) for r in ranges], channels, contract["pass_kinds"]
    )
    crypto = [i for i, c in enumerate(channels) if contract["pass_kinds"][c] == PassKind.CRYPTOMATTE]
    assert crypto and len(set(contract["pass_kinds"].values())) == 4
    for i, name in enumerate(channels):
        if i not in crypto:
            error = np.abs(merged[i].astype(float) - whole[i]) / np.maximum(1, np.abs(whole[i]))
            assert error.max() <= 1e-4, (name, float(error.max()))
    names = [channels[i] for i in crypto]
    ours, theirs = _by_id(merged[crypto], names), _by_id(whole[crypto], names)
    for key in ours.keys() | theirs.keys():
        blank = np.zeros(merged.shape[1:], np.float32)
        assert np.abs(ours.get(key, blank) - theirs.get(key, blank)).max() <= 1e-4, key


@pytest.mark.parametrize(
    ("name", "adaptive"), [("compositor", True), pytest.param("volume", False, marks=pytest.mark.slow)]
)
def test_a_frame_whose_samples_do_not_merge_is_seen_with_few(runner: Runner, name: str, adaptive: bool) -> None:
    """Its first four samples are a picture by itself, whose blocks have its bits; the frame after it has its own again.
    Samples from the middle are refused."""
    blend = SAMPLES / f"{name}.blend"
    contract = runner.contract(blend, resolution=[64, 36], samples=16, adaptive=adaptive)
    assert not contract["sample_split"]
    frame = runner.tile(blend, contract, 1)  # first: what Cycles keeps of 16 samples would show in 4
    few = runner.tile(blend, contract, 1, samples=(0, 4))
    combined = [i for i, name in enumerate(contract["channels"]) if ".Combined." in name]
    assert differing(few[combined], frame[combined]) > 0.5
    for rect, cell in zip(CELLS, runner.cells(blend, contract, 1, CELLS, samples=(0, 4)), strict=True):
        assert differing(cell, part(few, (0, 0, 64, 36), rect)) == 0, rect
    assert differing(runner.tile(blend, contract, 1), frame) == 0
    alone = runner.contract(blend, resolution=[64, 36], samples=4, adaptive=adaptive)
    assert differing(runner.tile(blend, alone, 1), few) == 0
    error = runner.refuses(
        "render_tile", blend=blend, contract=contract, frame=1, rect=[0, 0, 8, 8], samples=[4, 8], out="x"
    )
    assert error["code"] == "bad_request"


@pytest.mark.parametrize(
    "fields",
    [
        {"rect": [0, 0, 0, 8]},
        {"rect": [0, 0, 65, 8]},
        {"rect": "all"},
        {"samples": [2, 2]},
        {"samples": [0, 9999]},
        {"out": "../escape"},
        {"out": ""},
    ],
)
def test_a_malformed_request_is_refused(runner: Runner, fields: dict[str, object]) -> None:
    """The runner lives on, and says what was wrong."""
    blend = SAMPLES / "compositor.blend"
    contract = runner.contract(blend, resolution=[64, 36], samples=8)
    body = {"blend": blend, "contract": contract, "frame": 1, "rect": [0, 0, 8, 8], "out": "x"} | fields
    assert runner.refuses("render_tile", **body)["code"] == "bad_request"
