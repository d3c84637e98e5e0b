"""Events: told after the commit, in order, from where the reader left off, with or without a broker."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from coordinator.events import Hints, job_topic, record, redis_url, stream, wake
from coordinator.store.database import Database
from coordinator.store.models import Job
from tests.coordinator.gateway.conftest import Broker
from tests.coordinator.world import World


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    return World(db, tmp_path)


def _tell(world: World, job: str, *numbers: int) -> None:
    for number in numbers:
        with world.db.begin() as session:
            record(session, job, "tile", {"index": number})


def _end(world: World, job: str) -> None:
    with world.db.begin() as session:
        session.execute(update(Job).where(Job.id == job).values(state="done"))
        record(session, job, "job", {"state": "done"})


def _read(sent: list[bytes]) -> list[tuple[int, str, Any]]:
    out = []
    for block in b"".join(sent).decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            data = json.loads(fields["data"])
            assert abs(data.pop("at") - time.time()) < 60, "an event says when it happened"
            out.append((int(fields["id"]), fields["event"], data))
    return out


def test_a_reader_resumes_where_it_left_off(world: World) -> None:
    """All events of the job, of this job only, in order; then only what came after a given id; then the end."""
    job, other = world.job(), world.job()
    _tell(world, job, 0, 1)
    _tell(world, other, 7)
    _tell(world, job, 2)
    _end(world, job)

    async def follow(after: int) -> list[bytes]:
        hints = Hints("redis://127.0.0.1:1")
        return [sent async for sent in stream(world.db, hints, job, after)]

    events = _read(asyncio.run(follow(0)))
    assert [(kind, data) for _, kind, data in events] == [
        ("tile", {"index": 0}), ("tile", {"index": 1}), ("tile", {"index": 2}), ("job", {"state": "done"}),
    ]  # fmt: skip
    assert [event[0] for event in events] == sorted(event[0] for event in events)
    assert _read(asyncio.run(follow(events[1][0]))) == events[2:]
    assert _read(asyncio.run(follow(events[-1][0]))) == []


def test_hints_arrive_at_once_and_polling_replaces_them(world: World, broker: Broker) -> None:
    """With the broker an event is there in a fraction of a second; without it, within a second or two."""
    job = world.job()

    async def scenario() -> tuple[float, float, list[tuple[int, str, Any]]]:
        hints = Hints(broker.url)
        hints.start()
        received: list[bytes] = []
        arrived = asyncio.Event()

        async def follow() -> None:
            async for sent in stream(world.db, hints, job, 0, heartbeat_seconds=0.5):
                received.append(sent)
                if sent.startswith(b"id"):
                    arrived.set()

        async def timed(number: int) -> float:
            arrived.clear()
            begun = time.monotonic()
            await asyncio.to_thread(_tell, world, job, number)
            await asyncio.wait_for(arrived.wait(), 10)
            return time.monotonic() - begun

        while not hints.connected:
            await asyncio.sleep(0.01)
        task = asyncio.create_task(follow())
        await asyncio.sleep(0.7)
        assert b": still here\n\n" in received[1:], "no sign of life while nothing happens"
        quick = await timed(1)
        await asyncio.to_thread(broker.kill)
        while hints.connected:
            await asyncio.sleep(0.01)
        slow = await timed(2)
        await asyncio.to_thread(broker.start)
        while not hints.connected:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(_end, world, job)
        await asyncio.wait_for(task, 10)
        await hints.stop()
        return quick, slow, _read(received)

    quick, slow, events = asyncio.run(scenario())
    assert [data for _, _, data in events] == [{"index": 1}, {"index": 2}, {"state": "done"}]
    assert quick < 1.0 and slow < 3.0


def test_nothing_is_told_of_what_was_rolled_back(world: World, broker: Broker) -> None:
    """A hint is sent once a transaction committed, never before and never when it did not."""
    import redis

    job = world.job()
    with redis.Redis.from_url(redis_url(broker.url)) as client, client.pubsub() as heard:
        heard.subscribe(job_topic(job), Hints.WAKE)
        for _ in range(2):
            heard.get_message(timeout=2)
        with pytest.raises(RuntimeError), world.db.begin() as session:
            record(session, job, "tile", {})
            raise RuntimeError
        with world.db.begin() as session:
            record(session, job, "tile", {})
            assert heard.get_message(timeout=0.1) is None
        message = heard.get_message(timeout=2)
        assert message is not None and message["channel"].decode() == job_topic(job)
        wake("tile")
        message = heard.get_message(timeout=2)
        assert message is not None and message["channel"].decode() == Hints.WAKE
        assert heard.get_message(timeout=0.1) is None


def test_events_committed_out_of_order_are_not_lost(postgres_url: str, tmp_path: Path) -> None:
    """On PostgreSQL a transaction may commit an event after another has committed one with a higher id."""
    db = Database(postgres_url)
    db.migrate()
    world = World(db, tmp_path)
    job = world.job()

    async def scenario() -> list[tuple[int, str, Any]]:
        hints = Hints("redis://127.0.0.1:1")
        received: list[bytes] = []

        async def follow() -> None:
            received.extend([sent async for sent in stream(db, hints, job, 0)])

        def out_of_order() -> None:
            with db.begin() as slow:
                record(slow, job, "tile", {"index": 1})
                slow.flush()
                _tell(world, job, 2)
                time.sleep(2.5)

        task = asyncio.create_task(follow())
        await asyncio.to_thread(out_of_order)
        await asyncio.to_thread(_end, world, job)
        await asyncio.wait_for(task, 10)
        return _read(received)

    events = asyncio.run(scenario())
    db.close()
    assert [data for _, _, data in events] == [{"index": 2}, {"index": 1}, {"state": "done"}]
    assert [event[0] for event in events] == sorted(event[0] for event in events)


def test_broker_urls() -> None:
    """Celery's way to write a socket is understood, other URLs are left alone."""
    assert redis_url("redis+socket:///run/v.sock?virtual_host=2") == "unix:///run/v.sock?db=2"
    assert redis_url("redis+socket:///run/v.sock") == "unix:///run/v.sock?db=0"
    assert redis_url("rediss://host:6379/1") == "rediss://host:6379/1"
