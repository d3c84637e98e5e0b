"""Who audits, and what a refusal does: nobody is judged by a class that cannot, and nobody is accused by one voice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard
from sqlalchemy import select

from coordinator.errors import Conflict
from coordinator.judging import draw, judge, redraw, unconfirmed
from coordinator.store.models import Lease, Node, Receipt, Strike, Work
from jobs.states import WorkKind
from jobs.tiles import InferTile
from jobs.wire import LeaseOffer
from tests.coordinator.world import CLASS, CONTRACT, ITEM_BYTES, OTHER_CLASS, Person, World, true_bytes
from verification.commitment import commit as commit_tile
from verification.commitment import commit_cells, split_cells
from verification.policy import REFUSAL

AUDIT = WorkKind.AUDIT
KINDS = (WorkKind.TILE, WorkKind.AUDIT)


def rows(world: World, model: type[Any], **where: Any) -> list[Any]:
    with world.db.read() as session:
        return list(session.scalars(select(model).filter_by(**where).order_by(*model.__table__.primary_key.columns)))


def node_of(world: World, person: Person) -> Node:
    with world.db.read() as session:
        return session.get_one(Node, person.address)


def wrong(offer: LeaseOffer) -> bytes:
    tile = offer.tile or (offer.audit.tile if offer.audit else None)
    assert isinstance(tile, InferTile)
    return (np.frombuffer(true_bytes(tile), "<f4") * np.float32(1.01)).astype("<f4").tobytes()


def deliver(world: World, person: Person, data: bytes | None = None, cls: str = CLASS) -> LeaseOffer:
    """A tile, claimed, committed to, uploaded and challenged; `data` b"wrong" for a false one."""
    offer = world.claim(person, cls=cls)
    assert offer is not None
    world.do_tile(person, offer, wrong(offer) if data == b"wrong" else data, cls=cls)
    draw(world.db, world.settings, offer.id)
    return offer


def answer(world: World, person: Person, cls: str = CLASS, *, lie: bool = False) -> LeaseOffer:
    """The audit that waits for this auditor, done honestly or with the cheat's answer."""
    offer = world.claim(person, AUDIT, cls=cls)
    assert offer is not None and offer.audit is not None and offer.contract is not None
    whole = wrong(offer) if lie else true_bytes(offer.audit.tile)  # type: ignore[arg-type]
    data = b"".join(whole[i * ITEM_BYTES : (i + 1) * ITEM_BYTES] for i in offer.audit.cells)
    cells = split_cells(offer.contract, offer.audit.tile, offer.audit.cells, data)
    world.commit(person, offer, commit_cells(offer.id, offer.contract, cells).root, len(cells), cls=cls)
    world.complete(person, offer, zstandard.compress(data))
    with world.db.read() as session:
        audited = session.scalars(
            select(Work.audited_lease).join(Lease, Lease.work_id == Work.id).where(Lease.id == offer.id)
        ).one()
    judge(world.db, world.settings, str(audited))
    return offer


def test_a_class_that_nobody_can_judge_gets_no_work(world: World) -> None:
    """409 class_not_measured: no calibration and no independent auditor; either of them opens the door."""
    world.job(tiles=1, count=20)
    world.worker(world.trusted)
    owner = Person().address
    lone = world.worker(cls=OTHER_CLASS, owner=owner, audits=True)
    for _ in range(2):
        with pytest.raises(Conflict) as refused:
            world.claim(lone, *KINDS, cls=OTHER_CLASS)
        assert refused.value.code == "class_not_measured" and OTHER_CLASS in str(refused.value)
        world.worker(cls=OTHER_CLASS, owner=owner, audits=True)  # a second node of the same owner changes nothing
    world.worker(cls=OTHER_CLASS)  # one that does no audits neither
    with pytest.raises(Conflict):
        world.claim(lone, *KINDS, cls=OTHER_CLASS)
    world.worker(cls=OTHER_CLASS, audits=True)
    assert world.claim(lone, *KINDS, cls=OTHER_CLASS) is not None


def test_a_calibrated_class_is_judged_by_its_limits(world: World) -> None:
    world.calibrate()
    world.job(tiles=1, count=20)
    world.worker(world.trusted)
    node = world.worker(cls=OTHER_CLASS)
    assert world.claim(node, cls=OTHER_CLASS) is not None


def test_operators_who_let_no_stranger_audit(world: World) -> None:
    """`never`: the class then waits for a calibration, whoever else is online."""
    world.audit_settings(strangers="never")
    world.job(tiles=1, count=20)
    world.worker(world.trusted)
    node, _ = world.worker(cls=OTHER_CLASS, audits=True), world.worker(cls=OTHER_CLASS, audits=True)
    with pytest.raises(Conflict, match="nobody can judge"):
        world.claim(node, cls=OTHER_CLASS)


