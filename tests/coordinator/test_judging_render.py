"""Render tiles: grounds for a closer look, and engines that replay only as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard
from sqlalchemy import select, update

from coordinator.judging import draw
from coordinator.judging.suspicion import grounds, reference_frame
from coordinator.leasing import status
from coordinator.store.models import Lease, Node, Receipt, Work
from jobs.contract import Lane, RenderContract
from jobs.states import WorkKind
from jobs.tiles import RenderTile
from jobs.wire import LeaseOffer
from tests.coordinator.world import Person, World
from tests.unit.strategies import render_contract
from verification.commitment import commit as commit_tile

BLENDER = "blender-5.2.3/cpu/avx512"
CHANNELS = ("L.Combined.R", "L.Combined.G", "L.Combined.B", "L.Combined.A", "L.Depth.Z")


def contract_for(lane: Lane = Lane.EXACT) -> RenderContract:
    return render_contract(64, 48, channels=CHANNELS, lane=lane)


def picture(frame: int = 1) -> np.ndarray:
    """Something with content, as rooms and faces have it: (5, 48, 64) float32, with a depth that is infinite where
    nothing was hit."""
    patches = np.random.default_rng(frame).random((3, 6, 8)).astype(np.float32)
    colour = np.kron(patches, np.ones((8, 8), np.float32))
    depth = np.where(np.mgrid[0:48, 0:64][0] < 10, np.float32(np.inf), np.float32(3))
    return np.concatenate([colour, np.ones((1, 48, 64)), depth[None]]).astype("<f4")


def small(frame: int = 1) -> np.ndarray:
    """The same at half the size: (4, 24, 32)."""
    return picture(frame)[:4].reshape(4, 24, 2, 32, 2).mean(axis=(2, 4)).astype("<f4")


WHOLE = RenderTile(frames=(1,), rect=(0, 0, 64, 48), samples=(0, 64))
REFERENCE = (1, np.ascontiguousarray(np.moveaxis(small()[:3], 0, -1)))


def spoiled(kind: str) -> np.ndarray:
    planes = picture()
    if kind == "nan":
        planes[0, 3, 3] = np.nan
    elif kind == "black":
        planes[:3] = 0
    elif kind == "upside down":
        planes = planes[:, ::-1]
    return np.ascontiguousarray(planes)


@pytest.mark.parametrize(
    ("kind", "found"), [("honest", []), ("nan", ["not_finite"]), ("black", ["gate"]), ("upside down", ["gate"])]
)
def test_what_looks_odd_is_seen(kind: str, found: list[str]) -> None:
    """Values that are not finite in a colour pass, a black or another picture; an infinite depth is not odd."""
    seen = grounds(contract_for(), WHOLE, spoiled(kind).tobytes(), REFERENCE)
    assert [ground["ground"] for ground in seen] == found


def test_a_tile_is_held_against_its_own_part_of_the_reference() -> None:
    """The right half of the frame fits its place, and not the left one's; another frame is not compared."""
    right = np.ascontiguousarray(picture()[:, :, 32:]).tobytes()
    there = RenderTile(frames=(1,), rect=(32, 0, 64, 48), samples=(0, 64))
    elsewhere = RenderTile(frames=(1,), rect=(0, 0, 32, 48), samples=(0, 64))
    other = RenderTile(frames=(2,), rect=(0, 0, 32, 48), samples=(0, 64))
    assert grounds(contract_for(), there, right, REFERENCE) == []
    assert [ground["ground"] for ground in grounds(contract_for(), elsewhere, right, REFERENCE)] == ["gate"]
    assert grounds(contract_for(), other, right, REFERENCE) == []


def render_job(world: World, contract: RenderContract, tiles: int = 1) -> str:
    """A running render job with its reference frame."""
    job = world.job(
        tiles=0, kind="render", contract=contract.model_dump(mode="json"), frames=list(range(1, tiles + 1)),
        spec={"kind": "render", "deadline_s": 3600},
        cost={"per_pixel_sample_seconds": 1e-6},
    )  # fmt: skip
    trusted = world.worker(world.trusted, cls=BLENDER)
    raw = small().tobytes()
    blob = world.upload(trusted, raw, "reference.raw")
    with world.db.begin() as session:
        world.add_work(
            session, job, WorkKind.REFERENCE, 0, WHOLE, state="done", payload={"frame": 1, "width": 32, "height": 24},
            result={"width": 32, "height": 24, "channels": list(CHANNELS[:4]), "blobs": [blob.model_dump(mode="json")]},
        )  # fmt: skip
        for i in range(tiles):
            tile = RenderTile(frames=(i + 1,), rect=(0, 0, 64, 48), samples=(0, 64))
            world.add_work(session, job, WorkKind.TILE, i, tile, runtime="blender-5.2.3")
    return job


