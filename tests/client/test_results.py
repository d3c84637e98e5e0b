"""Iterating over results while nodes at a real gateway bring them, by both clients."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.judging import draw, judge
from coordinator.states import change_job
from coordinator.store.models import Job
from jobs.errors import BadInput
from jobs.states import JobState, WorkKind
from tests.client.conftest import gather
from tests.coordinator.gateway.conftest import Served
from tests.coordinator.gateway.test_views import QUOTE
from tests.coordinator.world import true_bytes
from tests.web.fair import Fair, Frame


def _beside(work: Callable[[], None], gather: Callable[[], list[Any]]) -> list[Any]:
    thread = threading.Thread(target=work)
    thread.start()
    found = gather()
    thread.join()
    return found


@pytest.mark.parametrize("awaited", [False, True], ids=["Client", "AsyncClient"])
def test_tiles_and_frames_as_they_pass(served: Served, tmp_path: Path, awaited: bool) -> None:
    """Each tile once, after its verdict and with what was accepted; each frame in its folder; the end at the end."""
    fair, frame = Fair(served.world), Frame(64, 32, 4)
    fair.enlist(2)
    job = fair.render("passing", frame, (2, 1))
    fair.cheat(frame)  # a refused attempt is no result
    fair.nodes.pop(0)
    fair.pass_tiles(frame, 1)

    def rest() -> None:
        fair.pass_tiles(frame, 1)
        fair.deliver(job, frame, 1)
        fair.settle(job)

    tiles = _beside(rest, lambda: gather(served, awaited, lambda client: client.passed_tiles(job)))
    assert sorted(tile.index for tile in tiles) == [0, 1] and all(tile.state == "done" for tile in tiles)
    with served.client(fair.owner) as client:
        assert all(client.read_blob(tile.result) for tile in tiles)
    frames = gather(served, awaited, lambda client: client.frames(job, tmp_path / "out"))
    assert [(one.frame, one.path.name) for one in frames] == [(1, "0001.png")], "neither preview nor reference"
    assert frames[0].path.read_bytes() == frame.png()
    with pytest.raises(BadInput, match="renders frames"):
        gather(served, awaited, lambda client: client.items(job))


@pytest.mark.parametrize("awaited", [False, True], ids=["Client", "AsyncClient"])
def test_items_as_they_pass(served: Served, awaited: bool) -> None:
    """Items of each tile by the model's output, with their place in the batch, without the fingerprints."""
    world = served.world
    worker = world.worker()
    world.worker(world.trusted)
    job = world.job(tiles=3, count=4, quote=QUOTE)
    truth = {}

    def work() -> None:
        for _ in range(3):
            offer = world.claim(worker)
            assert offer is not None
            truth[offer.tile.first] = true_bytes(offer.tile)
            world.do_tile(worker, offer)
            draw(world.db, world.settings, offer.id)
            audit = world.claim(world.trusted, WorkKind.AUDIT)
            assert audit is not None
            world.do_audit(world.trusted, audit)
            judge(world.db, world.settings, offer.id)
        with world.db.begin() as session:
            row = session.get_one(Job, job)
            change_job(session, row, JobState.SETTLING, outcome="done")
            change_job(session, row, JobState.DONE)

    found = _beside(work, lambda: gather(served, awaited, lambda client: client.items(job)))
    assert sorted(items.first for items in found) == [0, 4, 8] and all(items.count == 4 for items in found)
    for items in found:
        [values] = items.outputs.values()
        rows = np.frombuffer(truth[items.first], "<f4").reshape(4, -1)
        assert values.shape[0] == 4 and np.array_equal(values.reshape(4, -1), rows[:, : values[0].size])
