"""Whole frames and looks in the coordinator: the lane of each pair of classes, and what its refusal leads to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard

from coordinator.admission.proving import lane_words, lanes_of, main_lane, proven
from coordinator.admission.quoting import wish_for_plan
from coordinator.judging import draw, judge
from coordinator.leasing.auditors import Panel
from coordinator.leasing.workers import online_workers
from coordinator.store.models import Job, Lease, Node, Receipt, Strike, Work
from jobs.contract import Lane, RenderContract
from jobs.planner import InferCost, RenderCost
from jobs.states import WorkKind
from jobs.tiles import RenderTile
from jobs.wire import LeaseOffer
from tests.coordinator.test_auditors import node_of, rows
from tests.coordinator.world import Person, World
from tests.unit.strategies import render_contract
from verification.commitment import cell_bytes, commit_cells
from verification.commitment import commit as commit_tile
from verification.policy import FLOOR, GOOD, TOLERANT_FLOOR, floor_for

AUDIT = WorkKind.AUDIT
A, B = "blender-5.2.3/CPU/aaaa", "blender-5.2.3/CPU/bbbb"
CHANNELS = ("L.Combined.A", "L.Combined.B", "L.Combined.G", "L.Combined.R")
W, H = 160, 96


def raster(kind: str) -> str:
    return f"blender-raster-5.2.3/OPENGL/{kind}"


def worker(world: World, cls: str, person: Person | None = None, **more: Any) -> Person:
    """As World.worker, for classes of the raster engines too."""
    if not cls.startswith("blender-raster"):
        return world.worker(person, cls=cls, **more)
    from coordinator.leasing import register
    from jobs.wire import RegisterNode, RuntimeClass

    person = person or Person()
    device = RuntimeClass(
        runtime="blender-raster", version="5.2.3", device="OPENGL", numerics_class=cls, score=1.0,
        repeats=more.pop("repeats", True),
    )  # fmt: skip
    body = RegisterNode(
        protocol=1, agent_version="1", sandboxed=True, runtimes=(device,), memory_bytes=1 << 33,
        ask_usd_per_kiln_hour=0.1, **more,
    )  # fmt: skip
    register(world.db, world.settings, address=person.address, body=body)
    return person


def frames_job(world: World, contract: RenderContract, frames: int = 1) -> str:
    """One tile of some whole frames."""
    job = world.job(
        tiles=0, kind="render", contract=contract.model_dump(mode="json"), frames=list(range(1, frames + 1)),
        spec={"kind": "render", "deadline_s": 3600}, cost={"per_pixel_sample_seconds": 1e-6},
    )  # fmt: skip
    tile = RenderTile(frames=tuple(range(1, frames + 1)), rect=(0, 0, W, H), samples=(0, 64))
    with world.db.begin() as session:
        world.add_work(
            session, job, WorkKind.TILE, 0, tile, runtime=f"{contract.class_runtime}-{contract.version}", trusted=False
        )
    return job


def picture(seed: int = 0, samples: int = 64, frames: int = 1) -> np.ndarray:
    """(frames, 4, H, W) float32: shapes under the noise of `samples` paths; without noise at 0 samples."""
    y, x = np.mgrid[0:H, 0:W]
    truth = 0.2 + 0.5 * x / W + 0.3 * ((x // 16 + y // 16) % 2)
    rng = np.random.default_rng(seed)
    shape = (frames, 4, H, W)
    noise = np.ones(shape) if samples == 0 else rng.gamma(samples / 8, 8 / samples, shape)
    return np.ascontiguousarray(truth * noise, "<f4")


def hand_in(world: World, node: Person, planes: np.ndarray, cls: str) -> LeaseOffer:
    offer = world.claim(node, cls=cls)
    assert offer is not None and isinstance(offer.tile, RenderTile) and offer.contract is not None
    data = planes.tobytes()
    tree = commit_tile(offer.id, offer.contract, offer.tile, data)
    world.commit(node, offer, tree.root, offer.tile.cell_count(), cls=cls)
    world.complete(node, offer, zstandard.compress(data))
    draw(world.db, world.settings, offer.id)
    return offer


def redo(world: World, auditor: Person, planes: np.ndarray, cls: str, lease: LeaseOffer) -> None:
    offer = world.claim(auditor, AUDIT, cls=cls)
    assert offer is not None and offer.audit is not None and isinstance(offer.contract, RenderContract)
    data = planes.tobytes()
    tile = offer.audit.tile
    cells = {index: cell_bytes(offer.contract, tile, data, index) for index in offer.audit.cells}
    world.commit(auditor, offer, commit_cells(offer.id, offer.contract, cells).root, len(cells), cls=cls)
    world.complete(auditor, offer, zstandard.compress(b"".join(cells[index] for index in sorted(cells))))
    judge(world.db, world.settings, lease.id)


def contract(**changes: Any) -> RenderContract:
    return render_contract(W, H, channels=CHANNELS, **changes)


EEVEE = {"engine": "BLENDER_EEVEE", "lane": Lane.WHOLE}
GUIDED = {"lane": Lane.WHOLE, "path_guiding": True}


def test_eevee_of_one_driver_is_compared_to_the_bit(world: World) -> None:
    """The graphics driver's class decides, not that of Cycles: one bit off is refused, and may be slashed for when
    confirmed."""
    frames_job(world, contract(**EEVEE))
    node, auditor = worker(world, raster("x")), worker(world, raster("x"), world.trusted)
    offer = hand_in(world, node, picture(samples=0), raster("x"))
    redo(world, auditor, picture(samples=0), raster("x"), offer)
    [receipt] = rows(world, Receipt)
    assert (receipt.lane, receipt.auditor) == ("whole", auditor.address)
    frames_job(world, contract(**EEVEE))
    spoiled = picture(samples=0)
    spoiled[0, 1, 40, 40] = np.nextafter(spoiled[0, 1, 40, 40], np.float32(2))
    offer = hand_in(world, node, spoiled, raster("x"))
    redo(world, auditor, picture(samples=0), raster("x"), offer)
    assert len(rows(world, Receipt)) == 1 and rows(world, Strike)[0].lane == "whole"


@pytest.mark.parametrize("how", ["another driver", "a driver that varies"])
def test_eevee_of_other_drivers_is_compared_by_look(world: World, how: str) -> None:
    """Rounding passes; a spoiled picture is refused, which withholds and never slashes."""
    mine, theirs = (raster("x"), raster("y")) if how == "another driver" else (raster("varies-x"),) * 2
    varies: dict[str, Any] = {} if how == "another driver" else {"repeats": False}
    node, auditor = worker(world, mine, **varies), worker(world, theirs, world.trusted, **varies)
    world.second_trusted()
    for planes, passed in ((picture(samples=0) * np.float32(1.0005), True), (picture(samples=0)[:, :, ::-1], False)):
        frames_job(world, contract(**EEVEE))
        offer = hand_in(world, node, np.ascontiguousarray(planes), mine)
        redo(world, auditor, picture(samples=0), theirs, offer)
        with world.db.read() as session:
            lease = session.get_one(Lease, offer.id)
        assert (lease.lane, lease.state) == ("perceptual", "accepted" if passed else "rejected")
    [strike] = rows(world, Strike)
    assert (strike.state, strike.counted, strike.slashable) == ("alone", True, False)


def test_workbench_is_redone_in_every_frame(world: World) -> None:
    """A weak comparison leaves no frame out, whatever the standing of the node."""
    frames_job(world, contract(engine="BLENDER_WORKBENCH", lane=Lane.PERCEPTUAL), frames=4)
    node = worker(world, raster("x"))
    worker(world, raster("x"), world.trusted)
    from verification.policy import GOOD

    with world.db.begin() as session:
        from coordinator.store.models import Node

        session.get_one(Node, node.address).suspicion = GOOD
    offer = hand_in(world, node, picture(samples=0, frames=4), raster("x"))
    with world.db.read() as session:
        assert len(session.get_one(Lease, offer.id).cells or ()) == 4 * (W // 8) * (H // 8)


@pytest.mark.parametrize(("samples", "state", "word"), [(64, "accepted", "agree"), (32, "rejected", "times the power")])
def test_path_guiding_across_classes_by_mean_and_noise(world: World, samples: int, state: str, word: str) -> None:
    """Other grains of the same picture pass; half of the samples do not; nobody is slashed for statistics."""
    world.calibrate(A, B, "render")
    frames_job(world, contract(**GUIDED))
    node, auditor = worker(world, A), worker(world, B, world.trusted)
    offer = hand_in(world, node, picture(1, samples), A)
    redo(world, auditor, picture(2), B, offer)
    with world.db.read() as session:
        lease = session.get_one(Lease, offer.id)
    assert (lease.lane, lease.state) == ("whole", state) and word in str(lease.reason)
    assert lease.evidence is not None and lease.evidence["bits"] is False
    assert all(not strike.slashable and strike.state == "alone" for strike in rows(world, Strike))


def test_path_guiding_within_a_class_may_differ_in_last_bits(world: World) -> None:
    """Threads decide those, and nobody is refused for them."""
    frames_job(world, contract(**GUIDED))
    node, auditor = worker(world, A), worker(world, A, world.trusted)
    offer = hand_in(world, node, np.nextafter(picture(1), np.float32(2)), A)
    redo(world, auditor, picture(1), A, offer)
    [receipt] = rows(world, Receipt)
    assert (receipt.lane, rows(world, Strike)) == ("whole", [])


def test_path_guiding_within_a_class_by_bits(world: World) -> None:
    """Other grains are another render there: refused."""
    frames_job(world, contract(**GUIDED))
    node, auditor = worker(world, A), worker(world, A, world.trusted)
    offer = hand_in(world, node, picture(1), A)
    redo(world, auditor, picture(2), A, offer)
    with world.db.read() as session:
        assert session.get_one(Lease, offer.id).state == "rejected"
    assert rows(world, Strike)[0].state == "alone" and node_of(world, node).rejected == 1


def test_what_varies_and_was_never_calibrated_gets_no_cycles_work(world: World) -> None:
    """A GPU that does not repeat itself, whose own pair nobody measured: no tile, although a trusted worker has it."""
    frames_job(world, contract())
    varies = "blender-5.2.3/OPTIX/varies-1"
    world.worker(world.trusted, cls=varies, repeats=False)
    node = world.worker(cls=varies, repeats=False)
    from coordinator.errors import Conflict

    with pytest.raises(Conflict, match="nobody can judge"):
        world.claim(node, cls=varies)
    world.calibrate(varies, varies, "render")
    assert world.claim(node, cls=varies) is not None


def test_two_unrelated_nodes_and_a_trusted_one_where_the_gate_is_suspicious(world: World) -> None:
    """Two strangers agree by look on what does not look like the reference frame: a trusted worker decides."""
    world.audit_settings(strangers="always", recheck_share=0.0, golden_share=0.0)
    frames_job(world, contract(**EEVEE))
    node, second = worker(world, raster("x")), worker(world, raster("y"), audits=True)
    trusted = worker(world, raster("z"), world.trusted)
    offer = hand_in(world, node, picture(samples=0), raster("x"))
    with world.db.begin() as session:
        row = session.get_one(Lease, offer.id)
        row.evidence = {"suspicion": [{"frame": 1, "ground": "gate", "reason": "it does not look like it"}]}
    redo(world, second, picture(samples=0), raster("y"), offer)
    assert rows(world, Receipt) == []
    redo(world, trusted, picture(samples=0), raster("z"), offer)
    [receipt] = rows(world, Receipt)
    assert (receipt.lane, receipt.auditor) == ("perceptual", trusted.address)
    assert len(rows(world, Work, purpose="recheck")) == 1


@pytest.mark.parametrize(("auditing", "cells"), [(A, FLOOR), (B, TOLERANT_FLOOR)])
def test_more_cells_are_drawn_where_another_class_redoes_them(world: World, auditing: str, cells: int) -> None:
    """A node in good standing: the floor where bits decide, three times that where a share of pixels does."""
    world.calibrate(A, B, "render", accept=0.02, reject=0.03)
    frames_job(world, contract())
    node, auditor = worker(world, A), worker(world, auditing, world.trusted)
    with world.db.begin() as session:
        session.get_one(Node, node.address).suspicion = GOOD
    offer = hand_in(world, node, picture(), A)
    [audit] = rows(world, Work, kind="audit")
    assert len(audit.payload["cells"]) == cells < offer.tile.cell_count()
    redo(world, auditor, picture(), auditing, offer)
    [receipt] = rows(world, Receipt)
    assert receipt.lane == ("exact" if auditing == A else "tolerant")


def test_a_job_that_most_machines_do_in_another_class_is_planned_for_more_cells(world: World) -> None:
    """So that its audits cost no larger share: tiles are longer by as much."""
    cost = RenderCost(per_pixel_sample_seconds=1e-5, cell_seconds=0.02)
    plans = {lane: wish_for_plan(world.settings, [1.0], cost, lane) for lane in (Lane.EXACT, Lane.TOLERANT)}
    assert (plans[Lane.EXACT]["probes"], plans[Lane.TOLERANT]["probes"]) == (FLOOR, TOLERANT_FLOOR)
    empty = cost.model_copy(update={"content": 0.1})
    assert wish_for_plan(world.settings, [1.0], empty, Lane.TOLERANT)["probes"] == floor_for(0.1) > TOLERANT_FLOOR
    assert wish_for_plan(world.settings, [1.0], InferCost(item_seconds=0.1), Lane.TOLERANT)["probes"] == FLOOR


def test_the_quote_says_what_each_machine_is_held_to(world: World) -> None:
    """The lane of most machines in words, those of the others and those left out in warnings."""
    world.calibrate(A, B, "render")
    worker(world, A, world.trusted)
    for cls in (A, A, B, "blender-5.2.3/CPU/cccc"):
        worker(world, cls)
    made = contract()
    job_id = frames_job(world, made)
    with world.db.read() as session:
        panel = Panel(session, world.settings, world.db.now())
        workers = [one for one in online_workers(session, world.db.now()) if not one.trusted]
        lanes = lanes_of(panel, session.get_one(Job, job_id), made, workers)
    assert sorted(lanes.values()) == ["exact", "exact", "tolerant"]
    lane = main_lane(made, lanes)
    assert lane is Lane.EXACT and "to the bit" in proven(made, lane, 8)
    words = lane_words(made, lane, lanes, len(workers))
    assert any("1 of 4 machines" in line and "calibrated for the pair" in line for line in words)
    assert any("1 of 4 machines get none of it" in line for line in words)
    weak = contract(engine="BLENDER_WORKBENCH", lane=Lane.PERCEPTUAL)
    assert proven(weak, Lane.PERCEPTUAL, 8).startswith("WEAK: every frame")
    assert main_lane(weak, {}) is Lane.PERCEPTUAL
    tiny = render_contract(32, 32, **GUIDED)
    assert any("go to auditors of the same class only" in line for line in lane_words(tiny, Lane.WHOLE, {}, 0))
