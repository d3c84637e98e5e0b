"""What was signed, held against itself: pure functions of a job's bundle. Nothing here asks anybody anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from jobs.contract import Contract, InferContract, RenderContract
from jobs.errors import Refused
from jobs.geometry import Rect
from jobs.manifest import Manifest
from jobs.spec import explain
from jobs.tiles import InferTile, RenderTile
from jobs.typed_data import Domain, commitment_message, receipt_message, recover
from jobs.wire import ReceiptView, SettlementView
from verification.challenge import redraw, secret_hash
from verification.receipts import receipt_leaf, verify_receipt_path

__all__ = ["Bundle", "Check", "check_cover", "check_money", "check_receipt", "read_bundle", "receipt_of"]

_CONTRACT: TypeAdapter[RenderContract | InferContract] = TypeAdapter(Contract)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `tile` is None where it is about the whole job."""

    name: str
    ok: bool
    detail: str
    tile: int | None = None


@dataclass(frozen=True)
class Bundle:
    """What the coordinator hands out for an audit, typed."""

    job: str
    state: str
    contract: RenderContract | InferContract
    frames: tuple[int, ...]
    items: int
    manifest: Manifest
    domain: Domain
    receipt_signer: str
    receipt_root: bytes | None
    settlement: SettlementView | None
    receipts: tuple[ReceiptView, ...]


