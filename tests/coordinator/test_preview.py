"""A job that waits for its client's word: what is held back is leased by nobody, and a no costs what was rendered."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from coordinator import admission
from coordinator.errors import Conflict
from coordinator.planning import complete_frame
from coordinator.store.models import Event, Job, Work
from coordinator.views.eta import courses
from jobs.states import JobState, WorkState
from tests.coordinator.world import World


@pytest.fixture
def job(world: World) -> str:
    """Three tiles, of which the first is the preview."""
    made = world.job(tiles=3)
    with world.db.begin() as session:
        session.execute(update(Work).where(Work.index > 0).values(state=str(WorkState.HELD)))
    return made


def _states(world: World, job: str) -> tuple[str, list[str]]:
    with world.db.read() as session:
        works = session.scalars(select(Work.state).where(Work.job_id == job).order_by(Work.index)).all()
        return session.get_one(Job, job).state, list(works)


def _previewed(world: World, job: str) -> None:
    """The preview's tile passed."""
    with world.db.begin() as session:
        session.execute(update(Work).where(Work.index == 0).values(state=str(WorkState.DONE)))
    complete_frame(world.db, world.settings, job)


def test_what_is_held_back_is_leased_by_nobody(world: World, job: str) -> None:
    """Two nodes ask: one gets the preview's tile, the other nothing; no review before that tile has passed."""
    one, other = world.worker(), world.worker()
    assert world.claim(one) is not None and world.claim(other) is None
    complete_frame(world.db, world.settings, job)
    assert _states(world, job) == ("running", ["leased", "held", "held"])


def test_a_yes_lets_the_rest_go(world: World, job: str) -> None:
    """The preview done, the job waits and says for what, on the event stream too; approved, the rest is leased. Saying
    so again changes nothing."""
    _previewed(world, job)
    assert _states(world, job) == ("review", ["done", "held", "held"])
    with world.db.read() as session:
        told = session.scalars(select(Event.data).where(Event.job_id == job, Event.type == "job")).all()
        assert told[-1]["state"] == "review"
    node = world.worker()
    assert world.claim(node) is None
    for _ in range(2):
        admission.approve(world.db, world.settings, owner=world.owner.address, job_id=job)
        assert _states(world, job) == ("running", ["done", "pending", "pending"])
    assert world.claim(node) is not None
    with pytest.raises(Conflict, match="no preview to reject"):
        admission.reject(world.db, world.settings, owner=world.owner.address, job_id=job)


def test_a_no_ends_it(world: World, job: str) -> None:
    """Rejected, the job settles for what passed; what was held back is cancelled. Again, nothing changes."""
    _previewed(world, job)
    for _ in range(2):
        admission.reject(world.db, world.settings, owner=world.owner.address, job_id=job)
        assert _states(world, job) == ("settling", ["done", "cancelled", "cancelled"])
    with world.db.read() as session:
        row = session.get_one(Job, job)
        assert (row.outcome, row.error_code) == ("cancelled", "preview_rejected")
    with pytest.raises(Conflict, match="only a running job's preview"):
        admission.approve(world.db, world.settings, owner=world.owner.address, job_id=job)


def test_nobody_answers(world: World, job: str) -> None:
    """A job in review cannot be paused, can be cancelled, and ends at its deadline like any other."""
    _previewed(world, job)
    with pytest.raises(Conflict):
        admission.pause(world.db, world.settings, owner=world.owner.address, job_id=job)
    with world.db.begin() as session:
        session.execute(update(Job).values(deadline=world.db.now() - 1))
    assert admission.deadlines(world.db, world.settings) == 1
    with world.db.read() as session:
        row = session.get_one(Job, job)
        assert (row.state, row.outcome, row.error_code) == (JobState.SETTLING, "failed", "no_word")
        assert "preview" in (row.error or "")


@pytest.mark.parametrize(("frames", "left"), [([1], 0), ([1, 2, 3, 4, 5], 3)])
def test_what_is_left_until_the_preview(world: World, job: str, frames: list[int], left: int) -> None:
    """An animation's preview ends with the frames it shows, every second here; a still's with its tiles."""
    with world.db.begin() as session:
        row = session.get_one(Job, job)
        row.frames, row.spec = frames, row.spec | {"preview_every": 2}
        session.flush()
        course = courses(session, [row], world.db.now())[job]
        assert (course.frames, course.waiting) == (left, 1)


def test_paused_before_its_preview_is_done(world: World, job: str) -> None:
    """The preview that is finished meanwhile is reviewed once the job goes on."""
    admission.pause(world.db, world.settings, owner=world.owner.address, job_id=job)
    _previewed(world, job)
    assert _states(world, job)[0] == "paused"
    admission.resume(world.db, world.settings, owner=world.owner.address, job_id=job)
    complete_frame(world.db, world.settings, job)
    assert _states(world, job)[0] == "review"
