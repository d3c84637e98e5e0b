"""A deployment that has lived for a while: jobs at every point of their way, nodes good and bad, settled epochs.

Rows come about as in life, through claims, commitments, challenges and audits with real keys and real bytes; only
what Blender and the chain would have done is done here: pictures are computed by numpy, settlements are written down.
"""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import update

from coordinator.blobs import keep, link_all
from coordinator.judging import draw, judge
from coordinator.settlement.epochs import _collect
from coordinator.settlement.receipts import job_receipts, receipt_tree
from coordinator.states import change_job, tell_output
from coordinator.store.models import Epoch, Job, Output, Work
from jobs.contract import RenderContract
from jobs.geometry import Rect
from jobs.pricing import split_price
from jobs.states import JobState, WorkKind
from jobs.tiles import RenderTile
from jobs.wire import LeaseOffer
from tests.coordinator.world import Person, World
from verification.commitment import commit as commit_tile
from verification.commitment import commit_cells, split_cells

__all__ = ["CLASS", "UNIT", "Fair", "Frame"]

RUNTIME = "blender-5.2.3"
CLASS = f"{RUNTIME}/cpu/avx512"
UNIT = 10**18
NAMES = (
    "ember", "cinder", "kestrel", "basalt", "juniper", "saffron", "north-rack-1", "north-rack-2", "studio-loft",
    "old-faithful", "anvil", "quartz",
)  # fmt: skip


_PAINTS = np.array([[0.8, 0.16, 0.03], [0.02, 0.3, 0.33], [0.75, 0.5, 0.1], [0.3, 0.3, 0.32]], np.float32)


class Frame:
    """A picture of spheres on a plane, linear RGB, as any worker computes it to the bit."""

    def __init__(self, width: int, height: int, seed: int = 0) -> None:
        self.width, self.height = width, height
        rng = np.random.default_rng(seed)
        self.pixels = _spheres(width, height, rng)

    def tile(self, tile: RenderTile, noise: float = 0.0) -> bytes:
        """Planes (frames, 3, height, width) float32, little endian."""
        x0, y0, x1, y1 = tile.rect
        part = self.pixels[y0:y1, x0:x1]
        if noise:
            part = part * np.float32(1 + noise)
        planes = np.repeat(np.moveaxis(part, -1, 0)[None], len(tile.frames), 0)
        return np.ascontiguousarray(planes).astype("<f4").tobytes()

    def png(self, scale: float = 1.0, noise: float = 0.0) -> bytes:
        """8-bit sRGB."""
        values = self.pixels
        if noise:
            values = values + np.random.default_rng(7).normal(0, noise, values.shape).astype(np.float32)
        shown = np.clip(np.clip(values, 0, 1) ** (1 / 2.2) * 255, 0, 255).astype(np.uint8)
        image = Image.fromarray(shown).resize((round(self.width * scale), round(self.height * scale)))
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()