def test_a_stranger_of_the_class_audits_blind_and_takes_no_tile_of_the_job(world: World) -> None:
    """Where no trusted worker has the class: drawn, never the author nor of its owner, bits decide, and who audits a
    job does no tile of it."""
    world.job(tiles=2, count=20)
    trusted = world.worker(world.trusted)
    owner = Person().address
    author, friend = (world.worker(cls=OTHER_CLASS, owner=owner, audits=True) for _ in range(2))
    other = world.worker(cls=OTHER_CLASS, audits=True)
    offer = deliver(world, author, cls=OTHER_CLASS)
    [audit] = rows(world, Work, kind="audit")
    assert (audit.for_node, audit.trusted, audit.numerics_class) == (other.address, False, OTHER_CLASS)
    assert set(audit.payload) == {"tile", "cells"}
    for person in (author, friend):
        assert world.claim(person, AUDIT, cls=OTHER_CLASS) is None
    assert world.claim(trusted, AUDIT) is None
    assert world.claim(other, WorkKind.TILE, cls=OTHER_CLASS) is None  # somebody's pay hangs on it
    lease = answer(world, other, OTHER_CLASS)
    assert lease.tile is None and lease.params == {}
    [receipt] = rows(world, Receipt)
    assert (receipt.lease_id, receipt.auditor, receipt.lane) == (offer.id, other.address, "exact")
    assert node_of(world, other).audits == 1
    assert world.claim(other, WorkKind.TILE, cls=OTHER_CLASS) is None
    assert world.claim(author, WorkKind.TILE, cls=OTHER_CLASS) is not None


def test_of_two_nodes_alone_one_works_and_one_audits(world: World) -> None:
    """The second gets no tile while the first has one: nobody could audit it."""
    world.job(tiles=2, count=20)
    world.worker(world.trusted)
    one, two = (world.worker(cls=OTHER_CLASS, audits=True) for _ in range(2))
    assert world.claim(one, cls=OTHER_CLASS) is not None
    assert world.claim(two, cls=OTHER_CLASS) is None


def test_a_strangers_refusal_alone_accuses_nobody(world: World) -> None:
    """No pay, and the tile goes elsewhere; but the worker's name is left alone until another auditor of the class has
    come to the same end, and then the strike can be slashed for."""
    world.job(tiles=1, count=20)
    world.worker(world.trusted)
    cheat, first = (world.worker(cls=OTHER_CLASS, audits=True) for _ in range(2))
    offer = deliver(world, cheat, b"wrong", OTHER_CLASS)
    second = world.worker(cls=OTHER_CLASS, audits=True)
    answer(world, first, OTHER_CLASS)
    [strike] = rows(world, Strike)
    assert (strike.kind, strike.state, strike.counted, strike.slashable) == ("cells", "open", False, False)
    assert strike.lease_id == offer.id and strike.node == cheat.address and "challenged cells" in strike.reason
    assert (node_of(world, cheat).rejected, node_of(world, cheat).suspicion) == (0, 0)
    answer(world, second, OTHER_CLASS)
    [strike] = rows(world, Strike)
    assert (strike.state, strike.counted, strike.slashable) == ("confirmed", True, True)
    assert strike.confirmed_by == second.address
    assert (node_of(world, cheat).rejected, node_of(world, cheat).suspicion) == (1, REFUSAL)


def test_a_trusted_refusal_counts_at_once_and_is_confirmed_by_another(world: World) -> None:
    """More cells from then on; suspended only when the pattern is confirmed."""
    world.job(tiles=2, count=60)
    cheat, one, two = world.worker(), world.worker(world.trusted), world.second_trusted()
    for _ in range(2):
        deliver(world, cheat, b"wrong")
        answer(world, one)
    assert [s.state for s in rows(world, Strike)] == ["open", "open"]
    node = node_of(world, cheat)
    assert (node.rejected, node.suspicion, node.suspended) == (2, 2 * REFUSAL, None)
    assert world.claim(one, AUDIT) is None  # not the same auditor twice
    answer(world, two)
    assert node_of(world, cheat).suspended is None
    answer(world, two)
    assert "2 of its 2 tiles were refused" in str(node_of(world, cheat).suspended)
    assert all(s.slashable and s.confirmed_by == two.address for s in rows(world, Strike))


