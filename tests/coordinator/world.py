"""A small deployment made of rows: accounts and workers with real keys, jobs at any point of their way.

Nothing is mocked: signatures are signatures, commitments are Merkle roots over the bytes that are uploaded.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard
from eth_account import Account as Key

from coordinator.blobs import BlobStore, keep, link_all
from coordinator.config import ChainSettings, LeaseSettings, Settings
from coordinator.leasing import claim, commit, complete, heartbeat, register
from coordinator.leasing.awarding import AWARD_SECONDS
from coordinator.store.database import Database
from coordinator.store.models import Account, Job, Lease, Work
from jobs.contract import InferContract, RenderContract
from jobs.manifest import Asset
from jobs.states import WorkKind
from jobs.tiles import InferTile, RenderTile
from jobs.typed_data import Domain, commitment_message, completion_message, node_owner_message, sign
from jobs.wire import ClaimRequest as Request
from jobs.wire import (
    Commit,
    Committed,
    Complete,
    Completed,
    Heartbeat,
    HeartbeatReply,
    LeaseOffer,
    RegisterNode,
    RuntimeClass,
)
from verification.commitment import commit as commit_tile
from verification.commitment import commit_cells, split_cells

CLASS = "onnxruntime-1.31.1/cpu/avx512"
OTHER_CLASS = "onnxruntime-1.31.1/cpu/avx2"
ITEM_BYTES = 64 + 16
CONTRACT = InferContract.model_validate(
    {
        "version": "1.31.1", "opset": 17, "providers": ["CPUExecutionProvider"], "micro_batch": 2,
        "optimization": "all", "tf32": False,
        "inputs": [{"name": "x", "dtype": "float32", "shape": [4]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [4]}],
        "tap": "h", "fingerprint_seed": 1, "item_bytes": ITEM_BYTES,
    }
)  # fmt: skip
_numbers = itertools.count(1)


def true_bytes(tile: InferTile) -> bytes:
    """What an honest worker computes for a tile: 20 finite float32 for each item, different for each."""
    import numpy as np

    items = np.arange(tile.first, tile.first + tile.count, dtype=np.float32)
    return (items[:, None] * 20 + np.arange(20, dtype=np.float32)).astype("<f4").tobytes()


@dataclass
class Person:
    """A key and its address."""

    key: bytes = field(default_factory=lambda: bytes(Key.create().key))

    @property
    def address(self) -> str:
        return str(Key.from_key(self.key).address)


class World:
    """The deployment of one test."""

    def __init__(self, db: Database, folder: Path, **leases: Any) -> None:
        self.db = db
        self.owner, self.trusted, self._second = Person(), Person(), Person()
        self.coordinator = coordinator = Person()
        key_file, addresses = folder / "coordinator.key", folder / "addresses.json"
        key_file.write_text("0x" + coordinator.key.hex())
        self.domain = Domain(chain_id=31337, escrow=Person().address)
        addresses.write_text(
            json.dumps(
                {
                    "chain_id": 31337, "token": Person().address, "escrow": self.domain["escrow"],
                    "distributor": Person().address, "deploy_block": 1,
                }
            )
        )  # fmt: skip
        self.settings = Settings(
            data=folder, origin="http://test", database_url="unused://", broker_url="redis://unused",
            blob_url=(folder / "blobs").as_uri(), trusted=(self.trusted.address, self._second.address),
            chain=ChainSettings(
                rpc_url="http://127.0.0.1:1", addresses_file=addresses, coordinator_key_file=key_file
            ),
            leases=LeaseSettings(**leases), calibration=folder / "calibration",
        )  # fmt: skip
        self.store = BlobStore.of(self.settings)
        with db.begin() as session:
            session.add(Account(address=self.owner.address, created_at=db.now()))

    def calibrate(self, one: str = CLASS, other: str = OTHER_CLASS, kind: str = "infer", **limits: float) -> None:
        """Put a calibration of a pair of classes into the operator's own folder."""
        assert self.settings.calibration is not None
        self.settings.calibration.mkdir(exist_ok=True)
        values = {"accept": 1e-5, "reject": 1e-4, "accept_output": 1e-5, "reject_output": 1e-4, **limits}
        pair = {"worker_class": one, "auditor_class": other, "kind": kind, **values}
        name = f"{kind}-{len(list(self.settings.calibration.iterdir()))}.json"
        (self.settings.calibration / name).write_text(json.dumps({"limits": [pair]}))

    def audit_settings(self, **changes: Any) -> None:
        """Other settings of who audits."""
        audits = self.settings.audits.model_copy(update=changes)
        self.settings = self.settings.model_copy(update={"audits": audits})

    def worker(self, person: Person | None = None, *, ask: float = 0.1, cls: str = CLASS, **more: Any) -> Person:
        """A registered, online worker; an owner given as a Person signs for it."""
        person = person or Person()
        runtime, _, rest = cls.partition("-")
        device = RuntimeClass(
            runtime=runtime, version=rest.partition("/")[0], device=more.pop("device", "CPU"), numerics_class=cls,
            score=more.pop("score", 1.0), repeats=more.pop("repeats", True), vram_bytes=more.pop("vram_bytes", 0),
        )  # fmt: skip
        if isinstance(owner := more.get("owner"), Person):
            message = node_owner_message(self.domain, node=person.address, owner=owner.address)
            more |= {"owner": owner.address, "owner_signature": sign(message, owner.key)}
        body = RegisterNode(
            protocol=1, agent_version="1", sandboxed=True, runtimes=(device,),
            memory_bytes=more.pop("memory_bytes", 1 << 33), ask_usd_per_kiln_hour=ask, **more,
        )  # fmt: skip
        register(self.db, self.settings, address=person.address, body=body)
        return person

    def second_trusted(self, cls: str = CLASS) -> Person:
        """Another of the coordinator's own workers."""
        return self.worker(self._second, cls=cls)

    def beat(self, person: Person, offer: LeaseOffer, progress: float = 0.5) -> HeartbeatReply:
        """A heartbeat, also after the lease has expired."""
        body = Heartbeat(token=offer.token, progress=progress)
        return heartbeat(self.db, self.settings, node=person.address, lease_id=offer.id, body=body)

    def job(self, tiles: int = 3, *, state: str = "running", count: int = 6, **columns: Any) -> str:
        """An inference job with its tiles, escrowed and planned."""
        job_id = f"j{next(_numbers):06d}"
        asset = Asset(path="model.onnx", sha256="ab" * 32, size=1)
        spec = {"kind": "infer", "items": tiles * count, "shard_items": count, "deadline_s": 3600}
        values: dict[str, Any] = {
            "id": job_id, "owner": self.owner.address, "idempotency_key": job_id, "kind": "infer", "name": "test",
            "spec": spec | columns.pop("needs", {}), "state": state,
            "manifest": {"main": asset.path, "assets": [asset.model_dump(mode="json")]},
            "contract": CONTRACT.model_dump(mode="json"), "quote": {"usd_per_kiln_hour": 0.2},
            "cost": {"item_seconds": 1.0, "cell_seconds": 0.1, "load_seconds": 1.0}, "cap": 10**18, "price": 10**18,
            "deadline": self.db.now() + 3600, "created_at": self.db.now(), "accepted_at": self.db.now(),
        }  # fmt: skip
        with self.db.begin() as session:
            session.add(Job(**(values | columns)))
            session.flush()
            for i in range(tiles):
                self.add_work(session, job_id, WorkKind.TILE, i, InferTile(first=i * count, count=count))
        return job_id

    def add_work(
        self, session: Any, job_id: str, kind: WorkKind, index: int, tile: InferTile | RenderTile, **columns: Any
    ) -> Work:
        """A tile's row."""
        values: dict[str, Any] = {
            "job_id": job_id, "kind": str(kind), "index": index, "key": f"g{index}:0", "state": "pending",
            "trusted": kind is not WorkKind.TILE, "runtime": "onnxruntime-1.31.1",
            "payload": tile.model_dump(mode="json"), "expected_seconds": 10.0, "price": 10**17,
            # Free for so long that nobody is waited for.
            "created_at": self.db.now() - AWARD_SECONDS,
        }  # fmt: skip
        work = Work(**(values | columns))
        session.add(work)
        session.flush()
        return work

    def claim(
        self, person: Person, *kinds: WorkKind, cls: str = CLASS, warm: tuple[str, ...] = ()
    ) -> LeaseOffer | None:
        """One claim, answered at once."""
        request = Request(kinds=kinds or (WorkKind.TILE,), runtimes=(cls,), warm=warm, wait_seconds=0)
        return claim(self.db, self.settings, node=person.address, request=request, domain=self.domain)

    def commit(
        self,
        person: Person,
        offer: LeaseOffer,
        root: bytes,
        cells: int,
        *,
        cls: str = CLASS,
        signer: Person | None = None,
    ) -> Committed:
        """A signed commitment."""
        message = commitment_message(self.domain, lease=offer.id, token=offer.token, root=root, cells=cells)
        body = Commit(
            token=offer.token, root="0x" + root.hex(), cells=cells, signature=sign(message, (signer or person).key),
            numerics_class=cls, seconds=5.0,
        )  # fmt: skip
        return commit(self.db, self.settings, self.domain, node=person.address, lease_id=offer.id, body=body)

    def complete(
        self, person: Person, offer: LeaseOffer, *files: bytes, result: dict[str, Any] | None = None
    ) -> Completed:
        """Upload files and complete the lease with them."""
        blobs = [self.upload(person, data, f"file{i}.bin") for i, data in enumerate(files)]
        return self.complete_with(person, offer, *blobs, result=result)

    def upload(self, person: Person, data: bytes, path: str = "file.bin") -> Asset:
        """A file that this account has uploaded."""
        return Asset(path=path, sha256=keep(self.db, self.store, data, owner=person.address), size=len(data))

    def complete_with(
        self, person: Person, offer: LeaseOffer, *blobs: Asset, result: dict[str, Any] | None = None
    ) -> Completed:
        """Complete a lease with blobs, whoever has uploaded them."""
        body = Complete(
            token=offer.token, blobs=blobs, result=result or {}, seconds=5.0,
            signature=self._signed(person, offer, blobs),
        )  # fmt: skip
        return complete(self.db, self.settings, node=person.address, lease_id=offer.id, body=body)

    def _signed(self, person: Person, offer: LeaseOffer, blobs: tuple[Asset, ...]) -> str | None:
        """The worker's signature of what it delivers; None for work that is not committed to."""
        with self.db.read() as session:
            root = session.get_one(Lease, offer.id).root
        if root is None or not blobs:
            return None
        message = completion_message(
            self.domain, lease=offer.id, token=offer.token, root=bytes.fromhex(root[2:]),
            result=bytes.fromhex(blobs[0].sha256),
        )  # fmt: skip
        return sign(message, person.key)

    def do_tile(self, person: Person, offer: LeaseOffer, data: bytes | None = None, *, cls: str = CLASS) -> Completed:
        """Commit to a tile's bytes (the true ones unless told otherwise) and deliver them."""
        assert isinstance(offer.tile, InferTile) and isinstance(offer.contract, InferContract | RenderContract)
        data = true_bytes(offer.tile) if data is None else data
        tree = commit_tile(offer.id, offer.contract, offer.tile, data)
        self.commit(person, offer, tree.root, offer.tile.cell_count(), cls=cls)
        return self.complete(person, offer, zstandard.compress(data))

    def do_audit(self, person: Person, offer: LeaseOffer, *, cls: str = CLASS) -> Completed:
        """Redo the challenged cells honestly and deliver them."""
        assert offer.audit is not None and isinstance(offer.audit.tile, InferTile) and offer.contract is not None
        tile, whole = offer.audit.tile, true_bytes(offer.audit.tile)
        data = b"".join(whole[i * ITEM_BYTES : (i + 1) * ITEM_BYTES] for i in offer.audit.cells)
        cells = split_cells(offer.contract, tile, offer.audit.cells, data)
        tree = commit_cells(offer.id, offer.contract, cells)
        self.commit(person, offer, tree.root, len(cells), cls=cls)
        return self.complete(person, offer, zstandard.compress(data))

    def keep_asset(self, job_id: str, data: bytes) -> str:
        """A file of a job."""
        sha = keep(self.db, self.store, data, owner=self.owner.address)
        with self.db.begin() as session:
            link_all(session, job_id, [sha], "asset")
        return sha