def _spheres(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = (x - width / 2) / height, (height / 2 - y) / height
    direction = np.stack([u * 1.2, v * 1.2 - 0.12, np.full_like(u, -1.0)], -1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    light = np.array([0.5, 0.8, 0.35], np.float32)
    light /= np.linalg.norm(light)
    sky = np.clip(direction[..., 1:2] * 1.6 + 0.55, 0, 1)
    colour = (1 - sky) * np.array([0.85, 0.62, 0.42], np.float32) + sky * np.array([0.12, 0.2, 0.42], np.float32)
    depth = np.full(u.shape, np.inf, np.float32)
    with np.errstate(all="ignore"):
        ground = -1.0 / direction[..., 1]
        hit = (ground > 0) & (ground < 40)
        where = direction * ground[..., None]
        board = ((np.floor(where[..., 0]) + np.floor(where[..., 2])) % 2 == 0)[..., None]
        floor = np.where(board, np.array([0.32, 0.29, 0.27], np.float32), np.array([0.1, 0.085, 0.08], np.float32))
        fade = np.clip(ground / 25, 0, 1)[..., None]
        colour = np.where(hit[..., None], floor * (1 - fade) + colour * fade, colour)
        depth = np.where(hit, ground, depth)
        for i in range(9):
            centre = np.array([rng.uniform(-3.2, 3.2), 0, rng.uniform(-9, -3.4)], np.float32)
            radius = rng.uniform(0.35, 0.85)
            centre[1] = radius - 1.0
            b = direction @ centre
            inside = b * b - centre @ centre + radius * radius
            near = b - np.sqrt(inside)
            seen = (inside > 0) & (near > 0) & (near < depth)
            point = direction * near[..., None]
            normal = (point - centre) / radius
            base = _PAINTS[i % len(_PAINTS)]
            lit = np.clip(normal @ light, 0, 1)[..., None] * 1.15 + 0.16
            shine = np.clip((normal * (light - direction)).sum(-1) / np.sqrt(2), 0, 1)[..., None] ** 40
            colour = np.where(seen[..., None], base * lit + shine * 0.7, colour)
            depth = np.where(seen, near, depth)
    return np.nan_to_num(colour).astype(np.float32)


class Fair:
    """People, nodes and jobs in a World."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.owner = world.owner
        self.random = random.Random(5)
        self.nodes: list[Person] = []
        self._workers: dict[str, Person] = {}
        world.worker(world.trusted, cls=CLASS, name="kiln-master")

    def enlist(self, count: int, *, owner: str | None = None) -> None:
        """So many more nodes, each with a name, a price and a region."""
        for _ in range(count):
            i = len(self.nodes)
            name = NAMES[i] if i < len(NAMES) else f"node-{i:03d}"
            self.nodes.append(
                self.world.worker(
                    cls=CLASS, name=name, ask=round(self.random.uniform(0.06, 0.3), 3), owner=owner,
                    region=self.random.choice(["eu-west", "eu-north", "us-east", "ap-south", ""]),
                    score=round(self.random.uniform(0.4, 6.0), 2),
                )
            )  # fmt: skip

    def render(
        self, name: str, frame: Frame, grid: tuple[int, int], *, frames: tuple[int, ...] = (1,), ranges: int = 1,
        state: str = "running", priority: int = 0, **columns: Any,
    ) -> str:  # fmt: skip
        """A render job with its tiles and its reference frame."""
        contract = _contract(frame)
        window = Rect(0, 0, frame.width, frame.height)
        rects = [tuple(rect) for rect in window.split(*grid)]
        tiles = [
            RenderTile(frames=(number,), rect=rect, samples=(64 * part // ranges, 64 * (part + 1) // ranges))
            for number in frames
            for rect in rects
            for part in range(ranges)
        ]
        price = 24 * UNIT // 10
        job = self.world.job(
            0, state=state, kind="render", name=name, contract=contract.model_dump(mode="json"), frames=list(frames),
            spec={"kind": "render", "frames": list(frames), "deadline_s": 3600}, quote=_quote(len(tiles), price),
            price=price, cap=price * 5 // 4, **columns,
        )  # fmt: skip
        with self.world.db.begin() as session:
            for i, tile in enumerate(tiles):
                self.world.add_work(
                    session, job, WorkKind.TILE, i, tile, runtime=RUNTIME, key=f"g{tile.frames[0]}:{i}",
                    price=price // len(tiles), priority=priority,
                )  # fmt: skip
        self._reference(job, frame, frames[0])
        return job

    def _reference(self, job: str, frame: Frame, number: int) -> None:
        db, store = self.world.db, self.world.store
        sha = keep(db, store, frame.png(0.25, noise=0.05), owner=self.world.trusted.address)
        with db.begin() as session:
            link_all(session, job, [sha], "output")
            session.add(
                Work(
                    job_id=job, kind="reference", index=0, key="r", state="done", trusted=True, runtime=RUNTIME,
                    payload={"frame": number}, expected_seconds=1, created_at=db.now(), result={},
                )
            )  # fmt: skip
            self._output(session, job, "reference.png", "preview", None, sha)

    def _output(self, session: Any, job: str, path: str, kind: str, frame: int | None, sha: str) -> None:
        size = self.world.store.size(sha)
        output = Output(
            job_id=job, path=path, kind=kind, frame=frame, sha256=sha, size=size, created_at=self.world.db.now()
        )  # fmt: skip
        session.add(output)
        session.flush()
        tell_output(session, output)

    def claim_of(self, job: str) -> LeaseOffer:
        """A tile of this very job, for whoever gets one; what comes first goes back."""
        for node in self.nodes:
            offer = self.claim(node)
            if offer is not None and offer.job == job:
                self._workers[offer.id] = node
                return offer
        raise AssertionError(f"nobody gets a tile of {job}")

    def worker_of(self, offer: LeaseOffer) -> Person:
        return self._workers[offer.id]

    def claim(self, node: Person, kind: WorkKind = WorkKind.TILE) -> LeaseOffer | None:
        return self.world.claim(node, kind, cls=CLASS)

    def hand_in(self, node: Person, offer: LeaseOffer, frame: Frame, *, noise: float = 0.0) -> None:
        """Commit, upload, draw."""
        assert isinstance(offer.tile, RenderTile) and isinstance(offer.contract, RenderContract)
        data = frame.tile(offer.tile, noise)
        tree = commit_tile(offer.id, offer.contract, offer.tile, data)
        self.world.commit(node, offer, tree.root, offer.tile.cell_count(), cls=CLASS)
        self.world.complete(node, offer, zstandard.compress(data, 1))
        draw(self.world.db, self.world.settings, offer.id)

    def prove(self, offer: LeaseOffer, frame: Frame) -> None:
        """The trusted worker redoes the drawn cells of the next audit; the verdict falls."""
        trusted = self.world.trusted
        audit = self.claim(trusted, WorkKind.AUDIT)
        assert audit is not None and audit.audit is not None and isinstance(audit.contract, RenderContract)
        tile = audit.audit.tile
        assert isinstance(tile, RenderTile)
        whole = np.frombuffer(frame.tile(tile), "<f4").reshape(len(tile.frames), 3, tile.area.height, tile.area.width)
        parts = []
        for index in audit.audit.cells:
            x0, y0, x1, y1 = tile.cell(index).rect
            x, y = tile.area.x0, tile.area.y0
            parts.append(np.ascontiguousarray(whole[0, :, y0 - y : y1 - y, x0 - x : x1 - x]).tobytes())
        cells = split_cells(audit.contract, tile, audit.audit.cells, b"".join(parts))
        root = commit_cells(audit.id, audit.contract, cells).root
        self.world.commit(trusted, audit, root, len(cells), cls=CLASS)
        self.world.complete(trusted, audit, zstandard.compress(b"".join(parts)))
        judge(self.world.db, self.world.settings, offer.id)

    def pass_tiles(self, frame: Frame, count: int) -> None:
        """So many tiles are rendered, proven and accepted."""
        for _ in range(count):
            node = self.random.choice(self.nodes)
            offer = self.claim(node)
            assert offer is not None, "there is no tile for this node"
            self.hand_in(node, offer, frame)
            self.prove(offer, frame)

    def cheat(self, frame: Frame) -> None:
        """A node hands in pixels that are a little off, and is refused."""
        offer = self.claim(self.nodes[0])
        assert offer is not None
        self.hand_in(self.nodes[0], offer, frame, noise=0.004)
        self.prove(offer, frame)

    def deliver(self, job: str, frame: Frame, number: int) -> None:
        """A finished frame."""
        sha = keep(self.world.db, self.world.store, frame.png(), owner=self.world.trusted.address)
        with self.world.db.begin() as session:
            link_all(session, job, [sha], "output")
            self._output(session, job, f"{number:04d}.png", "image", number, sha)

    def settle(self, job_id: str, *, days_ago: float = 0.0) -> None:
        """As the chain would have it: burn, fee, refund, root; then the next epoch pays its nodes."""
        db = self.world.db
        with db.begin() as session:
            job = session.get_one(Job, job_id)
            receipts = job_receipts(session, job_id)
            price = sum(receipt.price for receipt in receipts)
            split = split_price(job.cap or price, price)
            root = "0x" + receipt_tree(receipts).root.hex()
            settlement = {
                "price": str(price), "burned": str(split.burned), "fee": str(split.fee), "refund": str(split.refund),
                "receipt_root": root, "open_tx": None, "propose_tx": None, "settlement_tx": "0x" + "5e" * 32,
            }  # fmt: skip
            if job.state == "running":
                change_job(session, job, JobState.SETTLING, outcome="done")
            change_job(session, job, JobState.DONE, receipt_root=root, settlement=settlement, finished_at=db.now())
        number = _collect(db)
        with db.begin() as session:
            session.execute(
                update(Epoch).where(Epoch.number == number)
                .values(state="posted", tx="0x" + "e0" * 32, created_at=db.now() - 86400 * days_ago)
            )  # fmt: skip

    def fail(self, job_id: str, error: str) -> None:
        """A job that ended with a reason, before anything was settled."""
        with self.world.db.begin() as session:
            job = session.get_one(Job, job_id)
            change_job(
                session, job, JobState.SETTLING, outcome="failed", error_code="too_many_attempts", error=error
            )  # fmt: skip
            change_job(session, job, JobState.FAILED, finished_at=self.world.db.now())


def _contract(frame: Frame) -> RenderContract:
    return RenderContract.model_validate(
        {
            "version": "5.2.3", "engine": "CYCLES", "scene": "Scene", "camera": "Camera", "width": frame.width,
            "height": frame.height, "window": [0, 0, frame.width, frame.height], "samples": 64, "seed": 0,
            "adaptive": False, "guard": 0,
            "channels": ["ViewLayer.Combined.R", "ViewLayer.Combined.G", "ViewLayer.Combined.B"],
        }
    )  # fmt: skip


def _quote(tiles: int, price: int) -> dict[str, Any]:
    return {
        "price_usd": "0.24", "price": str(price), "cap_usd": "0.30", "cap": str(price * 5 // 4), "kiln_hours": 1.2,
        "usd_per_kiln_hour": 0.35, "expected_seconds": 40.0, "tiles": tiles, "cells": tiles * 100, "probes_per_tile": 8,
        "audit_share": 0.02, "lane": "exact", "proven": "8 drawn cells of every tile, bit for bit", "warnings": [],
        "expires_at": 2e9,
    }  # fmt: skip
