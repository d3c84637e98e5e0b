"""Evidence of a verdict: one cell of a judged tile with all that binds it, and what a node was refused.

Made from what is kept anyway, the worker's upload and the auditor's, for as long as the job's files are kept
(Limits.retention_seconds after its end). Claimed bytes are cut out and their Merkle path is built when somebody asks.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.blobs import BlobStore
from coordinator.errors import Conflict, NotFound, Unprocessable
from coordinator.judging.bytes import audit_cells, tile_bytes
from coordinator.leasing.offers import contract_of, tile_of
from coordinator.states import LEASE_LIVE
from coordinator.store.models import Blob, Job, Lease, Work
from jobs.contract import InferContract, Lane, RenderContract
from jobs.evidence import Evidence, Refusal
from jobs.states import LeaseState, WorkKind
from jobs.tiles import InferTile, RenderTile
from jobs.typed_data import Domain
from verification.challenge import secret_hash
from verification.commitment import MalformedResult, cell_bytes, cells_length, commit, commit_cells
from verification.merkle import Tree

__all__ = ["Material", "evidence_of", "judged_lease", "material", "refusal_views"]

_JUDGED = (LeaseState.ACCEPTED, LeaseState.REJECTED)
_MOST = 200


class Material(NamedTuple):
    """The rows that evidence is made of, read in one transaction; the bytes are read outside of it."""

    job: Job
    work: Work
    lease: Lease
    audit: Lease | None


def judged_lease(session: Session, job: Job, tile: int, attempt: int | None) -> str:
    """The judged attempt at a tile that is meant: the named one, else the latest refused one, else the one that was
    taken. Raises NotFound."""
    wanted = (
        select(Lease.id)
        .join(Work, Work.id == Lease.work_id)
        .where(
            Work.job_id == job.id, Work.kind == str(WorkKind.TILE), Work.index == tile,
            Lease.state.in_([str(state) for state in _JUDGED]),
        )
        .order_by((Lease.state == str(LeaseState.REJECTED)).desc(), Lease.token.desc())
    )  # fmt: skip
    if attempt is not None:
        wanted = wanted.where(Lease.attempt == attempt)
    found = session.scalars(wanted.limit(1)).one_or_none()
    if found is None:
        which = f"attempt {attempt} at tile {tile}" if attempt is not None else f"tile {tile}"
        raise NotFound(f"{which} of job {job.id} has no verdict (yet); `kilnet job {job.id}` shows its tiles")
    return found


def refusal_views(session: Session, node: str, *, limit: int = 50) -> list[Refusal]:
    """The refused tiles of one node, the latest first."""
    rows = session.execute(
        select(Lease, Work.index)
        .join(Work, Work.id == Lease.work_id)
        .where(Lease.node == node, Lease.kind == str(WorkKind.TILE), Lease.state == str(LeaseState.REJECTED))
        .order_by(Lease.finished_at.desc())
        .limit(min(limit, _MOST))
    ).all()
    return [_refusal(session, lease, index) for lease, index in rows]


def _refusal(session: Session, lease: Lease, tile: int) -> Refusal:
    rows = (lease.evidence or {}).get("differing", [])
    return Refusal(
        lease=lease.id, job=lease.job_id, tile=tile, attempt=lease.attempt,
        lane=Lane(lease.lane) if lease.lane else None, reason=lease.reason or "", cells=len(lease.cells or ()),
        refused_at=lease.finished_at,
        differing=tuple(row["cell"] for row in rows if isinstance(row.get("cell"), int)),
        kept=bool(lease.cells) and lease.blob is not None and session.get(Blob, lease.blob) is not None,
    )  # fmt: skip


def material(session: Session, lease_id: str, *, address: str, trusted: bool) -> Material:
    """What the evidence about a judged lease of a tile is made of: for the job's owner, the node whose lease it is, and
    the coordinator's own. Raises NotFound for all others, Conflict where there is no verdict (yet)."""
    lease = session.get(Lease, lease_id)
    job = None if lease is None else session.get_one(Job, lease.job_id)
    if lease is None or job is None or lease.kind != WorkKind.TILE:
        raise NotFound(f"no lease {lease_id[:40]!r} of a tile of yours; check its id")
    if not trusted and address not in (lease.node, job.owner):
        raise NotFound(f"no lease {lease_id[:40]!r} of a tile of yours; check its id")
    if lease.state not in _JUDGED:
        pending = "is still open" if lease.state in LEASE_LIVE else f"ended {lease.state}, without a verdict"
        raise Conflict(f"the lease {lease.id} {pending}: there is evidence of judged tiles only", code="no_verdict")
    if not lease.cells or lease.root is None or lease.blob is None or lease.node_signature is None:
        raise Conflict(
            f"no cell of the lease {lease.id} was drawn: {lease.reason or 'it was not audited'}; name another attempt",
            code="no_cells",
        )
    named = (lease.evidence or {}).get("audit_lease")
    audit = session.get(Lease, named) if isinstance(named, str) else None
    return Material(job, session.get_one(Work, lease.work_id), lease, audit)


