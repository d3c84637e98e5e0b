"""Render tiles: grounds for a closer look, and engines that replay only as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard
from sqlalchemy import update

from coordinator.judging import draw
from coordinator.judging.suspicion import grounds, reference_frame
from coordinator.store.models import Lease, Node
from jobs.contract import Lane, RenderContract
from jobs.states import WorkKind
from jobs.tiles import RenderTile
from jobs.wire import LeaseOffer
from tests.coordinator.world import Person, World
from tests.unit.strategies import render_contract
from verification.challenge import redraw
from verification.commitment import commit as commit_tile
from verification.policy import GOOD, REFUSAL

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


def render_job(world: World, contract: RenderContract, tiles: int = 1, run: int = 1) -> str:
    """A running render job with its reference frame; `run` frames in each tile."""
    job = world.job(
        tiles=0, kind="render", contract=contract.model_dump(mode="json"), frames=list(range(1, tiles * run + 1)),
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
            tile = RenderTile(frames=tuple(range(i * run + 1, (i + 1) * run + 1)), rect=(0, 0, 64, 48), samples=(0, 64))
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
    assert odd.state == "uploaded" and len(odd.cells or ()) == 48
    assert odd.evidence is not None and odd.evidence["suspicion"][0]["ground"] == "gate"
    plain = lease_of(world, deliver(world, node, picture(2)))
    assert len(plain.cells or ()) == 24 and plain.evidence is None


@pytest.mark.parametrize(("suspicion", "frames"), [(GOOD, 1), (0, 3), (REFUSAL, 10)])
def test_of_a_run_of_whole_frames_some_are_redone_and_all_of_a_suspect_workers(
    world: World, suspicion: int, frames: int
) -> None:
    """Where nothing smaller replays, frames are drawn as cells are, and each drawn frame is challenged as a whole;
    whoever checks the drawing comes to the same cells."""
    contract = contract_for(Lane.WHOLE)
    render_job(world, contract, run=10)
    node = world.worker(cls=BLENDER)
    standing(world, node, suspicion=suspicion)
    offer = deliver(world, node, np.concatenate([picture(frame) for frame in range(1, 11)]))
    lease = lease_of(world, offer)
    assert lease.state == "uploaded" and lease.cells is not None and lease.root is not None
    assert isinstance(offer.tile, RenderTile) and len(lease.cells) == 48 * frames
    assert len({offer.tile.cell(cell).frame for cell in lease.cells}) == frames
    root = bytes.fromhex(lease.root[2:])
    assert redraw(contract, offer.tile, root, lease.id, lease.secret, lease.cells) == lease.cells


def standing(world: World, node: Person, **columns: Any) -> None:
    with world.db.begin() as session:
        session.execute(update(Node).where(Node.address == node.address).values(**columns))


def test_an_odd_whole_tile_is_always_redone(world: World) -> None:
    """A black frame of a worker in good standing is not let through by chance."""
    render_job(world, contract_for(Lane.WHOLE), run=2)
    node = world.worker(cls=BLENDER)
    standing(world, node, suspicion=GOOD)
    lease = lease_of(world, deliver(world, node, np.concatenate([spoiled("black"), picture(2)])))
    assert len(lease.cells or ()) == 2 * 48
