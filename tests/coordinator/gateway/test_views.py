"""Views: what is shown is what the rows say, for one job and for many alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event, update

from coordinator import views
from coordinator.judging import draw, judge
from coordinator.leasing import heartbeat
from coordinator.settlement.receipts import job_receipts, receipt_signer, receipt_tree
from coordinator.store.database import Database
from coordinator.store.models import Job, Node
from jobs.pricing import reward_units
from jobs.states import Verdict, WorkKind
from jobs.typed_data import receipt_message, recover
from jobs.wire import Heartbeat, JobView
from tests.coordinator.conftest import Clock
from tests.coordinator.world import CLASS, ITEM_BYTES, World
from verification.challenge import draw_cells, secret_hash
from verification.receipts import receipt_leaf, verify_receipt_path

QUOTE = {
    "price_usd": "1", "price": str(10**18), "cap_usd": "1.25", "cap": str(10**18), "kiln_hours": 5.0,
    "usd_per_kiln_hour": 0.2, "expected_seconds": 40.0, "tiles": 4, "cells": 24, "probes_per_tile": 8,
    "audit_share": 0.02, "lane": "exact", "proven": "every bit", "warnings": [], "expires_at": 2e9,
}  # fmt: skip


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    return World(db, tmp_path)


def _view(world: World, job_id: str) -> JobView:
    with world.db.read() as session:
        return views.job_view(session, world.settings, session.get_one(Job, job_id), now=world.db.now())


def _under_way(world: World, clock: Clock) -> tuple[str, list[str]]:
    """A job of four tiles: one accepted, one refused and free again, one half done, one not begun."""
    honest, cheat = world.worker(), world.worker()
    world.worker(world.trusted)
    job = world.job(4, quote=QUOTE)
    offer = world.claim(honest)
    assert offer is not None
    clock.now += 10
    world.do_tile(honest, offer)
    draw(world.db, world.settings, offer.id)
    audit = world.claim(world.trusted, WorkKind.AUDIT)
    assert audit is not None
    world.do_audit(world.trusted, audit)
    judge(world.db, world.settings, offer.id)
    faked = world.claim(cheat)
    assert faked is not None
    world.do_tile(cheat, faked, b"\1" * (6 * ITEM_BYTES))
    draw(world.db, world.settings, faked.id)
    audit = world.claim(world.trusted, WorkKind.AUDIT)
    assert audit is not None
    world.do_audit(world.trusted, audit)
    judge(world.db, world.settings, faked.id)
    running = world.claim(honest)
    assert running is not None
    heartbeat(
        world.db, world.settings, node=honest.address, lease_id=running.id,
        body=Heartbeat(token=running.token, progress=0.5),
    )  # fmt: skip
    return job, [honest.address, cheat.address]


def test_a_job_under_way(world: World, clock: Clock) -> None:
    """Tiles, progress, time left, refusals with their evidence, and rewards, out of a job that really went so far."""
    job, (honest, cheat) = _under_way(world, clock)
    shown = _view(world, job)
    assert (shown.tiles, shown.tiles_passed) == (4, 1)
    assert shown.progress == pytest.approx(1.5 / 4)
    # In 10 s two machines opened the model (1 s each) and did 10 + 10 + 5 s of work; one goes on with half a tile, and
    # two are free. What the other takes first is done 10 s of work later; audits take no time here, the rest is put
    # together in 0.3 s, and settled in 0.5 s.
    pace = (10 + 2) / (2 * 1 + 25 + 2)
    assert shown.eta_seconds == pytest.approx(pace * 15 + 0.3 + 0.5, abs=0.001)
    assert [(it.node, it.tile, it.attempt) for it in shown.rejections] == [(cheat, 1, 1)]
    assert shown.rejections[0].reason and shown.rejections[0].evidence
    assert [(it.node, it.amount) for it in shown.rewards] == [(honest, reward_units(10**17))]
    assert shown.cells_audited == 12 and shown.compute_seconds == 5.0
    assert shown.waiting_for is None
    assert JobView.model_validate_json(shown.model_dump_json()) == shown


def test_tiles(world: World, clock: Clock) -> None:
    """Each tile with the attempt that counts for it."""
    job, (honest, _) = _under_way(world, clock)
    with world.db.read() as session:
        tiles = views.tile_views(session, job)
        assert views.tile_views(session, job, offset=1, limit=2) == tiles[1:3]
    assert [tile.index for tile in tiles] == [0, 1, 2, 3]
    assert (tiles[0].state, tiles[0].node, tiles[0].verdict, tiles[0].progress) == ("done", honest, Verdict.ACCEPT, 1.0)
    # The tile that was refused is free again: the honest worker has it, or it has the next one.
    leased = [tile for tile in tiles if tile.state == "leased"]
    assert [(tile.node, tile.progress) for tile in leased] == [(honest, 0.5)]
    assert {tile.state for tile in tiles[1:]} == {"pending", "leased"}


def test_receipts_prove_themselves(world: World, clock: Clock) -> None:
    """From a receipt alone, a stranger checks signature, place under the root, and that the cells were drawn fairly."""
    job, _ = _under_way(world, clock)
    with world.db.read() as session:
        (open_receipt,) = views.receipt_views(session, session.get_one(Job, job))
    assert open_receipt.proof is None and open_receipt.secret is None
    with world.db.begin() as session:
        root = receipt_tree(job_receipts(session, job)).root
        session.execute(update(Job).where(Job.id == job).values(receipt_root="0x" + root.hex(), state="done"))
    with world.db.read() as session:
        row = session.get_one(Job, job)
        (receipt,) = views.receipt_views(session, row)
        signer, _ = receipt_signer(world.settings)
        bundle = views.bundle(session, row, world.domain, receipt_signer=signer)
    commitment = bytes.fromhex(receipt.commitment[2:])
    message = receipt_message(
        world.domain, job=job, tile=receipt.tile, attempt=receipt.attempt, node=receipt.node, commitment=commitment,
        price=receipt.price,
    )  # fmt: skip
    assert recover(message, receipt.signature) == signer
    leaf = receipt_leaf(message, bytes.fromhex(receipt.signature[2:]))
    assert receipt.leaf == "0x" + leaf.hex() and receipt.proof is not None
    proof = [bytes.fromhex(word[2:]) for word in receipt.proof]
    assert verify_receipt_path(leaf, receipt.price, proof, root, receipt.price)
    assert receipt.secret is not None
    secret = bytes.fromhex(receipt.secret[2:])
    assert "0x" + secret_hash(secret).hex() == receipt.secret_hash
    drawn = draw_cells(commitment, receipt.lease, secret, cells=6, probes=len(receipt.cells))
    assert tuple(drawn) == receipt.cells
    assert receipt.auditor == world.trusted.address and receipt.numerics_class == CLASS
    assert bundle["receipts"] == [receipt.model_dump(mode="json")] and bundle["receipt_root"] == row.receipt_root


def test_many_jobs_cost_no_more_queries(world: World, clock: Clock) -> None:
    """Ten finished jobs are shown with as many queries as one."""
    ids = [world.job(2, state="done", quote=QUOTE) for _ in range(10)]
    counted: list[int] = []

    def count(*_: object) -> None:
        counted.append(1)

    event.listen(world.db.engine, "before_cursor_execute", count)
    totals = []
    for chosen in (ids[:1], ids):
        with world.db.read() as session:
            rows = [session.get_one(Job, job) for job in chosen]
            counted.clear()
            shown = views.job_views(session, world.settings, rows, now=clock.now)
        totals.append(len(counted))
        assert [view.id for view in shown] == chosen and all(view.tiles == 2 for view in shown)
    assert totals[0] == totals[1]


def test_what_a_job_waits_for(world: World, clock: Clock) -> None:
    """The sentence names what is missing: your word, a node at all, one that is cheap enough."""
    assert "acceptance" in (_view(world, world.job(state="quoted", quote=QUOTE)).waiting_for or "")
    job = world.job(quote=QUOTE)
    assert "onnxruntime-1.31.1" in (_view(world, job).waiting_for or "")
    world.worker(ask=5.0)
    assert "0.2 USD" in (_view(world, job).waiting_for or "")
    node = world.worker()
    assert _view(world, job).waiting_for is None
    with world.db.read() as session:
        assert views.nodes_online(session, now=clock.now) == 2
        clock.now += views.ONLINE_SECONDS + 1
        assert views.nodes_online(session, now=clock.now) == 0
    assert "onnxruntime-1.31.1" in (_view(world, job).waiting_for or "")
    del node


def test_nodes(world: World, clock: Clock) -> None:
    """What a worker did and earned."""
    _, addresses = _under_way(world, clock)
    with world.db.read() as session:
        honest, cheat = views.node_views(
            session, [session.get_one(Node, address) for address in addresses], now=clock.now
        )
    assert (honest.tiles_accepted, honest.tiles_rejected, honest.earned) == (1, 0, reward_units(10**17))
    assert (cheat.tiles_accepted, cheat.tiles_rejected, cheat.earned) == (0, 1, 0)
    assert honest.online and not honest.trusted
