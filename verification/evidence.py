"""Checking the evidence about one cell, without trusting whoever handed it out: pure functions.

What can be known from it alone: the node signed a root, and the claimed bytes are a leaf of it; the challenge follows
from that root and a secret whose hash was shown with the lease; the auditor signed a root of its own, and the
recomputed bytes are a leaf of that; the two compare as was said. Who is right is known by computing the cell once more.
"""

from __future__ import annotations

from typing import NamedTuple

from jobs.contract import Lane, RenderContract
from jobs.evidence import Evidence, Side
from jobs.geometry import Rect
from jobs.states import Verdict
from jobs.tiles import InferTile, RenderTile
from jobs.typed_data import Domain, commitment_message, recover
from verification.challenge import redraw, secret_hash
from verification.commitment import cell_leaf, cells_length
from verification.compare import Comparison, compare_cells
from verification.merkle import verify_path

__all__ = ["Finding", "compared", "examine", "place_of"]


class Finding(NamedTuple):
    """One thing that was looked at."""

    name: str
    held: bool
    detail: str


def place_of(evidence: Evidence) -> str:
    """Where the cell lies, in words."""
    if isinstance(evidence.spec, InferTile):
        return f"item {evidence.spec.cell(evidence.cell)}"
    cell = evidence.spec.cell(evidence.cell)
    x0, y0, x1, y1 = cell.rect
    return f"frame {cell.frame}, pixels {x0},{y0} to {x1},{y1}"


def examine(evidence: Evidence) -> list[Finding]:
    """Everything that can be checked without computing. Never raises: what cannot be checked does not hold."""
    unfit = _unfit(evidence)
    if unfit is not None:
        return [Finding("tile, cell and contract fit", False, unfit)]
    found = [Finding("tile, cell and contract fit", True, place_of(evidence))]
    found += _side(evidence, evidence.worker, "node")
    root = _bytes(evidence.worker.root)
    cells = list(evidence.challenge)
    if evidence.secret is None:
        found.append(Finding("the challenge was drawn", True, "its secret is kept until the job is settled"))
    else:
        secret = _bytes(evidence.secret)
        known = secret_hash(secret) == _bytes(evidence.secret_hash)
        found.append(Finding("the secret is the one that was fixed before", known, evidence.secret_hash))
        drawn = redraw(evidence.contract, evidence.spec, root, evidence.worker.lease, secret, cells)
        found.append(Finding("secret and root draw the challenged cells", drawn == cells, f"{len(cells)} cells"))
    if evidence.auditor is None:
        return found
    audited = evidence.cell in cells
    found.append(Finding("the cell was challenged", audited, f"cell {evidence.cell}"))
    if audited:
        fits = (evidence.auditor.leaves, evidence.auditor.place) == (len(cells), cells.index(evidence.cell))
        found.append(Finding("the auditor answered this challenge", fits, f"{evidence.auditor.leaves} cells"))
    found += _side(evidence, evidence.auditor, "auditor")
    differs = evidence.worker.data != evidence.auditor.data
    said = "differ" if differs else "are equal to the bit"
    if evidence.lane in (Lane.EXACT, Lane.WHOLE) and evidence.verdict is Verdict.ACCEPT:
        found.append(Finding("claimed and recomputed are as the verdict says", not differs, f"they {said}"))
    return found


def _unfit(evidence: Evidence) -> str | None:
    """Why the parts cannot belong together, or None."""
    tile, contract = evidence.spec, evidence.contract
    if isinstance(tile, RenderTile) is not isinstance(contract, RenderContract):
        return "a render tile needs a render contract, and a run of items one for inference"
    if isinstance(tile, RenderTile) and isinstance(contract, RenderContract):
        x0, y0, x1, y1 = tile.rect
        whole = Rect(0, 0, contract.width, contract.height)
        if not (x0 < x1 and y0 < y1 and whole.contains(contract.rect) and contract.rect.contains(Rect(*tile.rect))):
            return f"the rectangle {tile.rect} is no part of the window {contract.window}"
    count = tile.cell_count()
    if not evidence.cell < count or any(not 0 <= cell < count for cell in evidence.challenge):
        return f"the tile has {count} cells; cell {evidence.cell} or a challenged one is none of them"
    if evidence.worker.leaves != count or evidence.worker.place != evidence.cell:
        return f"the node committed to {evidence.worker.leaves} cells, the tile has {count}"
    length = cells_length(contract, tile, [evidence.cell])
    for side in (evidence.worker, evidence.auditor):
        if side is not None and len(side.data) != length:
            return f"a cell of this contract has {length} bytes, the evidence holds {len(side.data)}"
    return None


def _side(evidence: Evidence, side: Side, who: str) -> list[Finding]:
    domain = Domain(chain_id=evidence.chain_id, escrow=evidence.escrow)
    root = _bytes(side.root)
    message = commitment_message(domain, lease=side.lease, token=side.token, root=root, cells=side.leaves)
    signer = recover(message, side.signature)
    signed = signer is not None and signer.lower() == side.address.lower()
    leaf = cell_leaf(side.lease, evidence.contract, evidence.cell, side.data)
    path = [_bytes(step) for step in side.path]
    hangs = verify_path(leaf, side.place, side.leaves, path, root)
    what = "claimed" if who == "node" else "recomputed"
    return [
        Finding(f"the {who} signed its root", signed, f"{side.address}, lease {side.lease}"),
        Finding(f"the {what} bytes are a leaf of the {who}'s root", hangs, f"{len(path)} steps to {side.root}"),
    ]


def compared(evidence: Evidence, mine: bytes | None = None) -> Comparison | None:
    """The claimed cell against the auditor's, or against `mine` where somebody computed it anew; None where there is
    nothing to compare with. In the exact lane's way, by bits and with all numbers: thresholds are for whole challenges,
    and `details` has what they said."""
    other = mine if mine is not None else evidence.auditor.data if evidence.auditor else None
    if other is None:
        return None
    cell = evidence.cell
    return compare_cells(evidence.contract, evidence.spec, Lane.EXACT, {cell: evidence.worker.data}, {cell: other})


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
