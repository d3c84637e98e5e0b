"""The files of a lease: what the work cannot begin without, and what may arrive while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.contract import InferContract
from jobs.manifest import Asset
from jobs.spec import InferSpec
from jobs.states import JobKind, WorkKind
from jobs.tiles import InferTile
from jobs.wire import LeaseOffer
from node.agent.inputs import is_shard, needed_assets, shard_numbers

__all__ = ["MEASURED_ITEMS", "Arrivals", "Needed", "measured_shards", "needed"]

MEASURED_ITEMS = 64
"""Items on which a model is measured at admission."""


@dataclass(frozen=True, slots=True)
class Needed:
    """Which of the job's files a lease needs."""

    first: tuple[Asset, ...]
    """Before the work begins."""
    later: tuple[Asset, ...] = ()
    """Input shards in the order of their items: the runner waits for each where it comes to it."""


def measured_shards(assets: Sequence[Asset], shard_items: int) -> dict[int, Asset]:
    """The shards that describe looks into: those with the first MEASURED_ITEMS items, and the last, which tells how
    many items there are."""
    shards = shard_numbers(assets)
    last = max(shards, default=0)
    return {
        number: asset for number, asset in shards.items() if number * shard_items < MEASURED_ITEMS or number == last
    }


def needed(offer: LeaseOffer) -> Needed:
    """Of a batch only the shards with the lease's items, for measuring a model only a few, for assembling none.

    Raises WorkFailed `bad_lease`, `missing_asset`."""
    contract, tile = offer.contract, offer.tile or (offer.audit.tile if offer.audit else None)
    if offer.kind is WorkKind.DESCRIBE and offer.job_kind is JobKind.INFER:
        spec = InferSpec.model_validate(offer.params.get("spec"))
        shards = measured_shards(offer.assets, spec.shard_items)
        return Needed((*(a for a in offer.assets if not is_shard(a)), *shards.values()))
    if not isinstance(contract, InferContract):
        return Needed(tuple(offer.assets))
    if offer.kind is WorkKind.ASSEMBLE:
        return Needed(())
    if not isinstance(tile, InferTile):
        return Needed(tuple(offer.assets))
    items: range | list[int] = range(tile.first, tile.first + tile.count)
    if offer.audit is not None:
        items = [tile.cell(cell) for cell in offer.audit.cells]
    assets = needed_assets(offer.assets, contract, items)
    shards = shard_numbers(assets)
    return Needed(tuple(a for a in assets if not is_shard(a)), tuple(shards[number] for number in sorted(shards)))


class Arrivals(threading.Thread):
    """Brings files one after the other while the work goes on. Where one cannot be had, `error` says why and the work
    is cancelled."""

    def __init__(self, assets: Sequence[Asset], bring: Callable[[Asset], Path | None], cancel: threading.Event) -> None:
        super().__init__(name="arrivals", daemon=True)
        self._assets, self._bring, self._cancel = assets, bring, cancel
        self._stop = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        for asset in self._assets:
            if self._cancel.is_set() or self._stop.is_set():
                return
            try:
                self._bring(asset)
            except Exception as error:
                self.error = error
                self._cancel.set()
                return

    def finish(self) -> None:
        """Bring nothing more, and wait for what is under way: afterwards the job's folder is left alone."""
        self._stop.set()
        if self.is_alive():
            self.join()
