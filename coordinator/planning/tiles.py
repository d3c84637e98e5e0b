"""The plan: which tiles a job has, what each costs, and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.events import wake_after_commit
from coordinator.leasing.offers import contract_of
from coordinator.states import JOB_OPEN, end_job, lock_job
from coordinator.store.database import Database
from coordinator.store.models import Job, Work
from coordinator.tasks import hint_after_commit
from jobs.contract import InferContract, RenderContract
from jobs.planner import InferCost, PlanPolicy, RenderCost, in_preview, plan_infer, plan_render, tile_seconds
from jobs.pricing import divide_price
from jobs.spec import InferSpec, RenderSpec
from jobs.states import JobState, WorkKind, WorkState
from jobs.tiles import InferTile, RenderTile

__all__ = ["cost_of", "lay_out", "plan", "runtime_of", "spec_of"]

_BATCH = 1000


def spec_of(job: Job) -> RenderSpec | InferSpec:
    """What the client asked for."""
    return (RenderSpec if job.kind == "render" else InferSpec).model_validate(job.spec)


def cost_of(job: Job) -> RenderCost | InferCost:
    """What was measured at admission, in seconds at score 1.0."""
    return (RenderCost if job.kind == "render" else InferCost).model_validate(job.cost)


def runtime_of(contract: RenderContract | InferContract) -> str:
    """The runtime that tiles under this contract need, as Work.runtime names it."""
    return f"{contract.class_runtime}-{contract.version}"


def lay_out(
    contract: RenderContract | InferContract,
    spec: RenderSpec | InferSpec,
    frames: Sequence[int],
    cost: RenderCost | InferCost,
    policy: PlanPolicy,
) -> Sequence[RenderTile] | Sequence[InferTile]:
    """The tiles of a job, the same each time for the same arguments: the quote counts them, the plan makes them."""
    if isinstance(contract, RenderContract):
        assert isinstance(spec, RenderSpec) and isinstance(cost, RenderCost)
        return plan_render(
            contract, frames, cost, policy, sample_ranges=spec.sample_ranges, tiles=spec.tiles,
            preview_every=spec.preview_every, progressive=spec.progressive,
        )  # fmt: skip
    assert isinstance(spec, InferSpec) and isinstance(cost, InferCost)
    return plan_infer(contract, spec.items, cost, policy)


def plan(db: Database, settings: Settings, job_id: str) -> None:
    """Make the tiles of a running job, once; a job whose end was wished for while its escrow was opened ends."""
    db.transact(lambda session: _plan(session, settings, job_id, db.now()))


def _plan(session: Session, settings: Settings, job_id: str, now: float) -> None:
    job = lock_job(session, job_id)
    if job.state not in JOB_OPEN:
        return
    if job.outcome is not None:
        if end_job(session, job, JobState(job.outcome), now, error_code=job.error_code, error=job.error):
            hint_after_commit(session, "settle", job.id)
        return
    if session.scalar(select(func.count()).where(Work.job_id == job.id, Work.kind == str(WorkKind.TILE))):
        return
    contract, cost = contract_of(job), cost_of(job)
    policy = settings.plan.model_copy(update=(job.cost or {}).get("plan", {}))
    tiles = lay_out(contract, spec_of(job), job.frames or (), cost, policy)
    seconds = [tile_seconds(tile, contract, cost) for tile in tiles]
    prices = divide_price(job.price or 0, seconds)
    rows = list(_rows(job, contract, tiles, seconds, prices, now))
    for i in range(0, len(rows), _BATCH):
        session.execute(insert(Work), rows[i : i + _BATCH])
    wake_after_commit(session)


def _rows(
    job: Job,
    contract: RenderContract | InferContract,
    tiles: Sequence[RenderTile | InferTile],
    seconds: Sequence[float],
    prices: Sequence[int],
    now: float,
) -> list[dict[str, Any]]:
    """One row for each tile. The key is GROUP:NUMBER; a group is what must not mix classes and is assembled together:
    the tiles of one frame, or one run of frames, or one run of items."""
    rows: list[dict[str, Any]] = []
    every = job.spec.get("preview_every")
    group, before = -1, None
    for index, tile in enumerate(tiles):
        frames = tile.frames if isinstance(tile, RenderTile) else index
        if frames != before:
            group, before = group + 1, frames
        first = every is None or (
            isinstance(tile, RenderTile)
            and isinstance(contract, RenderContract)
            and in_preview(tile, contract, job.frames or (), every)
        )
        rows.append(
            {
                "job_id": job.id, "kind": str(WorkKind.TILE), "index": index, "key": f"g{group}:{index}",
                "state": str(WorkState.PENDING if first else WorkState.HELD), "version": 0, "priority": 0,
                "trusted": False,
                "runtime": runtime_of(contract), "payload": tile.model_dump(mode="json"),
                "expected_seconds": seconds[index], "next_token": 1, "attempts": 0, "not_before": 0.0, "excluded": [],
                "price": prices[index], "created_at": now,
            }
        )  # fmt: skip
    return rows
