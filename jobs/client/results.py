"""Results as they pass: tiles that were proven, frames that were put together, items of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.client import transfers
from jobs.client.account import Account
from jobs.client.effects import Program, Tell, Work, each
from jobs.client.events import JobEvent, follow
from jobs.client.outcome import NOT_DELIVERED
from jobs.contract import InferContract
from jobs.errors import BadInput
from jobs.items import split_items, unpack
from jobs.states import JobKind, WorkState
from jobs.tiles import InferTile
from jobs.wire import JobView, OutputView, TileView

__all__ = ["Items", "frames", "items", "tiles"]


@dataclass(frozen=True)
class Items:
    """Items of a batch that have passed."""

    first: int
    """Number of the first, counted from the start of the batch."""
    outputs: dict[str, NDArray[np.generic]]
    """By the model's output, each (items, *shape)."""

    @property
    def count(self) -> int:
        return len(next(iter(self.outputs.values())))


def tiles(account: Account, job: str) -> Program[None]:
    """Tells each tile (TileView) once, as soon as it has passed, those that have already first."""
    passed: set[int] = set()

    def handle(event: JobEvent) -> Program[None]:
        index = event.data.get("index")
        if event.type != "tile" or event.data.get("state") != WorkState.DONE or index in passed:
            return
        found: list[TileView] = yield from account.get(list[TileView], f"/v1/jobs/{job}/tiles?offset={index}&limit=1")
        # An event tells what was: since then it may have been taken back.
        for tile in found:
            if tile.state == WorkState.DONE:
                passed.add(tile.index)
                yield Tell(tile)

    return each(follow(account.calls, job), handle)


def frames(account: Account, job: str, folder: Path, only: Callable[[OutputView], bool]) -> Program[None]:
    """Tells each delivered file (Delivered) that `only` says yes to, once it lies in `folder`."""
    brought: set[str] = set()

    def handle(event: JobEvent) -> Program[None]:
        if event.type != "output":
            return
        output = OutputView.model_validate({name: event.data.get(name) for name in OutputView.model_fields})
        if output.kind in NOT_DELIVERED or output.path in brought or not only(output):
            return
        brought.add(output.path)
        for one in (yield from transfers.download_outputs(account.calls, [output], folder)):
            yield Tell(one)

    return each(follow(account.calls, job), handle)


def items(account: Account, job: str) -> Program[None]:
    """Tells the Items of each tile as soon as it has passed; they come in the order in which they pass."""
    view: JobView = yield from account.get(JobView, f"/v1/jobs/{job}")
    if view.kind is not JobKind.INFER:
        raise BadInput(f"job {job} renders frames and has no items; take its tiles or frames")
    contract: list[InferContract] = []

    def handle(tile: TileView) -> Program[None]:
        assert isinstance(tile.tile, InferTile)
        if tile.result is None:
            return
        if not contract:
            bundle: dict[str, Any] = yield from account.get(dict[str, Any], f"/v1/jobs/{job}/bundle")
            contract.append(InferContract.model_validate(bundle["contract"]))
        blob = yield from transfers.read_blob(account.calls, tile.result)
        span, length = tile.tile, tile.tile.result_bytes(contract[0])
        outputs = yield Work(lambda: split_items(contract[0], span, unpack(blob, length)))
        yield Tell(Items(span.first, outputs))

    yield from each(tiles(account, job), handle)
