"""TileView and OutputView: the parts of one job."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.store.models import Lease, Output, Work
from coordinator.views.jobs import LIVE
from jobs.contract import Lane
from jobs.states import Verdict, WorkKind, WorkState
from jobs.wire import OutputView, TileView

__all__ = ["output_views", "tile_views"]


def tile_views(session: Session, job_id: str, *, offset: int = 0, limit: int = 100_000) -> list[TileView]:
    """The tiles of a job in order, each with the attempt that was taken for it, or else its latest one."""
    tiles = session.scalars(
        select(Work)
        .where(Work.job_id == job_id, Work.kind == WorkKind.TILE)
        .order_by(Work.index)
        .offset(offset)
        .limit(limit)
    ).all()
    if not tiles:
        return []
    # In ascending order, so that the latest attempt is what stays; a live one before an ended one.
    leases = session.execute(
        select(
            Lease.id,
            Lease.work_id,
            Lease.node,
            Lease.state,
            Lease.progress,
            Lease.lane,
            Lease.verdict,
            Lease.seconds,
            Lease.blob,
        )
        .join(Work, Work.id == Lease.work_id)
        .where(
            Work.job_id == job_id,
            Work.kind == WorkKind.TILE,
            Work.index >= tiles[0].index,
            Work.index <= tiles[-1].index,
        )
        .order_by(Lease.state.in_(LIVE), Lease.token)
    )
    shown: dict[int, Any] = {}
    accepted = {tile.accepted_lease for tile in tiles}
    for row in leases:
        if row.work_id not in shown or shown[row.work_id].id not in accepted:
            shown[row.work_id] = row
    views = []
    for tile in tiles:
        lease = shown.get(tile.id)
        done = tile.state == WorkState.DONE
        live = lease is not None and lease.state in LIVE
        views.append(
            TileView.model_validate(
                {
                    "index": tile.index,
                    "tile": tile.payload,
                    "state": tile.state,
                    "node": lease.node if lease is not None and (live or done) else None,
                    "attempts": tile.attempts,
                    "lane": Lane(lease.lane) if lease is not None and lease.lane else None,
                    "verdict": Verdict(lease.verdict) if lease is not None and lease.verdict else None,
                    "price": tile.price or 0,
                    "progress": 1.0 if done else lease.progress if lease is not None and live else 0.0,
                    "seconds": lease.seconds if lease is not None else None,
                    "result": lease.blob if lease is not None and lease.id == tile.accepted_lease else None,
                }
            )
        )
    return views


def output_views(session: Session, job_id: str) -> list[OutputView]:
    """The delivered files of a job by path."""
    return [
        OutputView(path=row.path, kind=row.kind, frame=row.frame, sha256=row.sha256, size=row.size)
        for row in session.scalars(select(Output).where(Output.job_id == job_id).order_by(Output.path))
    ]
