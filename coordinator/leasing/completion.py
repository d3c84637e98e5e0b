"""Completion: the bytes are here. Tiles and audits are checked next; what trusted workers did is taken."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from eth_utils.address import to_checksum_address
from sqlalchemy.orm import Session

from coordinator.blobs import holds, link, link_all
from coordinator.config import Settings
from coordinator.errors import Conflict, TooLarge, Unprocessable
from coordinator.leasing.held import COMMITTING, Held, hold, lease_lost, revive
from coordinator.leasing.workers import seen
from coordinator.settlement import acknowledge
from coordinator.settlement import domain as settings_domain
from coordinator.states import JOB_OPEN, change_lease, change_work, tell_output
from coordinator.store.database import Database
from coordinator.store.models import Blob, Output
from coordinator.tasks import hint_after_commit
from jobs.manifest import Asset
from jobs.states import LeaseState, WorkKind, WorkState
from jobs.typed_data import Domain, completion_message, recover
from jobs.wire import Complete, Delivered

__all__ = ["complete"]

_MAX_RESULT_BYTES = 16 << 20
_TAKEN = (LeaseState.UPLOADED, LeaseState.ACCEPTED, LeaseState.REJECTED)


def complete(
    db: Database, settings: Settings, *, node: str, lease_id: str, body: Complete, domain: Domain | None = None
) -> Delivered:
    """All that belongs to the lease is uploaded; of a tile or an audit its worker signs that. The same again is
    answered the same; of a tile with our signed word that it is here.

    Raises NotFound; Conflict `lease_lost`, `not_committed`, `blob_missing`, `completed_already`; Unprocessable
    (`bad_signature`, `wrong_size`, `wrong_blobs`); TooLarge."""
    node, domain = to_checksum_address(node), domain or settings_domain(settings)
    state, tile = db.transact(lambda session: _complete(session, settings, domain, node, lease_id, body, db.now()))
    told = None if tile is None else acknowledge(settings, **tile._asdict())
    return Delivered(state=state, acknowledgement=told)


class _Tile(NamedTuple):
    """What is acknowledged of a tile."""

    job: str
    tile: int
    lease: str
    node: str
    root: str
    price: int


def _delivered(held: Held) -> _Tile | None:
    """None for what is no tile, for a tile that was refused, and for a job that is settled or over: how it ends
    on chain is decided by what we gave our word for before."""
    lease, work, job = held
    if lease.kind != WorkKind.TILE or lease.root is None or lease.state == LeaseState.REJECTED:
        return None
    if job.state not in JOB_OPEN:
        return None
    return _Tile(job.id, work.index, lease.id, lease.node, lease.root, work.price or 0)


def _complete(
    session: Session, settings: Settings, domain: Domain, node: str, lease_id: str, body: Complete, now: float
) -> tuple[str, _Tile | None]:
    seen(session, node, now)
    held = hold(session, node, lease_id, body.token)
    lease = held.lease
    committing = lease.kind in COMMITTING
    if lease.state in _TAKEN:
        if committing and (len(body.blobs) != 1 or body.blobs[0].sha256 != lease.blob):
            raise Conflict(f"the lease {lease.id} was completed with another result", code="completed_already")
        return lease.state, _delivered(held)
    if lease.state == LeaseState.EXPIRED and not revive(session, held, now, settings.leases.expiry_seconds):
        raise lease_lost(lease)
    if committing and lease.state == LeaseState.ACTIVE:
        raise Conflict("a tile is committed to before it is completed", code="not_committed")
    if lease.state not in (LeaseState.ACTIVE, LeaseState.COMMITTED):
        raise lease_lost(lease)
    _require(session, node, body.blobs)
    if committing:
        _hand_in(session, domain, held, body)
    else:
        _take(session, held, body, now)
    return lease.state, _delivered(held)


def _require(session: Session, node: str, blobs: tuple[Asset, ...]) -> None:
    """Every named blob has arrived, whole, from this worker."""
    for asset in blobs:
        blob = session.get(Blob, asset.sha256)
        if blob is None or not holds(session, node, asset.sha256):
            raise Conflict(f"{asset.path} ({asset.sha256}) is not uploaded yet", code="blob_missing")
        if blob.size != asset.size:
            raise Unprocessable(f"{asset.path} has {blob.size} bytes, not {asset.size}", code="wrong_size")


def _hand_in(session: Session, domain: Domain, held: Held, body: Complete) -> None:
    """A tile's or audit's raw result: it is looked at outside this transaction."""
    lease, work, job = held
    if len(body.blobs) != 1:
        raise Unprocessable(f"a {lease.kind} has exactly one result, not {len(body.blobs)}", code="wrong_blobs")
    blob = body.blobs[0].sha256
    assert lease.root is not None
    message = completion_message(
        domain, lease=lease.id, token=body.token, root=bytes.fromhex(lease.root[2:]), result=bytes.fromhex(blob)
    )
    if body.signature is None or recover(message, body.signature) != lease.node:
        raise Unprocessable(
            f"signature: {lease.node} did not sign that it delivers {blob} for {lease.root}; an agent of this version "
            "does", code="bad_signature",
        )  # fmt: skip
    link(session, job.id, blob, "audit" if lease.kind == WorkKind.AUDIT else "result")
    change_lease(
        session, lease, LeaseState.UPLOADED, blob=blob, progress=1.0, completion_signature=body.signature
    )  # fmt: skip
    if work.state == WorkState.LEASED:
        told = {"node": lease.node, "attempt": lease.attempt, "seconds": lease.seconds}
        change_work(session, work, WorkState.CHECKING, tell=told)
    if lease.kind == WorkKind.AUDIT:
        hint_after_commit(session, "judge", str(work.audited_lease))
    else:
        hint_after_commit(session, "draw", lease.id)


def _take(session: Session, held: Held, body: Complete, now: float) -> None:
    """What a trusted worker did: its answer and its files."""
    lease, work, job = held
    if len(json.dumps(body.result)) > _MAX_RESULT_BYTES:
        raise TooLarge(f"the result is larger than {_MAX_RESULT_BYTES:,} bytes of JSON; deliver files as blobs")
    files = [asset.model_dump(mode="json") for asset in body.blobs]
    result = {**body.result, "blobs": files}
    change_lease(session, lease, LeaseState.ACCEPTED, seconds=body.seconds, finished_at=now, progress=1.0)
    change_work(
        session, work, WorkState.DONE, result=result, accepted_lease=lease.id, finished_at=now
    )  # fmt: skip
    match WorkKind(work.kind):
        case WorkKind.DESCRIBE | WorkKind.REFERENCE:
            link_all(session, job.id, [asset.sha256 for asset in body.blobs], "reference")
            hint_after_commit(session, "admit", job.id)
        case WorkKind.REPRODUCE:
            hint_after_commit(session, "judge", str(work.audited_lease))
        case WorkKind.ASSEMBLE:
            _deliver(session, held, body.blobs, body.result, now)
            hint_after_commit(session, "complete_frame", job.id, work.key)


def _kind(path: str, named: dict[str, Any], job_kind: str) -> str:
    """What a delivered file is: as the runner says, else by its name."""
    if isinstance(named.get(path), str):
        return str(named[path])[:20]
    if job_kind == "infer":
        return "predictions"
    return "exr" if path.lower().endswith(".exr") else "image"


def _deliver(session: Session, held: Held, blobs: tuple[Asset, ...], result: dict[str, Any], now: float) -> None:
    """Record the files that an assemble lease made as outputs of the job."""
    _, work, job = held
    named = result.get("kinds", {})
    link_all(session, job.id, [asset.sha256 for asset in blobs], "output")
    for asset in blobs:
        output = Output(
            job_id=job.id, path=asset.path, kind=_kind(asset.path, named if isinstance(named, dict) else {}, job.kind),
            frame=work.payload.get("frame"), sha256=asset.sha256, size=asset.size, created_at=now,
        )  # fmt: skip
        output = session.merge(output)
        session.flush()
        tell_output(session, output)
