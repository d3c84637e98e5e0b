"""The auction on real rows: who fits gets tiles, the best of the idle first; who does not never does, and is named."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from coordinator.admission import deadlines
from coordinator.errors import Unprocessable
from coordinator.leasing import Panel, waiting_for
from coordinator.leasing.awarding import AWARD_SECONDS
from coordinator.store.models import Job, Node, Work
from jobs.spec import RenderSpec
from jobs.states import WorkKind
from jobs.typed_data import Domain, node_owner_message, sign
from jobs.wire import Quote
from tests.coordinator.test_admission import BLENDER, quoted
from tests.coordinator.world import CLASS, OTHER_CLASS, Person, World

GIB = 1 << 30
NEEDS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"regions": ["eu"]}, {"region": "eu-de"}, "in region eu"),
    ({"not_regions": ["us"]}, {"region": "eu"}, "outside us"),
    ({"devices": ["GPU"]}, {"device": "CUDA"}, "device of kind GPU"),
    ({"min_memory_gb": 16}, {"memory_bytes": 16 * GIB}, "16 GiB of memory"),
    ({"min_vram_gb": 24}, {"vram_bytes": 24 * GIB}, "24 GiB of device memory"),
]


def said(world: World, job: str) -> str | None:
    now = world.db.now()
    with world.db.read() as session:
        return waiting_for(session, Panel(session, world.settings, now), session.get_one(Job, job), now)


@pytest.mark.parametrize(("needs", "having", "words"), NEEDS)
def test_who_does_not_fit_gets_no_tile_and_is_named(
    world: World, needs: dict[str, Any], having: dict[str, Any], words: str
) -> None:
    """Neither a free tile nor a straggler's; the job says which constraint nobody meets, until somebody does."""
    job = world.job(needs=needs)
    outsider = world.worker(region="us-east")
    assert world.claim(outsider) is None
    assert words in str(said(world, job)) and "1 is online, none such" in str(said(world, job))
    assert "refund" in str(said(world, job))
    assert world.claim(world.worker(**having)) is not None
    assert said(world, job) is None
    assert world.claim(outsider) is None


def test_a_straggler_is_not_helped_by_who_does_not_fit(world: World, clock: Any) -> None:
    job = world.job(tiles=1, needs={"min_memory_gb": 16})
    slow = world.worker(memory_bytes=32 * GIB)
    offer = world.claim(slow)
    assert offer is not None
    for _ in range(20):
        clock.now += 10
        world.beat(slow, offer)
    assert world.claim(world.worker(memory_bytes=8 * GIB)) is None
    assert world.claim(world.worker(memory_bytes=16 * GIB)) is not None
    assert said(world, job) is None


def test_a_reputation_is_earned(world: World) -> None:
    """A new node stands at 0.5; 18 tiles without a refusal are 0.95."""
    job = world.job(needs={"min_reputation": 0.95})
    worker = world.worker()
    assert world.claim(worker) is None and "of reputation 0.95 or better" in str(said(world, job))
    for passed, refused, fits in ((17, 0, False), (18, 1, False), (18, 0, True)):
        with world.db.begin() as session:
            session.execute(
                update(Node).where(Node.address == worker.address).values(accepted=passed, rejected=refused)
            )
        assert (world.claim(worker) is not None) is fits


def test_an_owner_is_proven_by_his_own_signature(world: World) -> None:
    """Trusted owners only: a claim is not enough, nor another's signature, nor one for another node or deployment."""
    owner, node = Person(), Person()
    job = world.job(tiles=3, needs={"owners": [owner.address]})
    assert world.claim(world.worker(owner=owner.address)) is None
    assert "of the owner that the job trusts" in str(said(world, job))
    elsewhere = Domain(chain_id=1, escrow=world.domain["escrow"])
    wrong = [
        sign(node_owner_message(world.domain, node=node.address, owner=owner.address), Person().key),
        sign(node_owner_message(world.domain, node=Person().address, owner=owner.address), owner.key),
        sign(node_owner_message(elsewhere, node=node.address, owner=owner.address), owner.key),
        "0x" + "00" * 65,
    ]
    for signature in wrong:
        with pytest.raises(Unprocessable) as refused:
            world.worker(node, owner=owner.address, owner_signature=signature)
        assert refused.value.code == "bad_signature" and "not signed by" in str(refused.value)
    with pytest.raises(Unprocessable, match="names no owner"):
        world.worker(node, owner_signature=wrong[0])
    assert world.claim(world.worker(node, owner=owner)) is not None
    world.worker(node, owner=owner.address)  # registered again without it: a claim again
    assert world.claim(node) is None


def test_a_class_that_nobody_can_judge_is_named(world: World) -> None:
    """It fits, and still gets nothing: the job says so."""
    world.audit_settings(strangers="never")
    world.worker(world.trusted)
    job = world.job()
    world.worker(cls=OTHER_CLASS)
    assert "can judge" in str(said(world, job)) and "never calibrated" in str(said(world, job))


def test_it_gives_up_at_the_deadline_by_the_name_of_the_constraint(world: World, clock: Any) -> None:
    job = world.job(needs={"regions": ["eu"]})
    clock.now += 3601
    world.worker(region="us")
    assert deadlines(world.db, world.settings) == 1
    with world.db.read() as session:
        row = session.get_one(Job, job)
        assert (row.state, row.outcome, row.error_code) == ("settling", "failed", "no_nodes")
        assert "waiting for a node in region eu" in str(row.error) and "refunded" in str(row.error)


