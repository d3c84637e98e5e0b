"""Five ways to be paid for work that was not done; each is refused at its first audit."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.contract import CELL_SIDE, RenderContract
from jobs.geometry import Rect
from jobs.tiles import InferTile, RenderTile
from node.agent import Work, Worker, WorkerFactory
from node.runner_pool import RunnerPool
from node.runners.onnx.cheaper import int8_weights

__all__ = ["CHEATS", "CheatingWorker", "cheat_worker"]

log = logging.getLogger("kilnet.node")


class CheatingWorker(Worker):
    """Honest in all but what a subclass overrides; says in the log what it does."""

    describes = "nothing"

    def __init__(self, pool: RunnerPool) -> None:
        super().__init__(pool)
        log.warning("this node CHEATS: %s", self.describes)


class FewerSamples(CheatingWorker):
    """Leaves out one sample of 64 (at least one): no eye and no perceptual hash sees it."""

    describes = "it renders 63 of 64 samples"

    def render_tile(self, work: Work, tile: RenderTile) -> bytearray:
        first, end = tile.samples
        left_out = max(1, (end - first) // 64)
        fewer = tile.model_copy(update={"samples": (first, max(first + 1, end - left_out))})
        contract = work.render_contract()
        if contract.adaptive and fewer.samples != tile.samples:  # Cycles takes no sample range then: fewer altogether
            lower = contract.model_copy(update={"samples": fewer.samples[1]})
            work = replace(work, offer=work.offer.model_copy(update={"contract": lower}))
        return super().render_tile(work, fewer)


class AnotherFrame(CheatingWorker):
    """Delivers the next frame, which it may have from another tile."""

    describes = "it returns another frame"

    def render_tile(self, work: Work, tile: RenderTile) -> bytearray:
        other = tuple(frame + 1 for frame in tile.frames)
        return super().render_tile(work, tile.model_copy(update={"frames": other}))


class Black(CheatingWorker):
    """Renders nothing at all."""

    describes = "it returns black"

    def render_tile(self, work: Work, tile: RenderTile) -> bytearray:
        return bytearray(tile.result_bytes(work.render_contract()))


class HalfBlocks(CheatingWorker):
    """Renders the left half of each tile and mirrors it: half of its blocks are copies of neighbours."""

    describes = "it renders half of its blocks and copies the others from their neighbours"

    def render_tile(self, work: Work, tile: RenderTile) -> bytearray:
        contract, area = work.render_contract(), tile.area
        columns = -(-area.width // CELL_SIDE)  # whole blocks, or the honest half would have a wrong one too
        half = Rect(area.x0, area.y0, min(area.x1, area.x0 + -(-columns // 2) * CELL_SIDE), area.y1)
        rendered = _planes(
            super().render_tile(work, tile.model_copy(update={"rect": tuple(half)})), contract, tile, half
        )
        whole = np.concatenate([rendered, rendered[..., ::-1][..., : area.width - half.width]], axis=3)
        return bytearray(np.ascontiguousarray(whole).tobytes())


class Int8(CheatingWorker):
    """Runs a copy of the model with 8-bit weights, a quarter of the memory and often half of the time."""

    describes = "it runs an int8 copy of the model"

    def infer(self, work: Work, tile: InferTile) -> bytearray:
        job = f"{work.offer.job}-int8"
        folder = self.pool.scratch_root / job
        if not folder.exists():
            shutil.copytree(work.folder, folder, copy_function=_link)
            main = folder / work.offer.main
            main.unlink()
            int8_weights(work.folder / work.offer.main, main)
        for source in work.folder.rglob("*"):  # shards of later leases
            target = folder / source.relative_to(work.folder)
            if source.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(str(source), str(target))
        offer = work.offer.model_copy(update={"job": job})
        return super().infer(replace(work, offer=offer, folder=folder), tile)


class Skimp(FewerSamples, Int8):
    """A bit less of everything, whatever comes: the third node of `kilnet demo`."""

    describes = "it renders 63 of 64 samples, and runs an int8 copy of any model"


CHEATS: dict[str, type[CheatingWorker]] = {
    "samples": FewerSamples,
    "frame": AnotherFrame,
    "black": Black,
    "half-blocks": HalfBlocks,
    "int8": Int8,
    "skimp": Skimp,
}


def cheat_worker(name: str) -> WorkerFactory:
    """The worker for Agent(worker=...). Raises KeyError for no such cheat."""
    kind: Callable[[RunnerPool], Worker] = CHEATS[name]
    return kind


def _planes(data: bytearray, contract: RenderContract, tile: RenderTile, rect: Rect) -> NDArray[np.float32]:
    shape = (len(tile.frames), len(contract.channels), rect.height, rect.width)
    return np.frombuffer(data, np.float32).reshape(shape)


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)
