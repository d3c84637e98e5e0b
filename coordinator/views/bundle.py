"""The bundle: everything about a job that somebody who trusts nobody needs to prove it again."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from coordinator.store.models import Job
from coordinator.views.receipts import receipt_views
from jobs.typed_data import Domain

__all__ = ["bundle"]


def bundle(session: Session, job: Job, domain: Domain, *, receipt_signer: str) -> dict[str, Any]:
    """JSON for `kilnet audit`: `job`, `kind`, `name`, `state`, `spec`, `manifest` (files that were worked on, blobs),
    `contract` and `frames` (None before they are known), `description`, `domain` (chain_id, escrow: what is signed is
    bound to it), `receipt_signer` (address), `receipt_root`, `settlement`, and `receipts` (jobs.wire.ReceiptView)."""
    return {
        "version": 1,
        "job": job.id,
        "kind": job.kind,
        "name": job.name,
        "state": job.state,
        "spec": job.spec,
        "manifest": job.manifest,
        "contract": job.contract,
        "frames": job.frames,
        "description": job.description,
        "domain": dict(domain),
        "receipt_signer": receipt_signer,
        "receipt_root": job.receipt_root,
        "settlement": job.settlement,
        "receipts": [view.model_dump(mode="json") for view in receipt_views(session, job)],
    }
