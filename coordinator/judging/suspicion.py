"""Grounds for a closer look: never for a refusal. Each adds a step of suspicion, which doubles the cells drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.blobs import BlobStore
from coordinator.errors import NotFound
from coordinator.store.models import Work
from jobs.contract import RenderContract
from jobs.states import WorkKind, WorkState
from jobs.tiles import RenderTile
from verification.gate import look, malformed

__all__ = ["Reference", "grounds", "reference_frame"]

_MAX_REFERENCE_BYTES = 1 << 30
Reference = tuple[int, NDArray[np.float32]]
"""Frame number, and linear RGB (height, width, 3) of the contract's window at some lower resolution."""


def reference_frame(session: Session, store: BlobStore, job_id: str) -> Reference | None:
    """The reference frame of a job, or None where there is none that can be used."""
    row = session.execute(
        select(Work.payload, Work.result).where(
            Work.job_id == job_id, Work.kind == str(WorkKind.REFERENCE), Work.state == str(WorkState.DONE)
        )
    ).first()
    if row is None or row.result is None:
        return None
    try:
        frame, width, height = int(row.payload["frame"]), int(row.result["width"]), int(row.result["height"])
        names = [str(name) for name in row.result["channels"]]
        sha = next(blob["sha256"] for blob in row.result["blobs"] if blob["path"] == "reference.raw")
        if 4 * len(names) * width * height > _MAX_REFERENCE_BYTES:
            return None
        with store.open(sha) as file:
            planes = np.frombuffer(file.read(), np.dtype("<f4")).reshape(len(names), height, width)
    except (KeyError, TypeError, ValueError, StopIteration, NotFound):
        return None  # the gate is a help, not a need
    colour = _rgb(names)
    return None if colour is None else (frame, np.ascontiguousarray(np.moveaxis(planes[colour], 0, -1)))


def _rgb(names: Sequence[str]) -> list[int] | None:
    """Where the red, green and blue of the first Combined pass lie among these channels."""
    names = list(names)
    red = next((name for name in names if name.endswith("Combined.R")), None)
    if red is None:
        return None
    wanted = [red, red[:-1] + "G", red[:-1] + "B"]
    return [names.index(name) for name in wanted] if all(name in names for name in wanted) else None


def grounds(
    contract: RenderContract, tile: RenderTile, data: bytes, reference: Reference | None
) -> list[dict[str, Any]]:
    """What looks odd about a render tile: values that are not finite in a colour pass, a picture that does not look
    like the reference frame. Honest scenes do such things too."""
    area = tile.area
    frames = np.frombuffer(data, np.dtype("<f4")).reshape(
        len(tile.frames), len(contract.channels), area.height, area.width
    )
    found: list[dict[str, Any]] = []
    colour = _rgb(contract.channels)
    for number, planes in zip(tile.frames, frames, strict=True):
        odd = malformed(planes, contract.channels)
        if odd is not None:
            found.append({"frame": number, "ground": "not_finite", "reason": odd})
        if reference is None or reference[0] != number or colour is None:
            continue
        part = _same_part(contract, tile, reference[1])
        if part is None:
            continue
        seen = look(np.ascontiguousarray(np.moveaxis(planes[colour], 0, -1)), part)
        if seen.suspicious:
            found.append({"frame": number, "ground": "gate", "reason": seen.reason, "distance": seen.distance})
    return found


def _same_part(contract: RenderContract, tile: RenderTile, picture: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The tile's part of the reference picture; None where that is too small to be compared."""
    window, area = contract.rect, tile.area
    scale_x, scale_y = picture.shape[1] / window.width, picture.shape[0] / window.height
    x0, x1 = round((area.x0 - window.x0) * scale_x), round((area.x1 - window.x0) * scale_x)
    y0, y1 = round((area.y0 - window.y0) * scale_y), round((area.y1 - window.y0) * scale_y)
    if x1 - x0 < 16 or y1 - y0 < 16:
        return None
    return picture[y0:y1, x0:x1]
