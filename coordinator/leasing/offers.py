"""What a worker is told with its lease."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.store.models import Job, Lease, Work
from jobs.contract import Contract, InferContract, RenderContract
from jobs.manifest import Manifest
from jobs.states import JobKind, WorkKind
from jobs.tiles import InferTile, RenderTile, Tile
from jobs.typed_data import Domain
from jobs.wire import AuditCells, LeaseOffer
from verification.challenge import secret_hash

__all__ = ["contract_of", "offer", "tile_of"]

_CONTRACT: TypeAdapter[RenderContract | InferContract] = TypeAdapter(Contract)
_TILE: TypeAdapter[RenderTile | InferTile] = TypeAdapter(Tile)
_WITH_TILE = (WorkKind.TILE, WorkKind.REPRODUCE)


def contract_of(job: Job) -> RenderContract | InferContract:
    """The job's contract; it has one from the end of its description on."""
    return _CONTRACT.validate_python(job.contract)


def tile_of(payload: dict[str, Any]) -> RenderTile | InferTile:
    """The tile of a TILE's or REPRODUCE's payload."""
    return _TILE.validate_python(payload)


def offer(session: Session, settings: Settings, lease: Lease, domain: Domain) -> LeaseOffer:
    """The lease as its worker sees it."""
    work, job = session.get_one(Work, lease.work_id), session.get_one(Job, lease.job_id)
    kind = WorkKind(work.kind)
    manifest = Manifest.model_validate(job.manifest)
    has_params = kind in (WorkKind.DESCRIBE, WorkKind.REFERENCE, WorkKind.ASSEMBLE)
    return LeaseOffer(
        id=lease.id,
        token=lease.token,
        kind=kind,
        job=job.id,
        job_kind=JobKind(job.kind),
        expires_at=lease.expires_at,
        expected_seconds=(lease.last_expiry - lease.created_at) / settings.leases.longest_factor,
        heartbeat_seconds=settings.leases.heartbeat_seconds,
        secret_hash="0x" + secret_hash(lease.secret).hex(),
        domain=dict(domain),
        main=manifest.main,
        assets=manifest.assets,
        contract=contract_of(job) if job.contract is not None else None,
        tile=tile_of(work.payload) if kind in _WITH_TILE else None,
        audit=AuditCells.model_validate(work.payload) if kind is WorkKind.AUDIT else None,
        params=work.payload if has_params else {},
    )
