"""What produces the bytes of a result. Everything around it (leases, commitments, delivery) is elsewhere, so that a
test can put another one in its place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import groupby
from typing import Any

from jobs.contract import RenderContract
from jobs.tiles import InferTile, RenderTile
from node.agent.inputs import input_shards
from node.agent.work import Work, WorkFailed
from node.runner_pool import RunnerPool, WarmRunner
from node.runner_programs import BLENDER, ONNX
from verification.commitment import cell_bytes, cells_length

__all__ = ["Worker"]

log = logging.getLogger("kilnet.node")


class Worker:
    """Renders and infers with the runners of one work loop.

    `render_tile`, `infer`, `render_cells` and `infer_cells` return raw results of exactly the length that the contract
    says, in memory; they raise RunnerFailure and WorkFailed.
    """

    def __init__(self, pool: RunnerPool, *, other_class: bool = False) -> None:
        """`other_class`: infer although version or provider are not the contract's; the result is then of another
        numerics class and good for a tolerant comparison only."""
        self.pool = pool
        self._other_class = other_class

    def tile(self, work: Work) -> bytearray:
        """The raw result of the lease's tile."""
        tile = work.offer.tile
        if isinstance(tile, RenderTile):
            return self.render_tile(work, tile)
        if isinstance(tile, InferTile):
            return self.infer(work, tile)
        raise WorkFailed(f"a {work.offer.kind} lease without a tile", code="bad_lease")

    def audit(self, work: Work) -> bytearray:
        """The challenged cells, one after the other in ascending order."""
        audit = work.offer.audit
        if audit is None:
            raise WorkFailed("an audit lease without cells", code="bad_lease")
        cells = sorted(audit.cells)
        if isinstance(audit.tile, RenderTile):
            return self.render_cells(work, audit.tile, cells)
        return self.infer_cells(work, audit.tile, cells)

    def render_tile(self, work: Work, tile: RenderTile) -> bytearray:
        """float32, (frames, channels, height, width), little endian, top row first."""
        contract = work.render_contract()
        runner = self.runner(BLENDER, work)
        data = bytearray(tile.result_bytes(contract))
        length = contract.result_bytes(tile.area)
        for number, frame in enumerate(tile.frames):
            answer = runner.request(
                "render_tile",
                {**self._scene(work, contract, tile), "frame": frame, "rect": tile.rect, "out": "tile.raw"},
                cancel=work.cancel,
                on_progress=_part(work, number, len(tile.frames), f"frame {frame}"),
            )
            runner.take(answer.get("file"), memoryview(data)[number * length : (number + 1) * length])
        return data

    def render_cells(self, work: Work, tile: RenderTile, cells: list[int]) -> bytearray:
        """Each cell's (channels, height, width) float32."""
        contract = work.render_contract()
        if not contract.in_cells:  # a cell alone would be another picture
            return self._cut_cells(work, contract, tile, cells)
        runner = self.runner(BLENDER, work)
        data, at = bytearray(cells_length(contract, tile, cells)), 0
        groups = [(frame, list(group)) for frame, group in groupby(cells, key=lambda cell: tile.cell(cell).frame)]
        for number, (frame, group) in enumerate(groups):
            length = cells_length(contract, tile, group)
            rects = [tile.cell(cell).rect for cell in group]
            answer = runner.request(
                "render_cells",
                {**self._scene(work, contract, tile), "frame": frame, "rects": rects, "out": "cells.raw"},
                cancel=work.cancel,
                on_progress=_part(work, number, len(groups), f"frame {frame}"),
            )
            runner.take(answer.get("file"), memoryview(data)[at : at + length])
            at += length
        return data

    def infer(self, work: Work, tile: InferTile) -> bytearray:
        """count x item_bytes: each item's outputs, then its fingerprint."""
        return self._infer(work, "infer", range(tile.first, tile.first + tile.count))

    def infer_cells(self, work: Work, tile: InferTile, cells: list[int]) -> bytearray:
        """The challenged items' results."""
        return self._infer(work, "infer_items", [tile.cell(cell) for cell in cells])

    def ready(self, work: Work) -> None:
        """Start the runner that the lease's contract needs, unless it is warm: starting it is no part of the work."""
        if work.offer.contract is not None:
            self.runner(work.offer.contract.runtime, work)

    def runner(self, runtime: str, work: Work) -> WarmRunner:
        """The warm runner of the lease's job."""
        return self.pool.get(runtime, work.offer.job, work.folder, cancel=work.cancel)

    def _infer(self, work: Work, op: str, items: range | list[int]) -> bytearray:
        contract = work.infer_contract()
        which: dict[str, Any] = {"items": list(items)}
        if isinstance(items, range):
            which = {"first": items.start, "count": len(items)}
        runner = self.runner(ONNX, work)
        answer = runner.request(
            op,
            {
                "model": work.main,
                "contract": contract.model_dump(mode="json"),
                "inputs": input_shards(work.offer.assets, contract, items),
                "out": "/scratch/items.raw",
                "other_class": self._other_class,
                **which,
            },
            cancel=work.cancel,
            on_progress=_part(work, 0, 1, ""),
        )
        data = bytearray(len(items) * contract.item_bytes)
        runner.take(answer.get("path"), memoryview(data))
        return data

    def _cut_cells(self, work: Work, contract: RenderContract, tile: RenderTile, cells: list[int]) -> bytearray:
        """For what replays in whole frames only: those frames that the cells are of."""
        each = tile.cell_count() // len(tile.frames)
        numbers = sorted({cell // each for cell in cells})
        part = tile.model_copy(update={"frames": tuple(tile.frames[number] for number in numbers)})
        whole = memoryview(self.render_tile(work, part))
        places = [numbers.index(cell // each) * each + cell % each for cell in cells]
        return bytearray().join(cell_bytes(contract, part, whole, place) for place in places)

    @staticmethod
    def _scene(work: Work, contract: RenderContract, tile: RenderTile) -> dict[str, Any]:
        return {"blend": work.main, "contract": contract.model_dump(mode="json"), "samples": tile.samples}


def _part(work: Work, number: int, of: int, detail: str) -> Callable[[float], None]:
    """Progress of one request out of several as progress of the lease."""
    return lambda done: work.on_progress((number + done) / of, detail)
