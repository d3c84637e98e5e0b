"""Claiming: everybody gets what fits, nobody gets what another has."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from coordinator.errors import Conflict, Forbidden
from coordinator.leasing import Panel, reap, waiting_for
from coordinator.leasing.reaper import CLASS_PATIENCE_SECONDS, unfix_classes
from coordinator.store.models import Job, Lease, Node, Work
from jobs.states import WorkKind
from jobs.tiles import InferTile
from tests.coordinator.world import CLASS, OTHER_CLASS, Person, World


def test_two_claimers_never_get_the_same_work(world: World) -> None:
    """Twelve threads claim 40 tiles of two jobs: each tile is leased once, none is left, tokens are the first."""
    world.job(tiles=25)
    world.job(tiles=15)
    workers = [world.worker() for _ in range(6)]

    def take(number: int) -> list[Any]:
        got = []
        while (offer := world.claim(workers[number % 6])) is not None:
            got.append(offer)
        return got

    with ThreadPoolExecutor(12) as pool:
        offers = [offer for got in pool.map(take, range(12)) for offer in got]
    taken = Counter((offer.job, offer.tile.first) for offer in offers)  # type: ignore[union-attr]
    # A thread may find nothing while another holds the row it looked at, and stop; what is left is still to be had.
    while (offer := world.claim(workers[0])) is not None:
        taken[offer.job, offer.tile.first] += 1  # type: ignore[union-attr]
    assert len(taken) == 40 and set(taken.values()) == {1}
    assert {offer.token for offer in offers} == {1}
    with world.db.read() as session:
        assert len(session.scalars(select(Lease.id)).all()) == 40
        assert set(session.scalars(select(Work.state))) == {"leased"}


def test_who_may_not_work_gets_nothing(world: World) -> None:
    """Not registered, an unknown class, an ask above the clearing price, a suspension, another runtime, another
    region, an owner that the job does not name."""
    job = world.job()
    with pytest.raises(Forbidden):
        world.claim(Person())
    worker = world.worker()
    with pytest.raises(Conflict) as refused:
        world.claim(worker, cls="onnxruntime-1.31.1/cuda")
    assert refused.value.code == "class_not_registered"
    assert world.claim(world.worker(ask=0.21)) is None
    assert world.claim(world.worker(cls="onnxruntime-1.30.0/x"), cls="onnxruntime-1.30.0/x") is None
    with world.db.begin() as session:
        session.execute(update(Node).where(Node.address == worker.address).values(suspended="why"))
    assert world.claim(worker) is None
    other = world.worker(region="eu")
    spec = {"kind": "infer", "items": 18, "shard_items": 6, "deadline_s": 3600}
    with world.db.begin() as session:
        session.execute(update(Job).where(Job.id == job).values(spec={**spec, "regions": ["us"]}))
    assert world.claim(other) is None
    named = Person()
    with world.db.begin() as session:
        session.execute(update(Job).where(Job.id == job).values(spec={**spec, "owners": [named.address.lower()]}))
    # Saying to belong to a named owner is not enough: anybody can say so.
    assert world.claim(world.worker(owner=named.address)) is None
    assert world.claim(world.worker(owner=named)) is not None
    assert world.claim(world.worker(named)) is not None


def test_strangers_get_tiles_only(world: World) -> None:
    """Audits and other trusted work go to trusted workers, whatever a stranger asks for."""
    job = world.job(tiles=0)
    with world.db.begin() as session:
        tile = InferTile(first=0, count=6)
        payload = {"tile": tile.model_dump(mode="json"), "cells": [1]}
        for kind in (WorkKind.AUDIT, WorkKind.REPRODUCE, WorkKind.ASSEMBLE):
            world.add_work(session, job, kind, 0, tile, **({"payload": payload} if kind is WorkKind.AUDIT else {}))
    every = tuple(WorkKind)
    assert world.claim(world.worker(), *every) is None
    trusted = world.worker(world.trusted)
    kinds = {world.claim(trusted, *every).kind for _ in range(3)}  # type: ignore[union-attr]
    assert kinds == {WorkKind.AUDIT, WorkKind.REPRODUCE, WorkKind.ASSEMBLE}


@pytest.mark.parametrize("excluded", ["address", "owner"])
def test_nobody_audits_their_own(world: World, excluded: str) -> None:
    """Neither the worker itself nor another worker of the same owner gets the audit."""
    job = world.job(tiles=0)
    owner = Person().address
    trusted = world.worker(world.trusted, owner=owner)
    with world.db.begin() as session:
        payload = {"tile": InferTile(first=0, count=6).model_dump(mode="json"), "cells": [1]}
        barred = [trusted.address if excluded == "address" else owner]
        world.add_work(
            session, job, WorkKind.AUDIT, 0, InferTile(first=0, count=6), payload=payload, excluded=barred
        )  # fmt: skip
    assert world.claim(trusted, WorkKind.AUDIT) is None
    assert world.claim(world.second_trusted(), WorkKind.AUDIT) is not None


def test_warm_jobs_first_then_the_oldest(world: World) -> None:
    """A worker gets tiles of the job whose files it has loaded; without one, of the job that waits longest."""
    first, second = world.job(), world.job()
    worker = world.worker()
    assert [world.claim(worker, warm=(second,)).job for _ in range(4)] == [second] * 3 + [first]  # type: ignore[union-attr]
    assert world.claim(worker).job == first  # type: ignore[union-attr]


@pytest.mark.parametrize("state", ["admitting", "quoted", "opening", "paused", "settling", "done"])
def test_tiles_are_leased_in_running_jobs_only(world: World, state: str) -> None:
    """In no other state, a pause included."""
    world.job(state=state)
    assert world.claim(world.worker()) is None


def test_no_frame_mixes_classes(world: World, clock: Any) -> None:
    """The first lease fixes the class of all tiles of its frame, other frames stay free; when the class has gone for
    long, another goes on."""
    job = world.job(tiles=0)
    with world.db.begin() as session:
        for i in range(6):
            world.add_work(session, job, WorkKind.TILE, i, InferTile(first=6 * i, count=6), key=f"g{i // 3}:{i}")
    one, other = world.worker(), world.worker(cls=OTHER_CLASS)
    offers = [world.claim(one), *(world.claim(other, cls=OTHER_CLASS) for _ in range(3))]
    firsts = [offer.tile.first for offer in offers]  # type: ignore[union-attr]
    assert firsts == [0, 18, 24, 30]
    assert world.claim(other, cls=OTHER_CLASS) is None
    with world.db.read() as session:
        classes = {work.index: work.numerics_class for work in session.scalars(select(Work))}
    assert classes == {0: CLASS, 1: CLASS, 2: CLASS, 3: OTHER_CLASS, 4: OTHER_CLASS, 5: OTHER_CLASS}
    assert unfix_classes(world.db) == 0
    clock.now += CLASS_PATIENCE_SECONDS + 1
    world.worker(other, cls=OTHER_CLASS)  # heard of again; the first class is not
    with world.db.read() as session:
        assert "numerics class" in str(waiting_for_pending(world, session, job))
    assert unfix_classes(world.db) == 3
    assert world.claim(other, cls=OTHER_CLASS) is not None


def waiting_for_now(world: World, session: Any, job: str) -> str | None:
    now = world.db.now()
    return waiting_for(session, Panel(session, world.settings, now), session.get_one(Job, job), now)


def waiting_for_pending(world: World, session: Any, job: str) -> str | None:
    """What the job waits for once its running leases have ended (they did, the clock was set forward)."""
    reap(world.db, world.settings)
    session.expire_all()
    return waiting_for_now(world, session, job)


def test_classes_race_for_a_frame_and_one_has_it(world: World) -> None:
    """Many workers of two classes begin many frames at once: no frame ends up with both."""
    job = world.job(tiles=0)
    with world.db.begin() as session:
        for i in range(24):
            world.add_work(session, job, WorkKind.TILE, i, InferTile(first=6 * i, count=6), key=f"g{i // 4}:{i}")
    classes = [CLASS, OTHER_CLASS]
    workers = [(world.worker(cls=classes[i % 2]), classes[i % 2]) for i in range(6)]

    def take(number: int) -> None:
        person, cls = workers[number]
        while world.claim(person, cls=cls) is not None:
            pass

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(take, range(6)))
    for person, cls in workers:
        while world.claim(person, cls=cls) is not None:
            pass
    with world.db.read() as session:
        rows = session.execute(select(Work.key, Lease.numerics_class).join(Lease, Lease.work_id == Work.id)).all()
    assert len(rows) == 24
    by_frame: dict[str, set[str]] = {}
    for key, cls in rows:
        by_frame.setdefault(key.partition(":")[0], set()).add(cls)
    assert all(len(found) == 1 for found in by_frame.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"ask": 5.0}, "asks at most 0.2 USD"),
        ({"cls": "onnxruntime-1.0.0/x"}, "has onnxruntime-1.31.1: 1 is online, none with it"),
    ],
)
def test_a_job_says_what_it_waits_for(world: World, change: dict[str, Any], words: str | None) -> None:
    """Nothing while a node fits; else what is missing, and that it gives up at its deadline with a refund."""
    job = world.job()
    with world.db.read() as session:
        said = waiting_for_now(world, session, job)
        assert said is not None and "none is online" in said and "refund" in said
    world.worker(**change)
    with world.db.read() as session:
        said = waiting_for_now(world, session, job)
        assert said is None if words is None else words in str(said)
