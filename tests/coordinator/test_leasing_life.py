"""The life of a lease: renewal, fencing, commitments, ends, and what a repeated or late call does."""

from __future__ import annotations

from typing import Any

import pytest
import zstandard
from sqlalchemy import select

from coordinator.errors import ApiError, Conflict, NotFound, Unprocessable
from coordinator.leasing import fail, reap, release
from coordinator.store.models import Job, Lease, Node, Work
from jobs.states import WorkKind
from jobs.tiles import InferTile
from jobs.wire import Fail, LeaseOffer, Release
from tests.coordinator.world import CONTRACT, OTHER_CLASS, Person, World, true_bytes
from verification.commitment import commit as commit_tile
from verification.policy import REFUSAL


def root_of(offer: LeaseOffer) -> bytes:
    """The honest root for this lease."""
    assert isinstance(offer.tile, InferTile)
    return commit_tile(offer.id, CONTRACT, offer.tile, true_bytes(offer.tile)).root


def lease_of(world: World, offer: LeaseOffer) -> Lease:
    with world.db.read() as session:
        return session.get_one(Lease, offer.id)


def work_of(world: World, offer: LeaseOffer) -> Work:
    with world.db.read() as session:
        return session.get_one(Work, lease_of(world, offer).work_id)


def claimed(world: World, **worker: Any) -> tuple[Person, LeaseOffer]:
    """A worker with a lease of a one-tile job."""
    world.job(tiles=1)
    person = world.worker(**worker)
    offer = world.claim(person)
    assert offer is not None
    return person, offer


def give_up(world: World, person: Person, offer: LeaseOffer, code: str = "node_fault") -> None:
    body = Fail(token=offer.token, code=code, message="disk\0 full")
    fail(world.db, world.settings, node=person.address, lease_id=offer.id, body=body)


def test_heartbeats_renew_up_to_three_times_the_expected_time(world: World, clock: Any) -> None:
    """Every heartbeat moves the end, never beyond the last expiry; then the worker is told to stop, and the tile is
    queued again."""
    person, offer = claimed(world, score=0.1)  # 10 s at score 1.0 are 100 s here
    assert offer.expected_seconds == pytest.approx(100)
    start = clock.now
    for seconds in range(20, 300, 20):
        clock.now = start + seconds
        reply = world.beat(person, offer, seconds / 300)
        assert not reply.cancel and reply.expires_at == min(clock.now + 30, start + 300)
        assert reap(world.db, world.settings) == 0
    clock.now = start + 301
    assert world.beat(person, offer).cancel
    assert reap(world.db, world.settings) == 1
    assert "three times" in str(lease_of(world, offer).reason) and work_of(world, offer).state == "pending"


def test_a_lease_without_heartbeat_ends_and_its_work_is_queued_again(world: World, clock: Any) -> None:
    """Once, with one attempt more; another worker gets it with a higher token."""
    _, offer = claimed(world)
    clock.now += 29
    assert reap(world.db, world.settings) == 0
    clock.now += 2
    assert [reap(world.db, world.settings) for _ in range(3)] == [1, 0, 0]
    assert (lease_of(world, offer).state, work_of(world, offer).attempts) == ("expired", 1)
    again = world.claim(world.worker())
    assert again is not None and again.token == offer.token + 1


@pytest.mark.parametrize("call", ["beat", "commit", "complete", "fail", "release"])
def test_an_older_token_and_a_lost_lease_are_turned_away(world: World, clock: Any, call: str) -> None:
    """After somebody else has the work, each call of the first worker is `lease_lost` and changes nothing."""
    person, offer = claimed(world)
    clock.now += 31
    reap(world.db, world.settings)
    other = world.worker()
    newer = world.claim(other)
    assert newer is not None

    def act(token: int) -> None:
        lease = offer.model_copy(update={"token": token})
        if call == "beat":
            world.beat(person, lease)
        elif call == "commit":
            world.commit(person, lease, root_of(offer), 6)
        elif call == "complete":
            world.complete(person, lease, b"x")
        elif call == "fail":
            give_up(world, person, lease)
        else:
            release(world.db, world.settings, node=person.address, lease_id=offer.id, body=Release(token=token))

    before = (lease_of(world, newer), work_of(world, newer).version)
    for token in (offer.token, newer.token, offer.token - 1):
        if call == "release" and token == offer.token:
            act(token)  # giving back what is gone already is in good order
            continue
        with pytest.raises(Conflict) as refused:
            act(token)
        assert refused.value.code == "lease_lost"
    assert (lease_of(world, newer).version, work_of(world, newer).version) == (before[0].version, before[1])
    with pytest.raises(NotFound):
        world.beat(other, offer)


