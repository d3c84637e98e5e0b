"""A test that plays the coordinator beside a real gateway and a real chain."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from coordinator.settlement import open_escrow
from coordinator.states import change_job
from coordinator.store.models import Job
from jobs.pipeline import Pipeline, load_pipeline
from jobs.states import JobState
from tests.coordinator.gateway.conftest import Served
from tests.coordinator.gateway.test_views import QUOTE
from tests.unit.test_inputs import items, model

__all__ = ["Coordinator", "small_pipeline"]


class Coordinator:
    """Quotes and opens what comes in, beside the test. Jobs whose step is in `refused` are not admitted."""

    def __init__(self, served: Served, *, cap: int = 10**18, refused: tuple[str, ...] = ()) -> None:
        self._world, self._cap, self._refused = served.world, cap, refused
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Coordinator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        world = self._world
        while not self._ended.wait(0.02):
            with world.db.begin() as session:
                for row in session.scalars(select(Job).where(Job.state == "admitting")):
                    if row.name in self._refused:
                        change_job(session, row, JobState.FAILED, error="not that model", error_code="bad_model")
                    else:
                        quote = QUOTE | {"cap": str(self._cap), "price": str(self._cap)}
                        change_job(session, row, JobState.QUOTED, quote=quote, price=self._cap)
            with world.db.read() as session:
                opening = session.scalars(select(Job.id).where(Job.state == "opening")).all()
            for job in opening:
                open_escrow(world.db, world.settings, job)

    def end(self, job: str, state: JobState, **columns: Any) -> None:
        """By way of the settlement."""
        with self._world.db.begin() as session:
            row = session.get_one(Job, job)
            change_job(session, row, JobState.SETTLING, outcome=str(state))
            change_job(session, row, state, **columns)


def small_pipeline(folder: Path, steps: str, cap: float = 50) -> Pipeline:
    """`steps` of m.onnx over x.npy, three items."""
    model(folder / "m.onnx")
    np.save(folder / "x.npy", items(3))
    (folder / "p.yaml").write_text(f"version: 1\ncap_usd: {cap}\nsteps:\n  {steps}\n")
    return load_pipeline(folder / "p.yaml")
