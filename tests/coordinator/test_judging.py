"""Proof in the coordinator: an honest tile is paid once, a false one never, and nobody is blamed without grounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard
from sqlalchemy import select

from coordinator.judging import draw, judge
from coordinator.leasing import fail, status
from coordinator.store.models import Job, Lease, Node, Receipt, Work
from jobs.states import WorkKind
from jobs.tiles import InferTile
from jobs.typed_data import receipt_message, recover
from jobs.wire import Fail, LeaseOffer
from tests.coordinator.world import CLASS, CONTRACT, OTHER_CLASS, Person, World, true_bytes
from verification.challenge import draw_cells
from verification.commitment import commit as commit_tile
from verification.policy import REFUSAL, REFUSALS_FORGIVEN, Standing, standing

AUDIT = WorkKind.AUDIT


def rows(world: World, model: type[Any], **where: Any) -> list[Any]:
    """Rows of a table in the order of their keys."""
    with world.db.read() as session:
        return list(session.scalars(select(model).filter_by(**where).order_by(*model.__table__.primary_key.columns)))


def audited(world: World, node: Person, auditor: Person, data: bytes | None = None, cls: str = CLASS) -> LeaseOffer:
    """A tile through lease, commitment, upload, challenge, audit and verdict."""
    offer = world.claim(node)
    assert offer is not None
    world.do_tile(node, offer, data)
    draw(world.db, world.settings, offer.id)
    audit = world.claim(auditor, AUDIT, cls=cls)
    assert audit is not None and audit.audit is not None
    world.do_audit(auditor, audit, cls=cls)
    judge(world.db, world.settings, offer.id)
    return offer


def test_an_honest_tile_is_paid_with_a_receipt_that_anyone_can_check(world: World) -> None:
    """Lease, tile, receipt and counters agree; the receipt is signed by the coordinator; the challenge is the one that
    root, lease and secret say."""
    job, node, auditor = world.job(tiles=1, count=60), world.worker(), world.worker(world.trusted)
    offer = audited(world, node, auditor)
    [receipt], [tile] = rows(world, Receipt), rows(world, Work, kind="tile")
    with world.db.read() as session:
        lease, worker, row = (
            session.get_one(Lease, offer.id), session.get_one(Node, node.address), session.get_one(Job, job),
        )  # fmt: skip
    assert (lease.state, lease.verdict, lease.lane) == ("accepted", "accept", "exact")
    assert (tile.state, tile.accepted_lease) == ("done", offer.id)
    assert (worker.accepted, worker.rejected, worker.suspicion) == (1, 0, -24)
    assert row.compute_seconds == 0 and row.audit_seconds == 0  # the clock stood still; nobody may claim more
    assert receipt.price == tile.price and receipt.auditor == auditor.address and receipt.node == node.address
    message = receipt_message(
        world.domain, job=job, tile=0, attempt=offer.token, node=node.address,
        commitment=bytes.fromhex(receipt.commitment[2:]), price=receipt.price,
    )  # fmt: skip
    signer = recover(message, receipt.signature)
    assert signer not in (None, node.address) and signer == world.coordinator.address
    assert lease.root is not None
    drawn = draw_cells(bytes.fromhex(lease.root[2:]), lease.id, lease.secret, cells=60, probes=24)
    assert lease.cells == drawn
    told = status(world.db, node=node.address, lease_id=offer.id)
    assert told["state"] == "accepted" and told["cells"] == drawn and told["receipt"]["leaf"] == receipt.leaf


def test_doubled_and_early_hints_change_nothing(world: World) -> None:
    """Each task may come too soon, twice, or for a thing that does not exist."""
    world.job(tiles=1, count=20)
    node, auditor = world.worker(), world.worker(world.trusted)
    draw(world.db, world.settings, "no-such-lease")
    judge(world.db, world.settings, "no-such-lease")
    offer = world.claim(node)
    assert offer is not None
    draw(world.db, world.settings, offer.id)
    judge(world.db, world.settings, offer.id)
    assert rows(world, Work, kind="audit") == []
    world.do_tile(node, offer)
    for _ in range(3):
        draw(world.db, world.settings, offer.id)
    [audit] = rows(world, Work, kind="audit")
    judge(world.db, world.settings, offer.id)  # nobody has audited yet
    lease = world.claim(auditor, AUDIT)
    assert lease is not None and audit.state == "pending"
    world.do_audit(auditor, lease)
    for _ in range(3):
        judge(world.db, world.settings, offer.id)
        draw(world.db, world.settings, offer.id)
    assert len(rows(world, Receipt)) == 1 and len(rows(world, Work, kind="audit")) == 1
    with world.db.read() as session:
        assert session.get_one(Node, node.address).accepted == 1


def test_the_worker_learns_the_cells_with_the_verdict_only(world: World) -> None:
    """Between challenge and verdict the lease tells nothing of what is being redone."""
    world.job(tiles=1, count=20)
    node = world.worker()
    offer = world.claim(node)
    assert offer is not None
    world.do_tile(node, offer)
    draw(world.db, world.settings, offer.id)
    told = status(world.db, node=node.address, lease_id=offer.id)
    assert told["state"] == "uploaded" and told["cells"] is None and told["evidence"] is None


def test_a_false_tile_is_refused_goes_elsewhere_and_is_never_paid(world: World) -> None:
    """Wrong bytes in every cell: rejected with evidence, the node and others of its owner excluded, more cells next
    time, and an honest node is paid for the same tile."""
    world.job(tiles=1, count=100)
    owner = Person().address
    cheat, friend = world.worker(owner=owner), world.worker(owner=owner)
    honest, auditor = world.worker(), world.worker(world.trusted)
    tile = InferTile(first=0, count=100)
    wrong = (np.frombuffer(true_bytes(tile), "<f4") * np.float32(1.01)).astype("<f4").tobytes()
    offer = audited(world, cheat, auditor, wrong)
    with world.db.read() as session:
        lease, node = session.get_one(Lease, offer.id), session.get_one(Node, cheat.address)
    assert (lease.state, lease.verdict) == ("rejected", "reject") and rows(world, Receipt) == []
    assert "24 of 24 challenged cells" in str(lease.reason)
    assert lease.evidence is not None and lease.evidence["cells_differing"] == 24
    assert (node.rejected, node.suspicion) == (1, REFUSAL)
    assert world.claim(cheat) is None and world.claim(friend) is None
    again = audited(world, honest, auditor)
    [receipt] = rows(world, Receipt)
    assert receipt.node == honest.address and receipt.attempt == again.token == 2
    world.job(tiles=1, count=100)
    second = world.claim(cheat)
    assert second is not None
    world.do_tile(cheat, second)
    draw(world.db, world.settings, second.id)
    with world.db.read() as session:
        assert len(session.get_one(Lease, second.id).cells or ()) == 48


def test_an_upload_that_is_not_what_was_signed_is_refused_unaudited(world: World) -> None:
    """Root over the true bytes, other bytes uploaded: a contradiction with the worker's own signature in evidence."""
    world.job(tiles=1)
    node = world.worker()
    world.worker(world.trusted)
    offer = world.claim(node)
    assert offer is not None and isinstance(offer.tile, InferTile)
    data = true_bytes(offer.tile)
    world.commit(node, offer, commit_tile(offer.id, CONTRACT, offer.tile, data).root, offer.tile.cell_count())
    world.complete(node, offer, zstandard.compress(bytes(len(data))))
    draw(world.db, world.settings, offer.id)
    with world.db.read() as session:
        lease = session.get_one(Lease, offer.id)
    assert lease.state == "rejected" and lease.evidence is not None
    assert lease.evidence["contradiction"]["signature"] == lease.node_signature
    assert rows(world, Work, kind="audit") == [] and rows(world, Receipt) == []


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (b"not zstd at all", "not zstd"),
        (zstandard.compress(b""), "should have 480 bytes, the upload holds 0"),
        (zstandard.compress(bytes(479)), "the upload holds 479"),
        (zstandard.compress(bytes(200 << 20)), "more than that"),
    ],
)
def test_a_malformed_upload_is_refused_and_never_unpacked_beyond_its_length(
    world: World, blob: bytes, said: str
) -> None:
    """Garbage, too short, too long, a bomb of 200 MiB: each is refused with what was wrong."""
    import tracemalloc

    world.job(tiles=1)
    node = world.worker()
    offer = world.claim(node)
    assert offer is not None
    world.commit(node, offer, bytes(32), 6)
    world.complete(node, offer, blob)
    tracemalloc.start()
    draw(world.db, world.settings, offer.id)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said in str(status(world.db, node=node.address, lease_id=offer.id)["reason"])
    assert peak < 64 << 20