def fresh(world: World, tiles: int) -> str:
    """A job whose tiles became free this moment."""
    job = world.job(tiles=tiles)
    with world.db.begin() as session:
        session.execute(update(Work).where(Work.job_id == job).values(created_at=world.db.now()))
    return job


@pytest.mark.parametrize("better", [{"ask": 0.05}, {"score": 2.0}])
def test_the_best_of_the_idle_is_served_first(world: World, clock: Any, better: dict[str, Any]) -> None:
    """One tile, two that wait: the cheaper (or faster) gets it, though the other asked first. Who was awarded it and
    does not come has it no longer than AWARD_SECONDS; where there are tiles for both, both get one at once."""
    worse, best = world.worker(), world.worker(**better)
    fresh(world, 1)
    assert world.claim(worse) is None
    assert world.claim(best) is not None
    fresh(world, 1)
    assert world.claim(worse) is not None, "the better one is busy"
    fresh(world, 2)
    third = world.worker()
    fourth = world.worker(**better)
    assert world.claim(third) is not None, "a tile is left for the other"
    clock.now += AWARD_SECONDS
    world.worker(fourth, **better)
    assert world.claim(world.worker()) is not None, "nobody is waited for any longer"


def test_a_bad_reputation_is_served_last_whatever_it_asks(world: World) -> None:
    bad, good = world.worker(ask=0.001, score=50.0), world.worker(ask=0.2)
    with world.db.begin() as session:
        session.execute(update(Node).where(Node.address == bad.address).values(accepted=5, rejected=1))
    fresh(world, 1)
    assert world.claim(bad) is None
    assert world.claim(good) is not None


@pytest.mark.parametrize("why", ["dear", "unfit", "excluded", "quiet"])
def test_nobody_is_waited_for_who_could_not_have_it(world: World, clock: Any, why: str) -> None:
    """Too dear, without the device, failed at the tile before, or not heard of lately."""
    worse = world.worker()
    best = world.worker(ask=0.3 if why == "dear" else 0.05, memory_bytes=GIB if why == "unfit" else 8 * GIB)
    job = fresh(world, 1)
    with world.db.begin() as session:
        if why == "unfit":
            row = session.get_one(Job, job)
            row.spec = {**row.spec, "min_memory_gb": 2}
        if why == "excluded":
            session.execute(update(Work).where(Work.job_id == job).values(excluded=[best.address]))
    if why == "quiet":
        clock.now += 30
        world.worker(worse)
        with world.db.begin() as session:
            session.execute(update(Work).where(Work.job_id == job).values(created_at=world.db.now()))
    assert world.claim(worse) is not None


def test_the_quote_shows_how_its_price_came_about(world: World) -> None:
    """Fitting, served, clearing ask, who was left out by which constraint, in the order of service."""
    for ask, region, device in (
        (0.1, "eu", "CPU"), (0.15, "eu-de", "CPU"), (0.2, "us", "CPU"), (0.2, "", "CPU"), (0.2, "eu", "OPTIX"),
    ):  # fmt: skip
        world.worker(ask=ask, cls=BLENDER, region=region, device=device)
    world.worker(cls=CLASS, region="eu")  # has no Blender
    job = quoted(world, RenderSpec(regions=("eu",), devices=("CPU",)))
    auction = Quote.model_validate(job.quote).auction
    assert auction is not None
    assert (auction.fitting, auction.served, auction.clearing_ask) == (2, 2, 0.15)
    assert auction.excluded == {"runtime": 1, "region": 2, "device": 1}
    assert [ask.ask for ask in auction.asks] == [0.1, 0.15] and not auction.limited_by_cap
    assert job.quote is not None
    half = float(job.quote["price_usd"]) * 0.7
    capped = quoted(world, RenderSpec(regions=("eu",), devices=("CPU",), max_price_usd=half), "with-a-cap")
    auction = Quote.model_validate(capped.quote).auction
    assert auction is not None and (auction.served, auction.clearing_ask, auction.limited_by_cap) == (1, 0.1, True)
    assert [ask.served for ask in auction.asks] == [True, False]
    assert world.claim(world.worker(ask=0.2, cls=BLENDER, region="eu"), WorkKind.TILE, cls=BLENDER) is None


def test_new_addresses_cannot_bid_a_price_down(world: World) -> None:
    """Ten that ask nearly nothing, and would be refused: the price stays one at which who is proven works, and they
    are paid it too."""
    honest = world.worker(ask=0.1, cls=BLENDER)
    with world.db.begin() as session:
        session.execute(update(Node).where(Node.address == honest.address).values(accepted=1))
    for _ in range(10):
        world.worker(ask=0.001, cls=BLENDER)
    auction = Quote.model_validate(quoted(world).quote).auction
    assert auction is not None
    assert (auction.fitting, auction.served, auction.clearing_ask) == (11, 11, 0.1)


def test_a_quote_that_nobody_fits_names_the_constraint(world: World) -> None:
    world.worker(cls=BLENDER, region="us")
    job = quoted(world, RenderSpec(regions=("eu",)))
    assert job.quote is not None
    [line] = [line for line in job.quote["warnings"] if "Nobody online fits" in line]
    assert "a node in region eu: 1 is online, none such" in line
    assert job.quote["auction"]["excluded"] == {"region": 1}
