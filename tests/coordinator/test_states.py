"""The one door: only allowed moves, exactly one winner, an event for each change."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from coordinator.states import (
    JOB_MOVES,
    JOB_OPEN,
    LEASE_MOVES,
    WORK_MOVES,
    Stale,
    change_job,
    change_work,
    end_job,
    lock_job,
)  # fmt: skip
from coordinator.store.models import Event, Job, Lease, Work
from jobs.states import JOB_FINAL, JobState, LeaseState, WorkState
from tests.coordinator.world import World


@pytest.mark.parametrize(
    ("states", "moves"), [(JobState, JOB_MOVES), (WorkState, WORK_MOVES), (LeaseState, LEASE_MOVES)]
)
def test_every_state_has_its_moves(states: type, moves: dict) -> None:  # type: ignore[type-arg]
    """No state is missing from its table, and every state but the first can be reached."""
    assert set(moves) == set(states)
    reached = set(itertools.chain.from_iterable(moves.values()))
    assert set(states) - reached <= {JobState.ADMITTING, LeaseState.ACTIVE, WorkState.HELD}


def test_money_leaves_running_through_settling_only() -> None:
    """From the opened escrow on there is no way to an end but through settlement."""
    for state in JOB_OPEN:
        assert not JOB_MOVES[state] & JOB_FINAL
    assert all(not JOB_MOVES[state] for state in JOB_FINAL)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(path=st.lists(st.sampled_from(list(JobState)), max_size=6))
def test_the_door_lets_through_what_the_table_allows(world: World, path: list[JobState]) -> None:
    """Random walks over all states: an allowed move changes state, version and events by one; another changes
    nothing."""
    job_id = world.job(tiles=0, state="admitting")
    with world.db.begin() as session:
        job = session.get_one(Job, job_id)
        for to in path:
            before = (JobState(job.state), job.version)
            events = len(session.scalars(select(Event).where(Event.job_id == job_id)).all())
            if to in JOB_MOVES[before[0]]:
                change_job(session, job, to)
                assert (job.state, job.version) == (to, before[1] + 1)
                events += 1
            else:
                with pytest.raises(ValueError, match="does not go from"):
                    change_job(session, job, to)
                assert (job.state, job.version) == before
            assert len(session.scalars(select(Event).where(Event.job_id == job_id)).all()) == events


def test_of_many_who_move_a_row_one_wins(world: World) -> None:
    """Eight threads read the same tile and lease it: one succeeds, the others are told that they are stale."""
    world.job(tiles=1)
    with world.db.read() as session:
        seen = session.scalars(select(Work)).one()
        state, version = seen.state, seen.version

    def move(number: int) -> bool:
        try:
            with world.db.begin() as session:
                work = session.get_one(Work, seen.id)
                session.expunge(work)
                session.add(work)
                # What was read before: the row as it was when all of them looked.
                from sqlalchemy.orm.attributes import set_committed_value

                set_committed_value(work, "state", state)
                set_committed_value(work, "version", version)
                change_work(session, work, WorkState.LEASED, priority=number)
        except Stale:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(move, range(8)))
    assert outcomes.count(True) == 1
    with world.db.read() as session:
        work = session.get_one(Work, seen.id)
        assert (work.state, work.version, work.priority) == ("leased", 1, outcomes.index(True))


@pytest.mark.parametrize("state", list(JobState))
@pytest.mark.parametrize("outcome", [JobState.CANCELLED, JobState.FAILED])
def test_a_job_ends_from_wherever_it_is(world: World, state: JobState, outcome: JobState) -> None:
    """Before the escrow at once, after it through settling; while it is opened the wish is noted; nothing ends twice.
    No work stays open, no lease stays alive."""
    job_id = world.job(tiles=2)
    assert world.claim(world.worker()) is not None
    with world.db.begin() as session:
        session.connection().exec_driver_sql(f"UPDATE jobs SET state = '{state}' WHERE id = '{job_id}'")
    with world.db.begin() as session:
        settling = end_job(session, lock_job(session, job_id), outcome, world.db.now(), error="why")
    with world.db.read() as session:
        job = session.get_one(Job, job_id)
        works = {work.state for work in session.scalars(select(Work))}
        leases = {lease.state for lease in session.scalars(select(Lease))}
    if state in JOB_FINAL:
        assert (job.state, settling) == (state, False)
    elif state in JOB_OPEN | {JobState.SETTLING}:
        assert (job.state, settling) == (JobState.SETTLING, True)
    elif state is JobState.OPENING:
        assert (job.state, job.outcome, settling) == (JobState.OPENING, outcome, False)
    else:
        assert (job.state, settling) == (outcome, False)
    if state in (JobState.RUNNING, JobState.PAUSED, JobState.ADMITTING, JobState.QUOTED):
        assert works == {"cancelled"} and leases == {"released"}
        assert job.error == "why"