def test_a_pattern_of_refusals_suspends(world: World) -> None:
    """Two false tiles of a new worker: no paid work any more, and the reason says so."""
    cheat, auditor = world.worker(), world.worker(world.trusted)
    for _ in range(2):
        world.job(tiles=1)
        audited(world, cheat, auditor, bytes(480))
    world.job(tiles=1)
    assert world.claim(cheat) is None
    with world.db.read() as session:
        assert "2 of its 2 tiles were refused" in str(session.get_one(Node, cheat.address).suspended)


def test_who_cheats_again_and_again_in_good_standing_is_suspended(world: World) -> None:
    """Six honest tiles after each false one, so that the test forgets it: the fifth of them within 200 tiles suspends,
    the fourth does not."""
    cheat, auditor = world.worker(), world.worker(world.trusted)
    for false in range(1, REFUSALS_FORGIVEN + 2):
        for _ in range(6):
            world.job(tiles=1, count=60)
            audited(world, cheat, auditor)
        with world.db.read() as session:
            row = session.get_one(Node, cheat.address)
            assert (standing(row.suspicion), row.suspended, row.rejected) == (Standing.GOOD, None, false - 1)
        world.job(tiles=1, count=60)
        audited(world, cheat, auditor, bytes(80 * 60))
    with world.db.read() as session:
        row = session.get_one(Node, cheat.address)
        assert standing(row.suspicion) is Standing.NEW and "5 of its 35 tiles were refused" in str(row.suspended)
    world.job(tiles=1)
    assert world.claim(cheat) is None