def test_an_auditor_that_was_wrong_is_found_out_by_the_second(world: World) -> None:
    """The refusal is struck from the worker's name, whatever its memory did; the operator sees whose fault it was."""
    world.job(tiles=1, count=20)
    node, faulty, sound = world.worker(), world.worker(world.trusted), world.second_trusted()
    offer = deliver(world, node)
    answer(world, faulty, lie=True)
    assert node_of(world, node).rejected == 1
    answer(world, sound)
    assert (node_of(world, node).rejected, node_of(world, node).suspicion) == (0, 0)
    about = {s.kind: s for s in rows(world, Strike)}
    assert about["cells"].state == "overturned" and not about["cells"].counted
    assert about["recheck"].node == faulty.address and "came out as claimed" in about["recheck"].reason
    with world.db.read() as session:
        lease = session.get_one(Lease, offer.id)
    assert lease.state == "rejected" and "not held against the node" in str(lease.reason)
    assert node_of(world, faulty).suspended is None and node_of(world, faulty).barred is not None


def test_a_stranger_does_not_overturn_a_trusted_worker(world: World) -> None:
    """Who was told by the cheat what to find is out as an auditor, and the refusal stands."""
    world.job(tiles=1, count=20)
    cheat, friend, auditor = world.worker(), world.worker(audits=True), world.worker(world.trusted)
    deliver(world, cheat, b"wrong")
    answer(world, auditor)
    answer(world, friend, lie=True)
    about = {s.kind: s for s in rows(world, Strike)}
    assert (about["cells"].state, about["cells"].counted) == ("alone", True)
    assert about["recheck"].node == friend.address
    assert node_of(world, friend).suspended and node_of(world, friend).barred
    assert node_of(world, cheat).rejected == 1


@pytest.mark.parametrize("lie", [False, True])
def test_accepts_of_strangers_are_rechecked_too(world: World, lie: bool) -> None:
    """At a share of 1 every one: a trusted worker decides, and a stranger who covered for a cheat audits no more."""
    world.audit_settings(strangers="always", recheck_share=1.0, golden_share=0.0)
    world.job(tiles=1, count=20)
    worker, stranger, trusted = world.worker(), world.worker(audits=True), world.worker(world.trusted)
    offer = deliver(world, worker, b"wrong" if lie else None)
    answer(world, stranger, lie=lie)
    assert rows(world, Receipt) == []  # not decided yet
    answer(world, trusted)
    receipts = rows(world, Receipt)
    if not lie:
        assert [r.auditor for r in receipts] == [trusted.address] and rows(world, Strike) == []
        return
    assert receipts == []
    about = {s.kind: s for s in rows(world, Strike)}
    assert about["recheck"].node == stranger.address and about["cells"].node == worker.address
    assert node_of(world, stranger).suspended is not None
    with world.db.read() as session:
        assert session.get_one(Lease, offer.id).state == "rejected"


def test_a_refusal_by_two_of_the_class_is_confirmed_at_once(world: World) -> None:
    """A stranger refuses, the trusted recheck refuses: no third audit is needed."""
    world.audit_settings(strangers="always", recheck_share=0.0, golden_share=0.0)
    world.job(tiles=1, count=20)
    cheat, stranger, trusted = world.worker(), world.worker(audits=True), world.worker(world.trusted)
    deliver(world, cheat, b"wrong")
    answer(world, stranger)
    answer(world, trusted)
    [strike] = rows(world, Strike)
    assert (strike.state, strike.slashable, strike.confirmed_by) == ("confirmed", True, stranger.address)


@pytest.mark.parametrize("lie", [False, True])
def test_golden_cells_test_the_auditor(world: World, lie: bool) -> None:
    """An audit whose right answer a trusted worker gave before looks like any other; who gets it wrong is out."""
    world.audit_settings(strangers="needed", recheck_share=0.0, golden_share=1.0)
    world.job(tiles=2, count=20)
    worker, trusted = world.worker(), world.worker(world.trusted)
    deliver(world, worker)
    answer(world, trusted)
    world.audit_settings(strangers="always")
    stranger = world.worker(audits=True)
    deliver(world, worker)
    real = answer(world, stranger)
    [golden] = rows(world, Work, purpose="golden")
    assert golden.for_node == stranger.address and set(golden.payload) == {"tile", "cells"}
    test = answer(world, stranger, lie=lie)
    assert test.model_fields_set == real.model_fields_set and test.kind == real.kind
    assert len(rows(world, Receipt)) == 2  # whatever comes of it, nobody's pay hangs on it
    strikes = rows(world, Strike)
    if lie:
        [strike] = strikes
        assert (strike.kind, strike.state, strike.node) == ("golden", "confirmed", stranger.address)
        assert strike.evidence["wrong"] == strike.evidence["cells"] and strike.evidence["signature"]
        assert node_of(world, stranger).barred and node_of(world, stranger).suspended
    else:
        assert strikes == [] and node_of(world, stranger).barred is None


