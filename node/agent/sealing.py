"""From raw bytes to what is sent: the signed commitment and the compressed file, put into the outbox together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import zstandard

from jobs.contract import InferContract, RenderContract
from jobs.manifest import Asset
from jobs.states import WorkKind
from jobs.typed_data import Domain
from jobs.wire import Commit, Complete, LeaseOffer
from node.agent.work import Outcome, WorkFailed
from node.keys import NodeKey
from node.outbox import LeaseRef, Outbox, Step, StepKind
from verification.commitment import commit, commit_cells, split_cells
from verification.merkle import Tree

__all__ = ["compress", "seal_files", "seal_result"]

_LEVEL = 1
"""Noise hardly compresses: a higher level costs the time of the next tile and saves a few percent."""
_PIECE = 4 << 20
_NAME = "result.zst"


def compress(data: bytes | bytearray | memoryview, target: Path, *, threads: int = 0) -> Asset:
    """Write `data` as one zstd frame to `target`; the asset is what travels. `threads` 0: as many as there are."""
    digest, size = hashlib.sha256(), 0
    view = memoryview(data)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=threads or -1).compressobj(size=len(view))
    with target.open("wb") as file:
        for start in range(0, len(view), _PIECE):
            size += _write(file.fileno(), digest, compressor.compress(view[start : start + _PIECE]))
        size += _write(file.fileno(), digest, compressor.flush())
    return Asset(path=_NAME, sha256=digest.hexdigest(), size=size)


def _write(descriptor: int, digest: hashlib._Hash, piece: bytes) -> int:
    left = memoryview(piece)
    while left:
        left = left[os.write(descriptor, left) :]
    digest.update(piece)
    return len(piece)


def _tree(offer: LeaseOffer, data: bytearray) -> Tree:
    contract = offer.contract
    if not isinstance(contract, RenderContract | InferContract):
        raise WorkFailed("a lease without a contract", code="bad_lease")
    if offer.kind is WorkKind.AUDIT:
        assert offer.audit is not None
        cells = split_cells(contract, offer.audit.tile, sorted(offer.audit.cells), bytes(data))
        return commit_cells(offer.id, contract, cells)
    assert offer.tile is not None
    return commit(offer.id, contract, offer.tile, memoryview(data))


def seal_result(
    offer: LeaseOffer,
    ref: LeaseRef,
    data: bytearray,
    *,
    key: NodeKey,
    outbox: Outbox,
    numerics_class: str,
    seconds: float,
    threads: int = 0,
) -> Asset:
    """Commit to a tile's or an audit's raw result and put commitment, upload and completion into the outbox.

    Raises MalformedResult where the result's length is wrong, OSError where the disk is full.
    """
    target = outbox.folder(offer.id) / _NAME
    with ThreadPoolExecutor(1) as pool:  # hashing and compressing side by side
        packed = pool.submit(compress, data, target, threads=threads)
        tree = _tree(offer, data)
        asset = packed.result()
    domain = Domain(chain_id=int(offer.domain["chain_id"]), escrow=str(offer.domain["escrow"]))
    signature = key.sign_commitment(domain, lease=offer.id, token=offer.token, root=tree.root, cells=len(tree))
    commitment = Commit(
        token=offer.token,
        root=f"0x{tree.root.hex()}",
        cells=len(tree),
        signature=signature,
        numerics_class=numerics_class,
        seconds=seconds,
    )
    delivered = key.sign_completion(
        domain, lease=offer.id, token=offer.token, root=tree.root, result=bytes.fromhex(asset.sha256)
    )
    done = Complete(token=offer.token, blobs=(asset,), seconds=seconds, signature=delivered)
    outbox.put(
        ref,
        [
            Step(StepKind.COMMIT, commitment.model_dump_json()),
            Step(StepKind.UPLOAD, asset.model_dump_json(), _NAME),
            Step(StepKind.COMPLETE, done.model_dump_json()),
        ],
    )
    return asset


def seal_files(ref: LeaseRef, outcome: Outcome, *, outbox: Outbox, seconds: float) -> Sequence[Asset]:
    """Put the files of a trusted lease and its result into the outbox. The files lie in the outbox's folder already.

    Raises OSError where one is gone.
    """
    steps, assets = [], []
    for produced in outcome.files:
        with produced.source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        asset = Asset(path=produced.path, sha256=digest, size=produced.source.stat().st_size)
        assets.append(asset)
        steps.append(Step(StepKind.UPLOAD, asset.model_dump_json(), produced.source.name))
    done = Complete(token=ref.token, blobs=tuple(assets), result=outcome.result, seconds=seconds)
    outbox.put(ref, [*steps, Step(StepKind.COMPLETE, done.model_dump_json())])
    return assets
