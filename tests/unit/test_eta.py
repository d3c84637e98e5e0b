"""The time left, by hand: what is left laid out on the machines that are there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli.display import TransferPace
from coordinator.views.eta import Course, Running, seconds_left

_END = 0.5
"""Of settling, on a local chain."""


def test_nobody_at_it_nothing_said() -> None:
    """Before a machine has begun no time is made up; then its benchmark counts: half of a machine of score 1."""
    course = Course(waiting=4, waiting_work=40, assemble=0.0)
    assert seconds_left(course) is None
    course.waiting, course.waiting_work, course.running = 3, 30, [Running(10.0)]
    course.machines, course.score = 1, 0.5
    assert seconds_left(course) == pytest.approx(80 + _END)


def test_a_machine_slower_than_its_benchmark() -> None:
    """30 s of work took 60 s: what waits takes twice as long too, on two machines, each of which has half a tile left;
    the last audit and the last frame come after."""
    course = Course(
        running=[Running(5.0), Running(5.0)], waiting=4, waiting_work=40.0, spent=998.0, achieved=498.0, machines=2,
        audit=3.0, assemble=4.0,
    )  # fmt: skip
    # Each machine: half a tile and two tiles, 25 s of work, at a pace of (998 + 2) / (498 + 2).
    assert seconds_left(course) == pytest.approx(25 * 2 + 3 + 4 + _END)


def test_whole_tiles_are_not_shared() -> None:
    """Three tiles on two machines take as long as two, not one and a half."""
    course = Course(
        waiting=3, waiting_work=30.0, spent=100.0, achieved=100.0, machines=2, audit=0.0, assemble=0.0, frames=0
    )
    assert seconds_left(course) == pytest.approx(20 + _END)


def test_what_a_machine_said_a_while_ago_has_gone_on() -> None:
    """8 s of work were left 5 s ago; of what should be done by now nothing is left."""
    course = Course(running=[Running(8.0, 5.0)], spent=100.0, achieved=100.0, machines=1, audit=0.0, assemble=0.0)
    assert seconds_left(course) == pytest.approx(3 + _END)
    course.running = [Running(8.0, 60.0)]
    assert seconds_left(course) == pytest.approx(_END)


def test_audits_may_be_what_all_wait_for() -> None:
    """Six tiles to be judged by one auditor at 4 s each, one of them for 3 s already, though they are rendered within
    10 s; four auditors are done before the last tile is."""
    course = Course(
        waiting=4, waiting_work=20.0, checking=2, spent=100.0, achieved=100.0, machines=2, audit=4.0, auditing=3.0,
        assemble=0.0, frames=0,
    )  # fmt: skip
    assert seconds_left(course) == pytest.approx(21 + _END)
    course.auditors = 4
    assert seconds_left(course) == pytest.approx(10 + 4 + _END)


def test_frames_that_wait_to_be_put_together_count() -> None:
    """With all tiles judged, what is left is to put five frames together, one after another."""
    course = Course(spent=100.0, achieved=100.0, machines=2, audit=3.0, assemble=4.0, frames=5)
    assert seconds_left(course) == pytest.approx(5 * 4 + _END)


def test_a_transfer_says_what_is_left_of_it() -> None:
    """Nothing in the first second, then by its own pace; what was sent on another day does not count as fast."""
    now = 0.0
    pace = TransferPace(lambda: now)
    assert pace.left("upload", 40, 100) is None
    now = 2.0
    assert pace.left("upload", 60, 100) == pytest.approx(4.0)
    assert pace.left("download", 10, 20) is None
    now = 4.0
    assert pace.left("download", 15, 20) == pytest.approx(2.0)
    assert pace.left("download", 20, 20) is None


@given(
    running=st.lists(st.floats(0, 100), max_size=8),
    waiting=st.integers(0, 3000),
    work=st.floats(0.01, 50),
    machines=st.integers(1, 20),
    spent=st.floats(0.1, 1e5),
    achieved=st.floats(0.1, 1e5),
)
def test_between_the_bounds_of_any_schedule(
    running: list[float], waiting: int, work: float, machines: int, spent: float, achieved: float
) -> None:
    """Never shorter than the work shared out evenly or than the longest tile, never longer than all of it on one
    machine."""
    course = Course(
        running=[Running(work) for work in running], waiting=waiting, waiting_work=waiting * work, spent=spent,
        achieved=achieved, machines=machines, audit=0.0, assemble=0.0, frames=0,
    )  # fmt: skip
    pace = (spent + 2) / (achieved + 2)
    total = (sum(running) + waiting * work) * pace
    left = seconds_left(course)
    assert left is not None
    at_once = max(machines, len(running))
    assert left >= max(total / at_once, max(running, default=0.0) * pace) + _END - 1e-6 * (1 + total)
    assert left <= total + _END + 1e-6 * (1 + total)