def test_an_auditor_that_breaks_its_word_does_not_decide(world: World) -> None:
    """An audit whose bytes are not those it committed to is thrown away; another audit decides."""
    world.job(tiles=1, count=20)
    node, auditor = world.worker(), world.worker(world.trusted)
    offer = world.claim(node)
    assert offer is not None
    world.do_tile(node, offer)
    draw(world.db, world.settings, offer.id)
    audit = world.claim(auditor, AUDIT)
    assert audit is not None and audit.audit is not None
    world.commit(auditor, audit, bytes(32), len(audit.audit.cells))
    world.complete(auditor, audit, zstandard.compress(bytes(80 * len(audit.audit.cells))))
    judge(world.db, world.settings, offer.id)
    assert status(world.db, node=node.address, lease_id=offer.id)["state"] == "uploaded"
    again = world.claim(auditor, AUDIT)
    assert again is not None and again.id != audit.id
    world.do_audit(auditor, again)
    judge(world.db, world.settings, offer.id)
    assert status(world.db, node=node.address, lease_id=offer.id)["state"] == "accepted"


def test_across_classes_the_lane_is_tolerant(world: World) -> None:
    """Where no trusted worker has the class of the worker, another class audits, by tolerance."""
    world.calibrate()
    world.job(tiles=1, count=20)
    node, auditor = world.worker(), world.worker(world.trusted, cls=OTHER_CLASS)
    offer = audited(world, node, auditor, cls=OTHER_CLASS)
    [receipt] = rows(world, Receipt)
    assert receipt.lease_id == offer.id and receipt.lane == "tolerant"


def slightly_off(offer: LeaseOffer) -> bytes:
    """Between what honest machines of two classes differ by and what a cheat differs by: 3e-5 of the fingerprint."""
    assert isinstance(offer.tile, InferTile)
    return (np.frombuffer(true_bytes(offer.tile), "<f4") * np.float32(1 + 3e-5)).astype("<f4").tobytes()


def test_an_undecided_audit_asks_another_auditor_and_blames_nobody(world: World) -> None:
    """Two auditors of another class cannot tell: the tile goes elsewhere, unpaid, and its worker keeps its name."""
    world.calibrate()
    world.job(tiles=1, count=20)
    node, first, second = (
        world.worker(),
        world.worker(world.trusted, cls=OTHER_CLASS),
        world.second_trusted(OTHER_CLASS),
    )
    offer = world.claim(node)
    assert offer is not None
    world.do_tile(node, offer, slightly_off(offer))
    draw(world.db, world.settings, offer.id)
    one = world.claim(first, AUDIT, cls=OTHER_CLASS)
    assert one is not None
    world.do_audit(first, one, cls=OTHER_CLASS)
    judge(world.db, world.settings, offer.id)
    assert status(world.db, node=node.address, lease_id=offer.id)["state"] == "uploaded"
    assert world.claim(first, AUDIT, cls=OTHER_CLASS) is None  # not twice the same
    two = world.claim(second, AUDIT, cls=OTHER_CLASS)
    assert two is not None
    world.do_audit(second, two, cls=OTHER_CLASS)
    judge(world.db, world.settings, offer.id)
    assert status(world.db, node=node.address, lease_id=offer.id)["state"] == "rejected"
    with world.db.read() as session:
        worker = session.get_one(Node, node.address)
        assert (worker.rejected, worker.suspicion, session.get_one(Lease, offer.id).verdict) == (0, 0, "escalate")
    assert rows(world, Receipt) == [] and world.claim(node) is None