def test_an_outage_of_the_gateway_costs_nothing(world: World, clock: Any) -> None:
    """The lease expired because no heartbeat could arrive; nobody has had the work since: commitment and upload are
    taken, and the attempt is not counted."""
    person, offer = claimed(world)
    clock.now += 200
    reap(world.db, world.settings)
    assert work_of(world, offer).state == "pending"
    world.do_tile(person, offer)
    assert (lease_of(world, offer).state, work_of(world, offer).state) == ("uploaded", "checking")
    assert work_of(world, offer).attempts == 0
    # And the same between commitment and upload.
    world.job(tiles=1)
    second = world.claim(person)
    assert second is not None
    world.commit(person, second, root_of(second), 6)
    clock.now += 1000
    reap(world.db, world.settings)
    assert lease_of(world, second).state == "expired"
    assert not world.beat(person, second).cancel
    assert lease_of(world, second).state == "committed"


def test_the_first_commitment_is_final_and_a_second_is_evidence(world: World) -> None:
    """The same again is the same answer; another root is refused, kept with both signatures, and suspicious; one
    that somebody else signed is no evidence."""
    person, offer = claimed(world)
    root = root_of(offer)
    assert [world.commit(person, offer, root, 6).root for _ in range(2)] == ["0x" + root.hex()] * 2
    for signer, kept in ((Person(), 0), (person, 1), (person, 1)):
        with pytest.raises(Conflict) as refused:
            world.commit(person, offer, bytes(32), 6, signer=signer)
        assert refused.value.code == "committed_already"
        evidence = lease_of(world, offer).evidence or {}
        assert len(evidence.get("contradictions", [])) == kept
    lease = lease_of(world, offer)
    assert lease.root == "0x" + root.hex() and lease.state == "committed" and lease.evidence is not None
    assert lease.evidence["first_commitment"]["signature"] == lease.node_signature
    assert lease.evidence["contradictions"][0]["root"] == "0x" + bytes(32).hex()
    with world.db.read() as session:
        assert session.get_one(Node, person.address).suspicion == REFUSAL


@pytest.mark.parametrize("fault", ["bad_signature", "wrong_cells", "wrong_class"])
def test_a_commitment_that_breaks_a_rule_costs_the_lease(world: World, fault: str) -> None:
    """Refused with the rule's name; the lease is lost and the tile queued again."""
    person, offer = claimed(world)
    with pytest.raises(Unprocessable) as refused:
        world.commit(
            person, offer, root_of(offer), 7 if fault == "wrong_cells" else 6,
            signer=Person() if fault == "bad_signature" else None,
            **({"cls": OTHER_CLASS} if fault == "wrong_class" else {}),
        )  # fmt: skip
    assert refused.value.code == fault
    assert lease_of(world, offer).state == "failed" and work_of(world, offer).state == "pending"


