"""Cells of what replays in whole frames only: their frames are rendered, and no others."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from jobs.contract import Lane
from jobs.states import JobKind, WorkKind
from jobs.tiles import RenderTile
from jobs.wire import AuditCells, LeaseOffer
from node.agent import RunnerPool, RunnerSettings, Work, Worker
from node.runner_programs import choose_launcher
from tests.unit.strategies import render_contract
from verification.commitment import cell_bytes

CONTRACT = render_contract(20, 12).model_copy(update={"lane": Lane.WHOLE})
TILE = RenderTile(frames=(3, 5, 8, 9), rect=(0, 0, 20, 12), samples=(0, 64))


class Known(Worker):
    """Its pictures are known by frame; it notes which it made."""

    made: tuple[int, ...] = ()

    def render_tile(self, work: Work, tile: RenderTile) -> bytearray:
        self.made += tile.frames
        frames = [np.random.default_rng(frame).random((4, 12, 20), np.float32) for frame in tile.frames]
        return bytearray(np.stack(frames).tobytes())


def test_only_the_frames_of_the_challenged_cells_are_rendered(tmp_path: Path) -> None:
    """Cells of the second and the last frame of a run: two frames are made, and each cell has the bytes that it has in
    the whole tile."""
    pool = RunnerPool(tmp_path, RunnerSettings(threads=1), choose_launcher(unsandboxed=False))
    worker = Known(pool)
    each = TILE.cell_count() // len(TILE.frames)
    cells = [each + 1, each + 4, 3 * each]
    offer = LeaseOffer(
        id="l1", token=1, kind=WorkKind.AUDIT, job="j1", job_kind=JobKind.RENDER, expires_at=0, expected_seconds=1,
        heartbeat_seconds=1, secret_hash="0x" + "0" * 64, domain={}, main="scene.blend", assets=(), contract=CONTRACT,
        audit=AuditCells(tile=TILE, cells=tuple(cells)),
    )  # fmt: skip
    work = Work(offer, tmp_path, cancel=threading.Event())
    found = bytes(worker.audit(work))
    assert worker.made == (5, 9)
    whole = bytes(Known(pool).render_tile(work, TILE))
    assert found == b"".join(cell_bytes(CONTRACT, TILE, whole, cell) for cell in cells)
    pool.close()
