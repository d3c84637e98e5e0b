"""One lease in hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.contract import InferContract, RenderContract
from jobs.errors import KilnetError
from jobs.states import WorkKind
from jobs.tiles import InferTile, RenderTile
from jobs.wire import LeaseOffer
from node.sandbox import JOB

__all__ = ["Outcome", "Produced", "Work", "WorkFailed", "title_of"]


class WorkFailed(KilnetError):
    """This worker cannot do what the lease asks; the code is what the gateway is told."""

    code = "work_failed"

    def __init__(self, message: str, *, code: str, scene_fault: bool = False) -> None:
        super().__init__(message, code=code)
        self.scene_fault = scene_fault


@dataclass(frozen=True, slots=True)
class Produced:
    """A file that the work made, and under which name it is delivered."""

    path: str
    source: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a lease of a trusted kind ends with."""

    result: dict[str, Any]
    files: tuple[Produced, ...] = ()


@dataclass(slots=True)
class Work:
    """A lease with its files in place. `cancel` is set when the result is not wanted any more."""

    offer: LeaseOffer
    folder: Path
    """The job's files on this machine, seen as /job inside the sandbox."""
    cancel: threading.Event = field(default_factory=threading.Event)
    on_progress: Callable[[float, str], None] = lambda _done, _detail: None
    fetch_blob: Callable[[str, int, Path], None] | None = None
    """Downloads a blob by hash and size to a path: for parts that are no assets."""

    @property
    def main(self) -> str:
        """The scene or model as the runner sees it."""
        return f"{JOB}/{self.offer.main}"

    def render_contract(self) -> RenderContract:
        """Raises WorkFailed `bad_lease` where the lease has none."""
        if not isinstance(self.offer.contract, RenderContract):
            raise WorkFailed(f"a {self.offer.kind} lease without a render contract", code="bad_lease")
        return self.offer.contract

    def infer_contract(self) -> InferContract:
        """Raises WorkFailed `bad_lease` where the lease has none."""
        if not isinstance(self.offer.contract, InferContract):
            raise WorkFailed(f"a {self.offer.kind} lease without an inference contract", code="bad_lease")
        return self.offer.contract


def title_of(offer: LeaseOffer) -> str:
    """The lease in a few words, for people who read the log."""
    job = f"job {offer.job[:8]}"
    tile = offer.tile or (offer.audit.tile if offer.audit else None)
    where = ""
    if isinstance(tile, RenderTile):
        frames = f"{tile.frames[0]}" if len(tile.frames) == 1 else f"{tile.frames[0]}..{tile.frames[-1]}"
        where = (
            f", frame {frames}, {tile.area.width}x{tile.area.height} px, samples {tile.samples[0]}-{tile.samples[1]}"
        )
    elif isinstance(tile, InferTile):
        where = f", items {tile.first}-{tile.first + tile.count - 1}"
    elif "frame" in offer.params:
        where = f", frame {offer.params['frame']}"
    if offer.kind is WorkKind.AUDIT and offer.audit is not None:
        return f"audit of {len(offer.audit.cells)} cells of {job}{where}"
    return f"{offer.kind} of {job}{where}"
