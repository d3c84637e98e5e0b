"""Blobs: whole or not at all, resumed where they stopped, readable for those who may, gone when nobody needs them."""

from __future__ import annotations

import hashlib
import random
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from coordinator import blobs
from coordinator.blobs import EMPTY, BlobStore, WrongOffset
from coordinator.blobs.store import Upload
from coordinator.config import Limits
from coordinator.errors import NotFound, TooLarge, TryLater, Unprocessable
from coordinator.store.database import Database
from coordinator.store.models import Blob, BlobHolder, Job
from jobs.states import WorkKind
from jobs.wire import BlobQuery
from tests.coordinator.conftest import Clock
from tests.coordinator.world import Person, World

ALICE, BOB = "0x" + "a" * 40, "0x" + "b" * 40


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """On a disk, and on a file system that is none."""
    url = (tmp_path / "blobs").as_uri() if request.param == "file" else f"memory:/{tmp_path}"
    return BlobStore(url, tmp_path / "uploads", reserve_bytes=0)


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    return World(db, tmp_path)


@given(data=st.binary(max_size=300), seed=st.integers(0, 1 << 30))
def test_any_chunks_and_restarts_give_the_same_blob(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, seed: int
) -> None:
    """However an upload is cut, and however often the process is started again in between, the bytes are right."""
    folder = tmp_path_factory.mktemp("any")
    cut = random.Random(seed)
    store = BlobStore(folder.as_uri(), folder / "uploads", reserve_bytes=0)
    offset, complete = 0, False
    while not complete:
        if cut.random() < 0.3:
            store = BlobStore(folder.as_uri(), folder / "uploads", reserve_bytes=0)
        chunk = data[offset : offset + cut.randint(1, 100)]
        assert not store.exists(sha(data))
        offset, complete = store.append(sha(data), offset, len(data), chunk)
        assert complete or store.offset(sha(data)) == offset
    assert store.read_bytes(sha(data)) == data and store.size(sha(data)) == len(data)
    assert list(store.uploads()) == []


def test_what_does_not_fit_is_refused(store: BlobStore) -> None:
    """A wrong offset tells the right one; bytes past the length and a wrong hash are refused, and nothing stays."""
    data = b"0123456789"
    assert store.append(sha(data), 0, 10, data[:4]) == (4, False)
    with pytest.raises(WrongOffset) as wrong:
        store.append(sha(data), 0, 10, data)
    assert wrong.value.headers == {"Upload-Offset": "4"}
    with pytest.raises(Unprocessable):
        store.append(sha(data), 4, 10, b"1234567")
    with pytest.raises(Unprocessable) as refused:
        store.append(sha(data), 4, 10, b"xxxxxx")
    assert refused.value.code == "wrong_hash" and store.offset(sha(data)) == 0
    assert not store.exists(sha(data)) and list(store.uploads()) == []


def test_nobody_spoils_the_upload_of_another(store: BlobStore) -> None:
    """Uploads of one hash by two accounts do not touch each other."""
    data = b"honest bytes"
    store.append(sha(data), 0, len(data), b"poison", ALICE)
    assert store.offset(sha(data), BOB) == 0
    assert store.append(sha(data), 0, len(data), data, BOB) == (len(data), True)
    assert list(store.uploads(BOB)) == []
    assert [upload[:3] for upload in store.uploads()] == [Upload(sha(data), ALICE, 6, 0)[:3]]