def deliver(world: World, node: Person, planes: np.ndarray) -> LeaseOffer:
    """A tile of one frame, committed to and uploaded."""
    offer = world.claim(node, cls=BLENDER)
    assert offer is not None and isinstance(offer.tile, RenderTile) and offer.contract is not None
    data = planes.tobytes()
    tree = commit_tile(offer.id, offer.contract, offer.tile, data)
    world.commit(node, offer, tree.root, offer.tile.cell_count(), cls=BLENDER)
    world.complete(node, offer, zstandard.compress(data))
    draw(world.db, world.settings, offer.id)
    return offer


def lease_of(world: World, offer: LeaseOffer) -> Lease:
    with world.db.read() as session:
        return session.get_one(Lease, offer.id)


def test_the_reference_frame_is_read_as_the_runner_wrote_it(world: World) -> None:
    """Frame, size and colours of the raw Combined pass."""
    job = render_job(world, contract_for())
    with world.db.read() as session:
        found = reference_frame(session, world.store, job)
    assert found is not None and found[0] == 1
    assert np.array_equal(found[1], REFERENCE[1])


def test_an_odd_tile_gets_more_cells_and_is_not_refused(world: World) -> None:
    """A black frame: twice the cells for what the gate saw, the grounds in evidence, no verdict before the audit."""
    render_job(world, contract_for(), tiles=2)
    node = world.worker(cls=BLENDER)
    odd = lease_of(world, deliver(world, node, spoiled("black")))
    assert odd.state == "uploaded" and len(odd.cells or ()) == 16
    assert odd.evidence is not None and odd.evidence["suspicion"][0]["ground"] == "gate"
    plain = lease_of(world, deliver(world, node, picture(2)))
    assert len(plain.cells or ()) == 8 and plain.evidence is None


@pytest.mark.parametrize(("accepted", "suspicion"), [(0, 0), (7, 0), (1000, 1)])
def test_whole_tiles_of_new_and_suspect_workers_are_all_redone(world: World, accepted: int, suspicion: int) -> None:
    """Where nothing smaller replays, every cell of the tile is challenged."""
    render_job(world, contract_for(Lane.WHOLE))
    node = world.worker(cls=BLENDER)
    standing(world, node, accepted=accepted, suspicion=suspicion)
    lease = lease_of(world, deliver(world, node, picture()))
    assert lease.state == "uploaded" and lease.cells == list(range(48))


def standing(world: World, node: Person, **columns: Any) -> None:
    with world.db.begin() as session:
        session.execute(update(Node).where(Node.address == node.address).values(**columns))


def test_whole_tiles_of_proven_workers_are_sampled(world: World) -> None:
    """About a tenth of them is redone, drawn by root and secret; the others are paid, and say that nobody did."""
    render_job(world, contract_for(Lane.WHOLE), tiles=40)
    node = world.worker(cls=BLENDER)
    standing(world, node, accepted=1000)
    for number in range(1, 41):
        deliver(world, node, picture(number))
    with world.db.read() as session:
        receipts = session.scalars(select(Receipt)).all()
        audits = session.scalars(select(Work).where(Work.kind == "audit")).all()
    assert len(receipts) + len(audits) == 40
    # 40 draws at 0.1: 14 or more have a chance of 1 in 10,000.
    assert len(audits) < 14
    assert all(receipt.auditor is None and receipt.lane == "whole" for receipt in receipts)
    told = status(world.db, node=node.address, lease_id=receipts[0].lease_id)
    assert told["state"] == "accepted" and told["cells"] == [] and "not among the tiles drawn" in str(told["reason"])


def test_an_odd_whole_tile_is_always_redone(world: World) -> None:
    """A proven worker's black frame is not let through by chance."""
    render_job(world, contract_for(Lane.WHOLE))
    node = world.worker(cls=BLENDER)
    standing(world, node, accepted=1000)
    assert lease_of(world, deliver(world, node, spoiled("black"))).state == "uploaded"