def read_bundle(data: dict[str, Any]) -> Bundle:
    """Raises Refused where the job is not far enough to be audited, or the bundle is malformed."""
    if not data.get("contract") or not data.get("receipts"):
        raise Refused(f"job {data.get('job')} has no receipts yet; audit it when tiles have passed", code="no_receipts")
    try:
        root = data.get("receipt_root")
        settled = data.get("settlement")
        return Bundle(
            job=str(data["job"]),
            state=str(data["state"]),
            contract=_CONTRACT.validate_python(data["contract"]),
            frames=tuple(int(frame) for frame in data.get("frames") or ()),
            items=int(data["spec"].get("items", 0)),
            manifest=Manifest.model_validate(data["manifest"]),
            domain=Domain(chain_id=int(data["domain"]["chain_id"]), escrow=str(data["domain"]["escrow"])),
            receipt_signer=str(data["receipt_signer"]),
            receipt_root=bytes.fromhex(root.removeprefix("0x")) if root else None,
            settlement=SettlementView.model_validate(settled) if settled else None,
            receipts=tuple(ReceiptView.model_validate(one) for one in data["receipts"]),
        )
    except ValidationError as error:
        raise Refused(
            f"the bundle of the job is malformed: {explain(error)}; ask the gateway's operator", code="bad_bundle"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(
            f"the bundle of the job is malformed: {error!r}; ask the gateway's operator", code="bad_bundle"
        ) from error


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def receipt_of(receipt: ReceiptView, domain: Domain) -> dict[str, Any]:
    """The receipt as the typed data that was signed."""
    return receipt_message(
        domain,
        job=receipt.job,
        tile=receipt.tile,
        attempt=receipt.attempt,
        node=receipt.node,
        commitment=_bytes(receipt.commitment),
        price=receipt.price,
    )


def check_receipt(bundle: Bundle, receipt: ReceiptView) -> list[Check]:
    """Signatures, leaf, path to the root, and whether the audited cells are those that secret and commitment draw."""
    checks: list[Check] = []

    def add(name: str, ok: bool, detail: str = "") -> None:
        checks.append(Check(name, ok, detail, receipt.tile))

    message = receipt_of(receipt, bundle.domain)
    root = _bytes(receipt.commitment)
    leaf = receipt_leaf(message, _bytes(receipt.signature))
    signer = recover(message, receipt.signature)
    add("receipt is of this job", receipt.job == bundle.job, receipt.job)
    add("receipt is signed", signer is not None and signer.lower() == bundle.receipt_signer.lower(), str(signer))
    add("receipt's leaf", leaf == _bytes(receipt.leaf), receipt.leaf)
    cells = receipt.spec.cell_count()
    commitment = commitment_message(
        bundle.domain, lease=receipt.lease, token=receipt.fencing_token, root=root, cells=cells
    )
    node = recover(commitment, receipt.node_signature)
    add("node signed its commitment", node is not None and node.lower() == receipt.node.lower(), str(node))
    chosen = list(receipt.cells)
    audited = f"{len(chosen)} of {cells}, lane {receipt.lane}"
    add("cells were audited", len(chosen) > 0 and chosen == sorted(set(chosen)), audited)
    if receipt.secret is not None:
        secret = _bytes(receipt.secret)
        add("secret was fixed before", secret_hash(secret) == _bytes(receipt.secret_hash), receipt.secret_hash)
        drawn = redraw(bundle.contract, receipt.spec, root, receipt.lease, secret, chosen)
        add("secret draws those cells", drawn == chosen, f"{drawn[:8]}")
    if bundle.receipt_root is not None:
        proof = [_bytes(step) for step in receipt.proof or ()]
        total = sum(one.price for one in bundle.receipts)
        reached = receipt.proof is not None and verify_receipt_path(
            leaf, receipt.price, proof, bundle.receipt_root, total
        )
        add("receipt hangs on the root", reached, f"{len(proof) // 2} steps, sums and all")
    return checks


def check_cover(bundle: Bundle) -> list[Check]:
    """Whether the receipts cover every frame, pixel and sample (or item) of a finished job exactly once."""
    if bundle.state != "done":
        return []
    tiles = [receipt.spec for receipt in bundle.receipts]
    numbers = [receipt.tile for receipt in bundle.receipts]
    once = len(set(numbers)) == len(numbers)
    if isinstance(bundle.contract, InferContract):
        covered = _items_cover([tile for tile in tiles if isinstance(tile, InferTile)], bundle.items)
        whole = f"items 0 to {bundle.items}"
    else:
        covered = _frames_cover(
            [tile for tile in tiles if isinstance(tile, RenderTile)], bundle.contract, bundle.frames
        )
        whole = f"{len(bundle.frames)} frames, every pixel and sample"
    return [Check("receipts cover the job once", once and covered, whole)]


def _items_cover(tiles: Sequence[InferTile], items: int) -> bool:
    at = 0
    for tile in sorted(tiles, key=lambda tile: tile.first):
        if tile.first != at:
            return False
        at += tile.count
    return at == items


def _frames_cover(tiles: Sequence[RenderTile], contract: RenderContract, frames: Sequence[int]) -> bool:
    """Tiles come from a grid times sample ranges: so for each rectangle the ranges must follow one another, and the
    rectangles must be apart and fill the window."""
    by_frame: dict[int, dict[tuple[int, int, int, int], list[tuple[int, int]]]] = {}
    for tile in tiles:
        if tile.only_seen(contract):
            continue
        for frame in tile.frames:
            by_frame.setdefault(frame, defaultdict(list))[tile.rect].append(tile.samples)
    if set(by_frame) != set(frames):
        return False
    for rects in by_frame.values():
        for ranges in rects.values():
            ordered = sorted(ranges)
            edges = [0, *(last for _, last in ordered)]
            if [first for first, _ in ordered] != edges[:-1] or edges[-1] != contract.samples:
                return False
        if sum(Rect(*rect).area for rect in rects) != contract.rect.area or not _apart(list(rects), contract.rect):
            return False
    return True


def _apart(rects: list[tuple[int, int, int, int]], window: Rect) -> bool:
    areas = [Rect(*rect) for rect in rects]
    if not all(window.contains(area) for area in areas):
        return False
    areas.sort(key=lambda area: (area.y0, area.x0))
    for i, one in enumerate(areas):
        for other in areas[i + 1 :]:
            if other.y0 >= one.y1:
                break
            if one.x0 < other.x1 and other.x0 < one.x1:
                return False
    return True


def check_money(bundle: Bundle) -> list[Check]:
    """Whether what was charged is the sum of the receipts, and burned and fee are the charge."""
    settled = bundle.settlement
    if settled is None:
        return []
    total = sum(receipt.price for receipt in bundle.receipts)
    return [
        Check("price is the sum of the receipts", total == settled.price, f"{settled.price}"),
        Check(
            "burned and fee are the price", settled.burned + settled.fee == settled.price, f"{settled.burned} burned"
        ),
        Check("root is the settlement's", bundle.receipt_root == _bytes(settled.receipt_root), settled.receipt_root),
    ]