def evidence_of(store: BlobStore, found: Material, domain: Domain, cell: int | None = None) -> Evidence:
    """The evidence about one cell: the one that differed the most, else the first challenged one, where none is named.

    Raises Unprocessable for a cell that the tile has not, NotFound where the uploads are no longer kept."""
    job, work, lease, audit = found
    assert lease.cells and lease.root and lease.blob and lease.node_signature
    contract, tile = contract_of(job), tile_of(work.payload)
    if cell is None:
        differing = (lease.evidence or {}).get("differing", [])
        cell = next((row["cell"] for row in differing if row.get("cell") in lease.cells), lease.cells[0])
    assert isinstance(cell, int)
    if not 0 <= cell < tile.cell_count():
        raise Unprocessable(
            f"tile {work.index} has cells 0 to {tile.cell_count() - 1}, no cell {cell}; name one of those",
            code="no_cell",
        )
    try:
        data = tile_bytes(store, lease.blob, lease.id, lease.root, contract, tile)
        tree = commit(lease.id, contract, tile, data)
        worker = _side(lease, tree, cell, cell_bytes(contract, tile, data, cell))
        auditor = None if audit is None else _auditor(store, contract, tile, lease.cells, audit, cell)
    except (MalformedResult, NotFound, FileNotFoundError) as error:
        raise NotFound(
            f"the uploads for the lease {lease.id} are no longer kept ({error}); ask sooner after the verdict",
            code="gone",
        ) from error
    shown = lease.state == LeaseState.REJECTED or job.receipt_root is not None
    return Evidence.model_validate(
        {
            "job": job.id, "tile": work.index, "attempt": lease.attempt, "spec": work.payload,
            "contract": job.contract, "manifest": job.manifest, "chain_id": domain["chain_id"],
            "escrow": domain["escrow"], "lane": lease.lane or contract.lane, "verdict": lease.verdict,
            "reason": (lease.reason or "")[:4000], "details": lease.evidence or {}, "cell": cell,
            "challenge": lease.cells, "secret_hash": _hex(secret_hash(lease.secret)),
            "secret": _hex(lease.secret) if shown else None, "worker": worker, "auditor": auditor,
        }
    )  # fmt: skip


def _auditor(
    store: BlobStore,
    contract: RenderContract | InferContract,
    tile: RenderTile | InferTile,
    cells: list[int],
    audit: Lease,
    cell: int,
) -> dict[str, Any] | None:
    """The auditor's side of a challenged cell; None for another one, and where its upload is gone."""
    if cell not in cells or audit.root is None or audit.blob is None or audit.node_signature is None:
        return None
    length = cells_length(contract, tile, cells)
    redone = audit_cells(store, audit.blob, audit.id, audit.root, contract, tile, cells, length)
    return _side(audit, commit_cells(audit.id, contract, redone), cells.index(cell), redone[cell])


def _side(lease: Lease, tree: Tree, place: int, data: bytes) -> dict[str, Any]:
    return {
        "address": lease.node, "numerics_class": lease.numerics_class, "lease": lease.id, "token": lease.token,
        "root": lease.root, "signature": lease.node_signature, "leaves": len(tree), "place": place,
        "path": [_hex(step) for step in tree.path(place)], "data": base64.b64encode(data).decode(),
    }  # fmt: skip


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"
