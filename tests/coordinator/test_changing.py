"""What a client changes of a job while it runs: its place among the client's own, and the cap."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from coordinator import admission, views
from coordinator.errors import Conflict, NotFound, Unprocessable
from coordinator.store.models import Account, Job, Work
from jobs.contract import Lane
from jobs.states import WorkKind
from jobs.wire import ChangeJob, LeaseOffer, Quote
from tests.coordinator.world import Person, World


def _change(world: World, job: str, owner: Person | None = None, **changed: object) -> None:
    body = ChangeJob.model_validate(changed)
    address = (owner or world.owner).address
    admission.change(world.db, owner=address, job_id=job, body=body)


def _took(world: World, node: Person) -> str | None:
    offer = world.claim(node)
    return None if offer is None else offer.job


def _priced(world: World, job: str) -> int:
    """Units of one tile; the quote's cap is twice what all of them cost."""
    with world.db.begin() as session:
        row = session.get_one(Job, job)
        tiles = session.scalars(select(Work).where(Work.job_id == job, Work.kind == str(WorkKind.TILE))).all()
        each = 10**18
        for tile in tiles:
            tile.price = each
        count = len(tiles)
        quote = Quote(
            price_usd=f"{count}", price=each * count, cap_usd=f"{2 * count}", cap=2 * each * count, kiln_hours=1,
            usd_per_kiln_hour=0.2, expected_seconds=60, tiles=count, cells=6 * count, probes_per_tile=2,
            audit_share=0.02, lane=Lane.EXACT, proven="", expires_at=world.db.now() + 600,
        )  # fmt: skip
        row.quote, row.cap = quote.model_dump(mode="json"), 2 * each * count
    return each


def _give_away(world: World, job: str) -> None:
    """Another account's job from now on."""
    address = world.worker().address
    with world.db.begin() as session:
        session.add(Account(address=address, created_at=world.db.now()))
        session.flush()
        session.get_one(Job, job).owner = address


def test_priority_is_among_the_clients_own(world: World) -> None:
    """Raised, a job takes the place of an older one of the same account; a job of another account that stood between
    them keeps its own. Back at 0, the older goes first again."""
    old, between, new = world.job(tiles=4), world.job(tiles=4), world.job(tiles=4)
    _give_away(world, between)
    assert _took(world, world.worker()) == old
    _change(world, new, priority=5)
    assert _took(world, world.worker()) == new
    _change(world, new, priority=0)
    assert _took(world, world.worker()) == old
    _change(world, old, priority=-5)
    assert [_took(world, world.worker()) for _ in range(3)] == [new, new, new]
    # The raised one has nothing left, so nobody stands back for it.
    assert _took(world, world.worker()) == old


def test_a_raised_job_passes_no_stranger(world: World) -> None:
    """However high, a priority never goes before another account's older job."""
    strangers, own = world.job(tiles=1), world.job(tiles=1)
    _give_away(world, strangers)
    _change(world, own, priority=100)
    assert _took(world, world.worker()) == strangers


def test_nothing_is_begun_over_the_cap(world: World) -> None:
    """With a cap for two of three tiles, two are leased, the third waits and the job says for what; raised, it goes."""
    job = world.job(tiles=3)
    _priced(world, job)
    _change(world, job, cap_usd="2.5")
    nodes = [world.worker() for _ in range(3)]
    offers = [world.claim(node) for node in nodes]
    assert [offer is not None for offer in offers] == [True, True, False]
    for node, offer in zip(nodes[:2], offers[:2], strict=True):
        assert isinstance(offer, LeaseOffer)
        world.do_tile(node, offer)
    _change(world, job, cap_usd="3")
    assert _took(world, nodes[2]) == job


def test_a_job_at_its_cap_says_so(world: World) -> None:
    """Nobody is at it, and what it waits for is the client's own word; its view shows the cap."""
    job = world.job(tiles=3)
    _priced(world, job)
    _change(world, job, cap_usd="0.5")
    world.worker()
    with world.db.read() as session:
        shown = views.job_view(session, world.settings, session.get_one(Job, job), now=world.db.now())
    assert shown.lowered_cap_usd == "0.500000" and (shown.waiting_for or "").startswith("a higher cap")


def test_what_cannot_be_changed(world: World) -> None:
    """Above the escrow, of a stranger, or after its end: one line each, and nothing changed."""
    job, ended = world.job(tiles=1), world.job(tiles=1, state="done")
    _priced(world, job)
    with pytest.raises(Unprocessable, match="the escrow holds 2 USD and cannot be added to"):
        _change(world, job, cap_usd="2.01")
    with pytest.raises(NotFound):
        _change(world, job, world.worker(), priority=1)
    with pytest.raises(Conflict, match="only one that has not ended"):
        _change(world, ended, priority=1)
    _change(world, job, cap_usd="2")
    with world.db.read() as session:
        row = session.get_one(Job, job)
        assert (row.lowered_cap, row.priority) == (None, 0)