def test_completion_needs_commitment_and_upload(world: World) -> None:
    """Not before the commitment, not with a blob of somebody else, not with two; the same again is the same; another
    result is refused."""
    person, offer = claimed(world)
    assert isinstance(offer.tile, InferTile)
    blob = zstandard.compress(true_bytes(offer.tile))
    for expected, action in (
        ("not_committed", lambda: world.complete(person, offer, blob)),
        (None, lambda: world.commit(person, offer, root_of(offer), 6)),
        ("wrong_blobs", lambda: world.complete(person, offer, blob, b"another")),
        ("wrong_blobs", lambda: world.complete(person, offer)),
    ):
        if expected is None:
            action()
            continue
        with pytest.raises(ApiError) as refused:
            action()
        assert refused.value.code == expected
    stranger = world.worker()
    foreign = world.upload(stranger, b"a stranger's file")
    with pytest.raises(Conflict) as missing:
        world.complete_with(person, offer, foreign)
    assert missing.value.code == "blob_missing"
    assert [world.complete(person, offer, blob).state for _ in range(2)] == ["uploaded"] * 2
    with pytest.raises(Conflict) as again:
        world.complete(person, offer, b"another result")
    assert again.value.code == "completed_already"


def test_a_worker_that_fails_twice_does_not_get_the_tile_again(world: World, clock: Any) -> None:
    """After the second failure the tile is for others; a third worker's does not count against them."""
    person, offer = claimed(world)
    give_up(world, person, offer)
    assert "disk full" in str(lease_of(world, offer).reason)  # without the NUL that no database takes
    again = world.claim(person)
    assert again is not None
    give_up(world, person, again)
    clock.now += 60
    assert world.claim(person) is None
    assert world.claim(world.worker()) is not None


def test_too_many_attempts_end_the_job_with_the_last_reason(world: World, clock: Any) -> None:
    """After max_attempts the job settles as failed: what passed is paid, the rest refunded."""
    job = world.job(tiles=2)
    for number in range(world.settings.leases.max_attempts):
        worker = world.worker()
        offer = world.claim(worker)
        assert offer is not None and offer.tile == InferTile(first=0, count=6)
        body = Fail(token=offer.token, code="node_fault", message=f"disk {number} is full")
        fail(world.db, world.settings, node=worker.address, lease_id=offer.id, body=body)
        clock.now += 100
        world.worker(worker)
    with world.db.read() as session:
        row = session.get_one(Job, job)
        states = sorted(session.scalars(select(Work.state)))
    assert (row.state, row.outcome, row.error_code) == ("settling", "failed", "too_many_attempts")
    assert "disk 5 is full" in str(row.error) and states == ["cancelled", "failed"]


def test_giving_back_blames_nobody(world: World) -> None:
    """A released tile is to be had at once, by the same worker too, and no attempt is counted."""
    person, offer = claimed(world)
    for _ in range(2):
        release(world.db, world.settings, node=person.address, lease_id=offer.id, body=Release(token=offer.token))
    assert work_of(world, offer).attempts == 0
    assert world.claim(person) is not None


def test_a_trusted_worker_is_believed_about_the_scene(world: World) -> None:
    """A scene fault that a trusted worker reports ends the job with code and reason, without another try."""
    job = world.job(tiles=0, state="admitting")
    trusted = world.worker(world.trusted)
    with world.db.begin() as session:
        world.add_work(session, job, WorkKind.DESCRIBE, 0, InferTile(first=0, count=1))
    offer = world.claim(trusted, WorkKind.DESCRIBE)
    assert offer is not None
    body = Fail(
        token=offer.token, code="no_camera", message="Scene 'A' has no active camera: add one.", scene_fault=True
    )
    fail(world.db, world.settings, node=trusted.address, lease_id=offer.id, body=body)
    with world.db.read() as session:
        row = session.get_one(Job, job)
    assert (row.state, row.error_code) == ("failed", "no_camera") and "add one" in str(row.error)


def test_a_second_crash_of_a_trusted_worker_is_the_scenes_fault(world: World) -> None:
    """One crash may be chance; two at the same step end the job."""
    job = world.job(tiles=0, state="admitting")
    trusted = world.worker(world.trusted)
    with world.db.begin() as session:
        world.add_work(session, job, WorkKind.DESCRIBE, 0, InferTile(first=0, count=1))
    for state in ("admitting", "failed"):
        offer = world.claim(trusted, WorkKind.DESCRIBE)
        assert offer is not None
        give_up(world, trusted, offer, "crash")
        with world.db.read() as session:
            assert session.get_one(Job, job).state == state