def crash(world: World, person: Person, offer: LeaseOffer, **more: Any) -> None:
    body = Fail(token=offer.token, code="crash", message="the runner ended by SIGSEGV", **more)
    fail(world.db, world.settings, node=person.address, lease_id=offer.id, body=body)


def test_a_crash_that_repeats_on_a_trusted_worker_ends_the_job(world: World) -> None:
    """The scene is at fault: the job settles as failed with the reason; the node is not blamed."""
    job = world.job(tiles=2)
    node, trusted = world.worker(), world.worker(world.trusted)
    offer = world.claim(node)
    assert offer is not None
    crash(world, node, offer, scene_fault=True)
    other = world.claim(node)
    assert other is not None and other.tile != offer.tile  # held back from everybody, and other tiles go on
    tried = world.claim(trusted, WorkKind.REPRODUCE)
    assert tried is not None and tried.tile == offer.tile
    crash(world, trusted, tried)
    judge(world.db, world.settings, offer.id)
    with world.db.read() as session:
        row, worker = session.get_one(Job, job), session.get_one(Node, node.address)
    assert (row.state, row.outcome, row.error_code) == ("settling", "failed", "crash")
    assert "SIGSEGV" in str(row.error) and worker.suspicion == 0


def test_a_crash_that_does_not_repeat_is_the_workers_own(world: World) -> None:
    """The tile goes to another node; hints that come twice do not count it twice."""
    job = world.job(tiles=1)
    node, other, trusted = world.worker(), world.worker(), world.worker(world.trusted)
    offer = world.claim(node)
    assert offer is not None
    crash(world, node, offer)
    assert world.claim(other) is None
    tried = world.claim(trusted, WorkKind.REPRODUCE)
    assert tried is not None
    world.complete(trusted, tried, result={"reproduced": False, "message": "it works here"})
    for _ in range(3):
        judge(world.db, world.settings, offer.id)
    [tile] = rows(world, Work, kind="tile")
    assert (tile.state, tile.attempts) == ("pending", 1)
    assert world.claim(node) is None
    again = world.claim(other)
    assert again is not None and again.token == 2
    judge(world.db, world.settings, offer.id)
    with world.db.read() as session:
        assert session.get_one(Job, job).state == "running"


def test_of_two_workers_at_one_tile_the_first_accepted_wins(world: World, clock: Any) -> None:
    """A straggler's tile goes to a second worker; when that one's result passed, the first is told to stop."""
    world.job(tiles=1, count=20)
    slow, fast, auditor = world.worker(), world.worker(), world.worker(world.trusted)
    first = world.claim(slow)
    assert first is not None and world.claim(fast) is None
    clock.now += 121  # twice the minimum of 60 s
    world.beat(slow, first)
    second = world.claim(fast)
    assert second is not None and second.tile == first.tile and second.token == first.token + 1
    assert world.claim(slow) is None
    world.do_tile(fast, second)
    world.do_tile(slow, first)  # both are uploaded; the second waits for the verdict on the first
    draw(world.db, world.settings, second.id)
    draw(world.db, world.settings, first.id)
    assert len(rows(world, Work, kind="audit")) == 1
    audit = world.claim(auditor, AUDIT)
    assert audit is not None
    world.do_audit(auditor, audit)
    judge(world.db, world.settings, second.id)
    [receipt] = rows(world, Receipt)
    assert receipt.lease_id == second.id
    assert status(world.db, node=slow.address, lease_id=first.id)["state"] == "released"


def test_where_the_first_of_two_is_refused_the_second_is_judged(world: World, clock: Any) -> None:
    """A cheat that is faster than an honest worker does not take its pay."""
    world.job(tiles=1, count=20)
    honest, cheat, auditor = world.worker(), world.worker(), world.worker(world.trusted)
    first = world.claim(honest)
    clock.now += 121
    assert first is not None
    world.beat(honest, first)
    second = world.claim(cheat)
    assert second is not None
    world.do_tile(cheat, second, bytes(1600))
    world.do_tile(honest, first)
    for lease in (second, first):
        draw(world.db, world.settings, lease.id)
    audit = world.claim(auditor, AUDIT)
    assert audit is not None
    world.do_audit(auditor, audit)
    judge(world.db, world.settings, second.id)
    assert status(world.db, node=cheat.address, lease_id=second.id)["state"] == "rejected"
    draw(world.db, world.settings, first.id)
    audit = world.claim(auditor, AUDIT)
    assert audit is not None
    world.do_audit(auditor, audit)
    judge(world.db, world.settings, first.id)
    [receipt] = rows(world, Receipt)
    assert receipt.node == honest.address