def test_an_auditor_that_does_not_come_is_replaced(world: World, clock: Any) -> None:
    """After the patience another stranger is drawn; a trusted worker's long queue is helped out."""
    world.job(tiles=1, count=20)
    world.worker(world.trusted)
    author, one, two = (world.worker(cls=OTHER_CLASS, audits=True) for _ in range(3))
    deliver(world, author, cls=OTHER_CLASS)
    [audit] = rows(world, Work, kind="audit")
    drawn = audit.for_node
    assert drawn in (one.address, two.address) and redraw(world.db, world.settings) == 0
    clock.now += 61
    for person in (author, one, two):
        world.worker(person, cls=OTHER_CLASS, audits=True)
    assert redraw(world.db, world.settings) == 1
    [audit] = rows(world, Work, kind="audit")
    assert {drawn, audit.for_node} == {one.address, two.address} and drawn in audit.excluded
    answer(world, one if audit.for_node == one.address else two, OTHER_CLASS)
    assert len(rows(world, Receipt)) == 1


def test_strangers_help_where_trusted_workers_do_not_come_to_it(world: World, clock: Any) -> None:
    world.job(tiles=1, count=20)
    author, stranger = world.worker(), world.worker(audits=True)
    world.worker(world.trusted)
    deliver(world, author)
    [audit] = rows(world, Work, kind="audit")
    assert audit.for_node is None and audit.trusted
    clock.now += 61
    world.worker(stranger, audits=True)
    assert redraw(world.db, world.settings) == 1
    [audit] = rows(world, Work, kind="audit")
    assert audit.for_node == stranger.address


def test_what_nobody_came_to_confirm_stands_alone(world: World) -> None:
    """When the job is over an open strike is decided: it counts, and is never slashed for."""
    job = world.job(tiles=1, count=20)
    cheat, one, _ = world.worker(), world.worker(world.trusted), world.second_trusted()
    deliver(world, cheat, b"wrong")
    answer(world, one)
    assert unconfirmed(world.db) == 0
    with world.db.begin() as session:
        from coordinator.store.models import Job

        session.get_one(Job, job).state = "done"
    assert unconfirmed(world.db) == 1
    [strike] = rows(world, Strike)
    assert (strike.state, strike.counted, strike.slashable) == ("alone", True, False)


def test_a_tolerant_refusal_withholds_and_is_never_slashed_for(world: World) -> None:
    """Across classes nobody is asked to confirm: a threshold is no proof of intent."""
    world.calibrate()
    world.job(tiles=1, count=20)
    cheat, auditor = world.worker(), world.worker(world.trusted, cls=OTHER_CLASS)
    deliver(world, cheat, b"wrong")
    answer(world, auditor, OTHER_CLASS)
    [strike] = rows(world, Strike)
    assert (strike.lane, strike.state, strike.counted, strike.slashable) == ("tolerant", "alone", True, False)
    assert rows(world, Receipt) == [] and len(rows(world, Work, kind="audit")) == 1


def test_signed_contradictions_are_kept_and_what_is_only_broken_is_not_one(world: World) -> None:
    """Two roots for a token suspend at once; delivered bytes that do not have the signed root are kept as such; garbage
    is refused and nothing more."""
    world.job(tiles=3, count=20)
    world.worker(world.trusted)
    double, mismatch, garbage = world.worker(), world.worker(), world.worker()
    for person, blob in ((mismatch, zstandard.compress(bytes(1600))), (garbage, b"not zstd")):
        offer = world.claim(person)
        assert offer is not None and isinstance(offer.tile, InferTile)
        root = commit_tile(offer.id, CONTRACT, offer.tile, true_bytes(offer.tile)).root
        world.commit(person, offer, root, 20)
        world.complete(person, offer, blob)
        draw(world.db, world.settings, offer.id)
    offer = world.claim(double)
    assert offer is not None
    world.commit(double, offer, bytes(32), 20)
    with pytest.raises(Conflict, match="final"):
        world.commit(double, offer, bytes([1]) * 32, 20)
    about = {s.node: s for s in rows(world, Strike)}
    one, two, three = about[double.address], about[mismatch.address], about[garbage.address]
    assert (one.kind, one.slashable, two.kind, two.slashable) == ("two_commitments", True, "upload_mismatch", True)
    assert (three.kind, three.slashable) == ("malformed", False)
    assert one.evidence["first"]["signature"] != one.evidence["second"]["signature"]
    assert two.evidence["signature"] and two.evidence["root"] in two.reason
    assert "two commitments" in str(node_of(world, double).suspended)
    assert node_of(world, mismatch).suspended is None
