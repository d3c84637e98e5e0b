"""Stake as rows: who is offered what, whose asks count, and what a quote needs to know of the price."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import select, update

from coordinator.admission import admit
from coordinator.errors import Conflict
from coordinator.leasing import Panel, waiting_for
from coordinator.store.models import Award, Job, Node, Operator, Setting
from jobs.states import JobState
from tests.coordinator.test_admission import create, described, job_of, rendered
from tests.coordinator.world import Person, World

KILN = 10**18
NEEDED = 50 * KILN


@pytest.fixture
def staked(world: World) -> Iterator[World]:
    """A deployment with registry and oracle, whose price was reported just now."""
    kept = world.settings.chain.addresses_file
    where = kept.with_name("whole-deployment.json")
    more = {name: Person().address for name in ("registry", "disputes", "oracle")}
    where.write_text(json.dumps({**json.loads(kept.read_text()), **more}))
    chain = world.settings.chain.model_copy(update={"addresses_file": where})
    world.settings = world.settings.model_copy(update={"chain": chain})
    price(world, age=0)
    yield world


def price(world: World, *, age: float) -> None:
    now = world.db.now()
    value = {"usd_per_kiln": str(KILN // 10), "reported_at": now - age, "max_age": 3600, "looked_at": now}
    with world.db.begin() as session:
        session.merge(Setting(name="price", value=value))


def stake(world: World, person: Person, units: int, *, answered: bool = True) -> None:
    """As it was looked up on chain."""
    with world.db.begin() as session:
        session.merge(Operator(address=person.address, registered=True, staked=units, looked_at=world.db.now()))
        operator = person.address if answered else None
        session.execute(update(Node).where(Node.address == person.address).values(operator=operator))


def test_only_who_has_stake_is_offered_tiles_and_is_told_why_not(staked: World) -> None:
    """Each step of the way has its own line, which names the command that mends it."""
    world, person = staked, staked.worker()
    world.job()
    assert world.claim(person) is None, "not looked up yet: its call is held"
    lines = []
    for units, answered in ((0, False), (NEEDED - 1, True)):
        stake(world, person, units, answered=answered)
        with pytest.raises(Conflict) as refused:
            world.claim(person)
        assert refused.value.code == "stake_needed" and "kilnet node register" in str(refused.value)
        lines.append(str(refused.value))
    assert "nobody answers" in lines[0] and "need" in lines[1]
    stake(world, person, NEEDED)
    offer = world.claim(person)
    assert offer is not None
    with world.db.read() as session:
        locked = session.scalars(select(Award)).one()
    assert (locked.job_id, locked.operator, locked.state) == (offer.job, person.address, "wanted")
    assert locked.stake == NEEDED // 16


def test_stake_that_is_locked_covers_no_other_job(staked: World) -> None:
    """Sixteen open jobs use one node's stake up; it goes on with these, and takes another when one of them is over."""
    world, person = staked, staked.worker()
    stake(world, person, NEEDED)
    jobs = [world.job(tiles=2) for _ in range(17)]
    taken = [offer.job for _ in range(40) if (offer := world.claim(person)) is not None]
    assert len(set(taken)) == 16 and len(taken) == 32, "both tiles of sixteen jobs"
    (left,) = set(jobs) - set(taken)
    with world.db.begin() as session:
        session.execute(update(Award).where(Award.job_id == jobs[0]).values(state="released"))
    offer = world.claim(person)
    assert offer is not None and offer.job == left


def test_a_job_whose_lock_was_refused_is_shut(staked: World) -> None:
    world, person = staked, staked.worker()
    stake(world, person, NEEDED)
    first, second = world.job(), world.job()
    offer = world.claim(person)
    assert offer is not None
    with world.db.begin() as session:
        session.execute(update(Award).where(Award.job_id == offer.job).values(state="refused"))
    other = world.claim(person)
    assert other is not None and {offer.job, other.job} == {first, second}
    with world.db.begin() as session:
        session.execute(update(Award).where(Award.job_id == other.job).values(state="refused"))
    assert world.claim(person) is None
    with world.db.begin() as session:
        session.execute(update(Operator).values(looked_at=world.db.now() + 31))
    assert world.claim(person) is not None, "looked up since: the stake is there after all"


def test_who_has_no_stake_sets_no_price_and_is_not_waited_for(staked: World) -> None:
    world, poor, rich = staked, staked.worker(ask=0.01), staked.worker()
    stake(world, poor, 0)
    stake(world, rich, NEEDED)
    with world.db.read() as session:
        assert Panel(session, world.settings, world.db.now()).unbacked == {poor.address}
    with world.db.begin() as session:
        session.execute(update(Node).where(Node.address == rich.address).values(last_seen=0))
    job = world.job()
    with world.db.read() as session:
        panel = Panel(session, world.settings, world.db.now())
        said = waiting_for(session, panel, session.get_one(Job, job), world.db.now())
    assert said is not None and "too little at stake" in said


def test_nodes_without_stake_are_admitted_where_the_operator_says_so(staked: World) -> None:
    world, person = staked, staked.worker()
    free = world.settings.stake.model_copy(update={"required": False})
    world.settings = world.settings.model_copy(update={"stake": free})
    world.job()
    assert world.claim(person) is not None


def test_a_stale_price_makes_no_quote_and_an_unknown_one_waits(staked: World) -> None:
    """Stale: the job ends with one line and nothing charged. Unknown: it goes on when the chain has answered."""
    world = staked
    stale = create(world)
    described(world, stale)
    price(world, age=7200)
    rendered(world, stale)
    found = job_of(world, stale)
    assert (found.state, found.error_code) == (JobState.FAILED, "price_stale")
    assert "nothing was charged" in (found.error or "") and "\n" not in (found.error or "\n")
    with world.db.begin() as session:
        session.delete(session.get_one(Setting, "price"))
    waits = create(world, key="another-job-key")
    described(world, waits)
    rendered(world, waits)
    assert job_of(world, waits).state == JobState.ADMITTING
    price(world, age=0)
    admit(world.db, world.settings, waits)
    assert job_of(world, waits).state == JobState.QUOTED
