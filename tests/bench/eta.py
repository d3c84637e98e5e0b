"""How right the time left is: at half of a job's time, from the order to its end, against what was then left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.client import Client
from jobs.inputs import prepare_batch
from jobs.manifest import Manifest
from jobs.packing import pack_scene
from jobs.spec import InferSpec, RenderSpec, parse_frames
from jobs.states import JOB_FINAL, JobState
from samples.models.build import build_sample

__all__ = ["SAMPLES", "error_at", "measure_eta"]

SCENES = Path(__file__).parents[2] / "samples" / "scenes"
SAMPLES = ("still", "animation", "lines")
_ITEMS = 960
_FRAMES = "1-8"
_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Look:
    """The job as it was seen once."""

    at: float
    """Seconds since the order."""
    state: str
    progress: float
    left: float | None
    """Seconds, as the gateway says them."""


def measure_eta(client: Client, folder: Path) -> dict[str, Any]:
    """For each sample job, in a stack with this client: its seconds, and the error of the time left at a quarter, at
    half and at three quarters of them, as a share of what was left."""
    found = {}
    for name in SAMPLES:
        with _prepared(name, folder) as (spec, manifest, sources):
            job = client.submit(spec, manifest, sources, timeout=600)
            client.accept(job, deadline_s=3600)
            looks = _watch(client, job.id)
        print(
            f"{name}: {looks[-1].at:.0f} s, error at half time {error_at(looks, 0.5):.2f}", file=sys.stderr, flush=True
        )
        if looks[-1].state != JobState.DONE:
            raise SystemExit(f"the sample job {name} is {looks[-1].state}: kilnet job {job.id}")
        found[name] = {
            "seconds": looks[-1].at,
            **{f"error_at_{share:g}": error_at(looks, share) for share in (0.25, 0.5, 0.75)},
            "quoted_seconds": job.quote.expected_seconds if job.quote else None,
            "looks": [[round(look.at, 2), look.state, round(look.progress, 4), look.left] for look in looks[::4]],
        }
    return found


def error_at(looks: list[Look], share: float) -> float:
    """At this share of the time: |what was said to be left - what was| / what was. Where nothing was said the error is
    the whole of it."""
    ended = looks[-1].at
    look = next(look for look in looks if look.at >= share * ended)
    actual = ended - look.at
    return abs((look.left or 0.0) - actual) / actual


def _watch(client: Client, job: str) -> list[Look]:
    began = time.monotonic()
    looks: list[Look] = []
    while True:
        view = client.job(job)
        looks.append(Look(time.monotonic() - began, str(view.state), view.progress, view.eta_seconds))
        if view.state in JOB_FINAL:
            return looks
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _prepared(name: str, folder: Path) -> Iterator[tuple[RenderSpec | InferSpec, Manifest, dict[str, Path]]]:
    if name == "lines":
        batch = folder / "batch"
        made = build_sample(batch, items=_ITEMS)
        with prepare_batch(made["model"], made["inputs"]) as prepared:
            spec = InferSpec(name=name, items=prepared.items, shard_items=prepared.shard_items)
            yield spec, prepared.manifest, prepared.sources
        return
    with pack_scene(SCENES / f"{name}.blend") as scene:
        frames = parse_frames(_FRAMES) if name == "animation" else None
        yield RenderSpec(name=name, frames=frames), scene.manifest, scene.sources
