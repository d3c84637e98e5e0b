"""How far a render is, from what Cycles says and from what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from node.runners.blender import protocol


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    monkeypatch.setattr(protocol, "send", messages.append)
    return messages


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(protocol.time, "perf_counter", lambda: now[0])
    return now


def _done(sent: list[dict[str, Any]]) -> float:
    return float(sent[-1]["done"])


def test_between_two_samples_told_of_it_goes_on_at_their_rate(sent: list[dict[str, Any]], clock: list[float]) -> None:
    """Cycles opens the scene for 5 s, takes one of 64 samples in 0.5 s and then says nothing for long."""
    work = protocol.Work(1)
    work.begin_render()
    clock[0] += 5
    work.status("Mem: 10M | Sample 0/64")
    clock[0] += 0.5
    work.status("Remaining: 00:31.50 | Mem: 14M | Sample 1/64")
    assert _done(sent) == pytest.approx(1 / 64, abs=1e-4)
    clock[0] += 15.5
    work.pass_time()
    assert _done(sent) == pytest.approx(32 / 64, abs=1e-4)
    clock[0] += 100
    work.pass_time()
    assert _done(sent) == pytest.approx(0.98), "not done before Cycles says so"
    work.status("Mem: 14M | Sample 64/64")
    clock[0] += 1
    work.status("Mem: 14M | Sample 64/64")
    assert _done(sent) == 1.0


def test_it_does_not_go_back_where_later_samples_are_slower(sent: list[dict[str, Any]], clock: list[float]) -> None:
    work = protocol.Work(1)
    work.begin_render()
    work.status("Sample 0/10")
    clock[0] += 1
    work.status("Sample 1/10")
    clock[0] += 5
    work.pass_time()
    assert _done(sent) == pytest.approx(0.6)
    clock[0] += 1
    work.status("Sample 3/10")
    assert _done(sent) == pytest.approx(0.6)
    clock[0] += 7
    work.pass_time()
    assert _done(sent) == pytest.approx(0.6), "3 in 7 s: 6 in 14 s"


def test_of_a_second_frame_nothing_is_known_from_the_first(sent: list[dict[str, Any]], clock: list[float]) -> None:
    """Two frames in one request: before the second's first sample there is nothing to go by but the first frame."""
    work = protocol.Work(1)
    work.step(0.0, 0.5)
    work.begin_render()
    work.status("Sample 0/4")
    clock[0] += 4
    work.status("Sample 4/4")
    work.status("Finished")
    work.step(0.5, 0.5)
    work.begin_render()
    clock[0] += 50
    work.pass_time()
    clock[0] += 50
    work.status("Sample 0/4")
    assert _done(sent) == pytest.approx(0.5)
    clock[0] += 4
    work.pass_time()
    assert _done(sent) == pytest.approx(0.5), "no sample told of: no rate"
