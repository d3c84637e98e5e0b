"""Who takes leases and lets them lapse gets no more of them that day, and sets no price."""

from __future__ import annotations

from typing import Any

from coordinator.leasing import reap
from coordinator.leasing.lapses import WINDOW_SECONDS, lapsing
from tests.coordinator.world import Person, World
from verification.policy import LAPSES_FORGIVEN


def lapse(world: World, clock: Any, node: Person, count: int) -> None:
    """Leases taken and never heard of again."""
    for _ in range(count):
        world.job(tiles=1)
        assert world.claim(node) is not None
        clock.now += 100
        assert reap(world.db, world.settings) == 1


def known(world: World, *nodes: Person) -> set[str]:
    with world.db.read() as session:
        return lapsing(session, [node.address for node in nodes], world.db.now())


def test_three_lapses_are_forgiven_and_the_fourth_ends_the_day(world: World, clock: Any) -> None:
    """Given four lapsed leases; then the node gets no tile, another one does, and a day later it does again."""
    node, other = world.worker(), world.worker()
    lapse(world, clock, node, LAPSES_FORGIVEN)
    assert known(world, node, other) == set()
    lapse(world, clock, node, 1)
    assert known(world, node, other) == {node.address}
    world.job(tiles=2)
    assert world.claim(node) is None and world.claim(other) is not None
    clock.now += WINDOW_SECONDS
    world.job(tiles=1)
    assert known(world, node) == set() and world.claim(node) is not None


def test_who_delivers_may_fail_now_and_then(world: World, clock: Any) -> None:
    """Four delivered tiles make up for one lapse more."""
    node = world.worker()
    world.worker(world.trusted)
    for _ in range(4):
        world.job(tiles=1)
        offer = world.claim(node)
        assert offer is not None
        world.do_tile(node, offer)
    lapse(world, clock, node, LAPSES_FORGIVEN + 1)
    assert known(world, node) == set()
    lapse(world, clock, node, 1)
    assert known(world, node) == {node.address}


def test_a_trusted_worker_is_not_looked_at(world: World, clock: Any) -> None:
    """The coordinator's own may be restarted as often as it takes."""
    trusted = world.worker(world.trusted)
    lapse(world, clock, trusted, LAPSES_FORGIVEN + 2)
    world.job(tiles=1)
    assert world.claim(trusted) is not None
