"""Micro-batches side by side: all are done once, one that fails ends it, and the memory has the last word."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.runners.onnx.streams import MOST_STREAMS, anonymous_bytes, each, streams_of, streams_within

GB = 10**9


@given(st.integers(1, 512))
def test_hardly_a_thread_is_left_without_work(threads: int) -> None:
    """However many there are, at least 85% of them have some, in as many streams as that allows."""
    streams = streams_of(threads)
    assert 1 <= streams <= min(MOST_STREAMS, threads)
    assert threads // streams * streams >= 0.85 * threads
    assert all(threads // more * more < 0.85 * threads for more in range(streams + 1, MOST_STREAMS + 1))


@pytest.mark.parametrize(("threads", "streams"), [(1, 1), (2, 2), (4, 4), (5, 1), (6, 3), (64, 4)])
def test_streams_of_machines_that_there_are(threads: int, streams: int) -> None:
    assert streams_of(threads) == streams


@pytest.mark.parametrize(
    ("used", "growth", "limit", "streams"),
    [
        (1 * GB, 1 * GB, 0, 4),
        (1 * GB, 0, 2 * GB, 4),
        (2 * GB, 1 * GB, 8 * GB, 4),
        (2 * GB, 2 * GB, 8 * GB, 3),
        (5 * GB, 4 * GB, 8 * GB, 1),
        (7 * GB, 1 * GB, 8 * GB, 1),
    ],
)
def test_what_fits(used: int, growth: int, limit: int, streams: int) -> None:
    """A stream needs as much again as the first; one always runs, since it has run."""
    assert streams_within(4, used=used, growth=growth, limit=limit) == streams


@given(st.integers(1, 6), st.lists(st.integers(), max_size=40))
def test_each_is_done_once(streams: int, values: list[int]) -> None:
    done: list[int] = []
    each(streams, done.append, values)
    assert sorted(done) == sorted(values)


def test_as_many_at_a_time_as_there_are_lanes() -> None:
    """A barrier for three is passed by three streams only."""
    together = threading.Barrier(3, timeout=20)
    each(3, lambda _: together.wait(), range(9))


def test_one_that_fails_ends_it() -> None:
    """Its error is raised, what is under way ends first, and nothing more is begun."""
    begun, ended = [], []

    def work(number: int) -> None:
        begun.append(number)
        if number == 2:
            raise ValueError("number 2")
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(ValueError, match="number 2"):
        each(2, work, range(1000))
    assert len(begun) <= 6 and sorted([*ended, 2]) == sorted(begun)


def test_memory_that_is_taken_is_seen() -> None:
    before = anonymous_bytes()
    held = bytearray(64 << 20)
    held[::4096] = b"x" * len(held[::4096])
    assert anonymous_bytes() - before > 50 << 20
