"""Shards of a batch, and predictions put together from its parts."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
import zstandard

from jobs.contract import InferContract, TensorSpec
from jobs.manifest import Asset
from jobs.states import JobKind, WorkKind
from jobs.tiles import InferTile
from jobs.wire import LeaseOffer
from node.agent.inputs import input_shards, needed_assets
from node.agent.parts import write_predictions
from node.agent.work import Work, WorkFailed

SHA = "0" * 64
CONTRACT = InferContract(
    version="1", opset=17, providers=("CPUExecutionProvider",), micro_batch=2, optimization="all", tf32=False,
    inputs=(TensorSpec(name="x", dtype="float32", shape=(2,)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(3,)), TensorSpec(name="top/1", dtype="int64", shape=())),
    tap="t", fingerprint_seed=1, item_bytes=12 + 8 + 64, extra={"shard_items": 4},
)  # fmt: skip
ASSETS = [Asset(path="model/m.onnx", sha256=SHA, size=1)] + [
    Asset(path=f"inputs/{n:05d}.npz", sha256=SHA, size=1) for n in range(3)
]


@pytest.mark.parametrize(
    ("items", "shards"),
    [(range(4), [0]), (range(3, 5), [0, 1]), (range(12), [0, 1, 2]), ([11], [2]), ([0, 9], [0, 2])],
)
def test_only_the_shards_of_the_items_are_used(items: range | list[int], shards: list[int]) -> None:
    """A tile fetches what it needs, and the runner is told each shard's first item."""
    given = input_shards(ASSETS, CONTRACT, items)
    assert given == [{"path": f"/job/inputs/{n:05d}.npz", "first": 4 * n} for n in shards]
    wanted = {f"inputs/{n:05d}.npz" for n in shards} | {"model/m.onnx"}
    assert {asset.path for asset in needed_assets(ASSETS, CONTRACT, items)} == wanted


def test_items_without_a_shard_are_a_clear_failure() -> None:
    """Items beyond the last shard, and a contract that does not say how long shards are."""
    with pytest.raises(WorkFailed, match="input shard 00003"):
        input_shards(ASSETS, CONTRACT, [12])
    with pytest.raises(WorkFailed, match="shard_items"):
        input_shards(ASSETS, CONTRACT.model_copy(update={"extra": {}}), [0])


class Parts:
    """Raw results of tiles of a batch of random items, and the lease that assembles them."""

    def __init__(self, *spans: tuple[int, int]) -> None:
        self.blobs: dict[str, bytes] = {}
        rng = np.random.default_rng(3)
        count = max(first + number for first, number in spans)
        self.y = rng.standard_normal((count, 3)).astype("<f4")
        self.top = rng.integers(0, 99, count).astype("<i8")
        parts = []
        for first, number in spans:
            rows = [self.y[i].tobytes() + self.top[i].tobytes() + rng.bytes(64) for i in range(first, first + number)]
            packed = zstandard.compress(b"".join(rows))
            sha = hashlib.sha256(packed).hexdigest()
            self.blobs[sha] = packed
            tile = InferTile(first=first, count=number).model_dump(mode="json")
            parts.append({"spec": tile, "blob": sha, "size": len(packed), "lease": "l"})
        self.params = {"parts": parts}

    def work(self, folder: Path) -> Work:
        offer = LeaseOffer(
            id="l1", token=1, kind=WorkKind.ASSEMBLE, job="j1", job_kind=JobKind.INFER, expires_at=0,
            expected_seconds=1, heartbeat_seconds=1, secret_hash="0x" + SHA, domain={}, main="model/m.onnx",
            assets=tuple(ASSETS), contract=CONTRACT, params=self.params,
        )  # fmt: skip

        def fetch(sha256: str, size: int, target: Path) -> None:
            assert len(self.blobs[sha256]) == size
            target.write_bytes(self.blobs[sha256])

        return Work(offer, folder, cancel=threading.Event(), fetch_blob=fetch)


def test_predictions_are_in_the_order_of_the_batch(tmp_path: Path) -> None:
    """Parts in any order become arrays by output name, bit for bit, without the fingerprints; twice the same file."""
    parts = Parts((5, 3), (0, 5), (8, 1))
    files = []
    for name in ("a.npz", "b.npz"):
        assert write_predictions(parts.work(tmp_path), CONTRACT, tmp_path / name, tmp_path, lambda _: None) == 9
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    with np.load(tmp_path / "a.npz") as found:
        assert sorted(found) == ["top/1", "y"]
        np.testing.assert_array_equal(found["y"], parts.y)
        np.testing.assert_array_equal(found["top/1"], parts.top)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_missing_and_malformed_parts_are_refused(tmp_path: Path) -> None:
    """A gap between parts, a part of the wrong length, a part that is no zstd frame."""
    with pytest.raises(WorkFailed, match="parts are missing"):
        write_predictions(Parts((0, 2), (3, 1)).work(tmp_path), CONTRACT, tmp_path / "a", tmp_path, lambda _: None)
    for packed in (zstandard.compress(b"x" * 10), zstandard.compress(b"x" * 10_000), b"no frame"):
        parts = Parts((0, 2))
        sha = hashlib.sha256(packed).hexdigest()
        parts.blobs = {sha: packed}
        parts.params["parts"][0] |= {"blob": sha, "size": len(packed)}
        with pytest.raises(WorkFailed, match="part"):
            write_predictions(parts.work(tmp_path), CONTRACT, tmp_path / "a", tmp_path, lambda _: None)
