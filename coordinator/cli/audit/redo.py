"""Sampled tiles of a job, proven again: the delivered bytes against their commitment, and cells of our own choice
against what this machine computes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from coordinator.cli.audit.checks import Bundle, Check
from coordinator.cli.audit.hands import redo
from jobs.errors import KilnetError, Refused
from jobs.states import Verdict
from jobs.tiles import RenderTile
from jobs.wire import ReceiptView
from verification.commitment import MalformedResult, cell_bytes, commit
from verification.judgement import judge_cells

if TYPE_CHECKING:
    from jobs.client import Client

__all__ = ["check_again", "fetch_assets", "sample"]


def sample(bundle: Bundle, count: int) -> list[ReceiptView]:
    """`count` receipts (all where there are no more), drawn at random, by tile."""
    receipts = list(bundle.receipts)
    if count < len(receipts):
        receipts = secrets.SystemRandom().sample(receipts, count)
    return sorted(receipts, key=lambda receipt: receipt.tile)


def fetch_assets(client: Client, bundle: Bundle, folder: Path) -> None:
    """The job's files into `folder`, each checked against its hash. Raises Refused, Unavailable."""
    for asset in bundle.manifest.assets:
        target = folder / asset.path
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download(asset.sha256, target, size=asset.size)


def check_again(
    client: Client,
    bundle: Bundle,
    receipts: Sequence[ReceiptView],
    cells: int,
    folder: Path,
    *,
    unsandboxed: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> list[Check]:
    """Fetch the raw results of `receipts`, hold them against their commitments, and redo `cells` cells of each, drawn
    now. `folder` is ours to fill. Raises Unavailable where this machine cannot redo the work."""
    checks: list[Check] = []
    claimed: list[tuple[ReceiptView, dict[int, bytes]]] = []
    for receipt in receipts:
        note(f"fetching what {receipt.node} delivered for tile {receipt.tile}")
        try:
            data = _raw_result(client, bundle, receipt)
            root = commit(receipt.lease, bundle.contract, receipt.spec, data).root
        except (MalformedResult, KilnetError) as error:
            checks.append(Check("result matches the commitment", False, str(error), receipt.tile))
            continue
        held = root == bytes.fromhex(receipt.commitment.removeprefix("0x"))
        checks.append(Check("result matches the commitment", held, receipt.commitment, receipt.tile))
        chosen = _draw(bundle, receipt, cells)
        claimed.append((receipt, {index: cell_bytes(bundle.contract, receipt.spec, data, index) for index in chosen}))
    if not claimed:
        return checks
    note("fetching the job's files")
    assets, scratch = folder / "job", folder / "out"
    assets.mkdir()
    scratch.mkdir()
    fetch_assets(client, bundle, assets)
    note(f"redoing {sum(len(found) for _, found in claimed)} cells of {len(claimed)} tiles")
    wanted = [(receipt.spec, sorted(found)) for receipt, found in claimed]
    redone = redo(bundle.contract, bundle.manifest, assets, wanted, scratch, unsandboxed=unsandboxed)
    for (receipt, found), mine in zip(claimed, redone, strict=True):
        classes = receipt.numerics_class, mine.numerics_class
        lane, comparison = judge_cells(bundle.contract, receipt.spec, classes, found, mine.cells)
        if lane is None or comparison is None:
            detail = (
                f"{mine.numerics_class} was never calibrated against {receipt.numerics_class}: see `kilnet calibrate`"
            )
            checks.append(Check("this machine can judge it", False, detail, receipt.tile))
            continue
        detail = f"{lane}: {comparison.reason}" + ("" if classes[0] == classes[1] else f" (here: {classes[1]})")
        checks.append(Check("cells came out again", comparison.verdict is Verdict.ACCEPT, detail, receipt.tile))
    return checks


def _draw(bundle: Bundle, receipt: ReceiptView, wanted: int) -> list[int]:
    """`wanted` cells of a tile; where only whole frames replay, all cells of one of its frames."""
    count, chance = receipt.spec.cell_count(), secrets.SystemRandom()
    if isinstance(receipt.spec, RenderTile) and not bundle.contract.in_cells:
        each = count // len(receipt.spec.frames)
        first = each * chance.randrange(len(receipt.spec.frames))
        return list(range(first, first + each))
    if wanted >= count:
        return list(range(count))
    return sorted(chance.sample(range(count), wanted))


def _raw_result(client: Client, bundle: Bundle, receipt: ReceiptView) -> bytes:
    """The node's raw result. Raises Refused for more or fewer bytes than the contract says."""
    length = receipt.spec.result_bytes(bundle.contract)  # type: ignore[arg-type]
    # zstd never makes data much larger; more than this was not sent by a node.
    packed = client.read_blob(receipt.result, limit=length + length // 64 + (1 << 16))
    try:
        with zstandard.ZstdDecompressor().stream_reader(packed) as stream:
            data = stream.read(length + 1)
    except zstandard.ZstdError as error:
        raise Refused(
            f"the result of tile {receipt.tile} cannot be unpacked: {error}; ask the gateway's operator",
            code="bad_result",
        ) from error
    if len(data) != length:
        raise Refused(
            f"the result of tile {receipt.tile} has not {length} bytes; ask the gateway's operator", code="bad_result"
        )
    return data