def test_names_are_hashes_and_nothing_else(store: BlobStore) -> None:
    """No name from outside becomes a path."""
    for name in ("../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "/x", "", "\0" * 64):
        with pytest.raises(ValueError):
            store.exists(name)
        with pytest.raises(ValueError):
            store.append(name, 0, 1, b"x")
    with pytest.raises(ValueError):
        store.append("a" * 64, 0, 1, b"x", "../../home")
    with pytest.raises(NotFound):
        store.open("a" * 64)


def test_a_full_disk_is_an_answer(tmp_path: Path) -> None:
    """Where there is no room the sender is told so, and what had arrived stays."""
    data = b"0123456789"
    roomy = BlobStore(tmp_path.as_uri(), tmp_path / "uploads", reserve_bytes=0)
    roomy.append(sha(data), 0, 10, data[:4])
    full = BlobStore(tmp_path.as_uri(), tmp_path / "uploads", reserve_bytes=1 << 60)
    with pytest.raises(TryLater) as refused:
        full.append(sha(data), 4, 10, data[4:])
    assert refused.value.code == "storage_full" and full.offset(sha(data)) == 4
    assert roomy.append(sha(data), 4, 10, data[4:]) == (10, True)


def test_bytes_and_files_of_our_own(store: BlobStore, tmp_path: Path) -> None:
    """What the coordinator itself puts in is found by its hash; ranges are those of the bytes."""
    data = random.Random(1).randbytes(3 << 20)
    (tmp_path / "file").write_bytes(data)
    assert store.put_file(tmp_path / "file") == store.put_bytes(data) == sha(data)
    assert b"".join(store.read_range(sha(data), 5, 2 << 20)) == data[5 : 2 << 20]
    assert b"".join(store.read_range(sha(data), 7, 7)) == b""
    store.delete(sha(data))
    store.delete(sha(data))
    assert not store.exists(sha(data))


def _upload(world: World, person: Person, data: bytes, *, length: int | None = None, offset: int = 0) -> int:
    return blobs.receive(
        world.db, world.store, world.settings, address=person.address, trusted=False, sha=sha(data), offset=offset,
        length=len(data) if length is None else length, chunk=data[offset:],
    )  # fmt: skip


def test_two_who_upload_the_same_at_once(world: World) -> None:
    """Both have it afterwards, there is one blob, and its bytes are right."""
    data = random.Random(2).randbytes(1 << 20)
    people = [Person() for _ in range(4)]
    threads = [threading.Thread(target=_upload, args=(world, person, data)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with world.db.read() as session:
        assert all(blobs.holds(session, person.address, sha(data)) for person in people)
    assert world.store.read_bytes(sha(data)) == data and list(world.store.uploads()) == []


def test_a_repeated_last_chunk_is_answered_the_same(world: World) -> None:
    """When the answer is lost and the chunk is sent again, nothing goes wrong."""
    person = Person()
    assert _upload(world, person, b"abc") == 3
    assert _upload(world, person, b"abc") == 3
    assert blobs.upload_offset(world.db, world.store, address=person.address, sha=sha(b"abc")) == 3
    assert blobs.upload_offset(world.db, world.store, address=person.address, sha=EMPTY) == 0
    with world.db.read() as session:
        assert blobs.holds(session, person.address, EMPTY)


def test_a_known_hash_opens_nothing(world: World) -> None:
    """Who knows the hash of another's file neither reads it nor gets around uploading it."""
    thief = Person()
    _upload(world, world.owner, b"the secret scene")
    query = BlobQuery(sha256=sha(b"the secret scene"), size=16)
    with world.db.read() as session:
        assert blobs.missing(session, [query], world.owner.address) == []
        assert blobs.missing(session, [query], thief.address) == [query]
        assert not blobs.may_read(session, thief.address, False, query.sha256)
        with pytest.raises(Unprocessable):
            blobs.missing(session, [query.model_copy(update={"size": 3})], world.owner.address)


def test_who_may_read(world: World) -> None:
    """Owners their jobs' files; a node the assets of a job while it works on it, and never another node's result."""
    node, other = world.worker(), world.worker()
    job = world.job()
    asset = world.keep_asset(job, b"asset")
    result = blobs.keep(world.db, world.store, b"result", owner=other.address)
    output = blobs.keep(world.db, world.store, b"output", owner=world.trusted.address)
    with world.db.begin() as session:
        blobs.link(session, job, result, "result")
        blobs.link(session, job, output, "output")
        with pytest.raises(Unprocessable):
            blobs.link(session, job, sha(b"never uploaded"), "asset")

    def readable(person: Person, trusted: bool = False) -> list[bool]:
        with world.db.read() as session:
            return [blobs.may_read(session, person.address, trusted, it) for it in (asset, result, output)]

    assert readable(world.owner) == [True, True, True]
    assert readable(world.trusted, trusted=True) == [True, True, True]
    assert readable(node) == [False, False, False]
    offer = world.claim(node, WorkKind.TILE)
    assert offer is not None
    assert readable(node) == [True, False, False]
    assert readable(other) == [False, True, False]
    world.do_tile(node, offer)
    assert readable(node) == [False, False, False]


def test_quota(world: World) -> None:
    """An account that is full is told so at the first chunk; results of work that was asked for do not count."""
    world.settings = world.settings.model_copy(
        update={"limits": Limits(account_quota_bytes=20_000, max_blob_bytes=9999)}
    )
    person = Person()
    _upload(world, person, b"a" * 9000)
    with pytest.raises(TooLarge) as refused:
        _upload(world, person, b"b", length=9000)
    assert refused.value.code == "quota_exceeded"
    with pytest.raises(TooLarge):
        _upload(world, Person(), b"b", length=10_000)
    job = world.job()
    with world.db.begin() as session:
        blobs.link(session, job, sha(b"a" * 9000), "result")
    assert _upload(world, person, b"b" * 9000) == 9000


def test_sweep(world: World, clock: Clock) -> None:
    """Files of a job stay until some time after its end, then they go; so do uploads that nobody used or finished."""
    job, kept_job = world.job(), world.job()
    old, shared, unused = (world.keep_asset(job, name) for name in (b"old", b"shared", b"unused"))
    with world.db.begin() as session:
        blobs.link(session, kept_job, shared, "asset")
        session.execute(update(Job).where(Job.id == job).values(state="done", finished_at=clock.now))
        session.execute(update(BlobHolder).values(created_at=clock.now))
        session.execute(update(Blob).values(created_at=clock.now))
    assert blobs.sweep(world.db, world.store, world.settings) == (0, 0, 0)
    clock.now += world.settings.limits.retention_seconds + 1
    late = blobs.keep(world.db, world.store, b"uploaded just now", owner=world.owner.address)
    with world.db.begin() as session:
        session.execute(update(BlobHolder).where(BlobHolder.sha256 == late).values(created_at=clock.now))
    world.store.append(sha(b"never finished"), 0, 14, b"never", world.owner.address)
    swept = blobs.sweep(world.db, world.store, world.settings)
    assert swept.blobs == 2
    assert [world.store.exists(it) for it in (old, shared, unused, late)] == [False, True, False, True]
    with world.db.read() as session:
        assert blobs.holds(session, world.owner.address, shared)
        assert not blobs.holds(session, world.owner.address, old)
    assert blobs.sweep(world.db, world.store, world.settings).blobs == 0
