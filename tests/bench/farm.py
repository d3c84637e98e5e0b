"""What the coordinator spends on one node's calls in a small and in a large farm: what grows with the farm shows here.

CPU seconds of this process, on SQLite, so that a busy machine does not show in them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import update

from coordinator.store.database import Database
from coordinator.store.models import Work
from jobs.states import WorkKind, WorkState
from tests.coordinator.world import World

__all__ = ["LARGE", "SMALL", "Farm", "measure_farm"]


@dataclass(frozen=True)
class Farm:
    nodes: int
    jobs: int
    tiles: int
    """Of each job."""


SMALL, LARGE = Farm(20, 4, 50), Farm(2000, 40, 500)
_TRIES = 15


def measure_farm(farm: Farm) -> dict[str, float]:
    """Median CPU seconds of each call: claim (tiles wait), claim_idle (none do), heartbeat, commit_complete (a tile's
    commitment and delivery), claim_auction (fewer tiles than idle machines)."""
    with tempfile.TemporaryDirectory(prefix="kilnet-farm-") as folder:
        db = Database(f"sqlite:///{folder}/kilnet.sqlite")
        db.migrate()
        try:
            return _measured(World(db, Path(folder)), farm)
        finally:
            db.close()


def _measured(world: World, farm: Farm) -> dict[str, float]:
    nodes = [world.worker(ask=0.1 + 0.01 * (number % 7)) for number in range(farm.nodes)]
    found: dict[str, list[float]] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        started = time.process_time()
        made = call()
        found.setdefault(name, []).append(time.process_time() - started)
        return made

    for node in nodes[-_TRIES:]:
        assert timed("claim_idle", lambda node=node: world.claim(node)) is None  # type: ignore[misc]
    for _ in range(farm.jobs):
        world.job(farm.tiles)
    for node in nodes[:_TRIES]:
        offer = timed("claim", lambda node=node: world.claim(node, WorkKind.TILE, WorkKind.AUDIT))  # type: ignore[misc]
        assert offer is not None
        timed("heartbeat", lambda node=node, offer=offer: world.beat(node, offer))  # type: ignore[misc]
        timed("commit_complete", lambda node=node, offer=offer: world.do_tile(node, offer))  # type: ignore[misc]
    # Fewer tiles than idle machines, free since just now: who is awarded them is worked out.
    with world.db.begin() as session:
        session.execute(update(Work).where(Work.state == str(WorkState.PENDING)).values(state=str(WorkState.CANCELLED)))
    world.job(5)
    with world.db.begin() as session:
        session.execute(
            update(Work).where(Work.state == str(WorkState.PENDING)).values(created_at=world.db.now() + 3600)
        )
    for node in nodes[-_TRIES:]:
        timed("claim_auction", lambda node=node: world.claim(node))  # type: ignore[misc]
    return {name: statistics.median(values) for name, values in found.items()}
