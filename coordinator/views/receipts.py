"""ReceiptView: each receipt with all that is needed to check it again."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.settlement.receipts import job_receipts, receipt_tree
from coordinator.store.models import Job, Lease, Work
from jobs.wire import ReceiptView
from verification.challenge import secret_hash

__all__ = ["receipt_views"]


def receipt_views(session: Session, job: Job) -> list[ReceiptView]:
    """The receipts of a job by tile. Proofs and secrets are there once the job's root is fixed: until then a secret
    would tell the workers of other attempts something."""
    receipts = job_receipts(session, job.id)
    if not receipts:
        return []
    settled = job.receipt_root is not None
    tree = receipt_tree(receipts) if settled else None
    rows = {
        lease.id: (lease, payload)
        for lease, payload in session.execute(
            select(Lease, Work.payload)
            .join(Work, Work.accepted_lease == Lease.id)
            .where(Work.job_id == job.id, Lease.job_id == job.id)
        )
    }
    views = []
    for place, receipt in enumerate(receipts):
        lease, payload = rows[receipt.lease_id]
        views.append(
            ReceiptView.model_validate(
                {
                    "job": receipt.job_id,
                    "tile": receipt.tile,
                    "attempt": receipt.attempt,
                    "node": receipt.node,
                    "commitment": receipt.commitment,
                    "price": receipt.price,
                    "signature": receipt.signature,
                    "leaf": receipt.leaf,
                    "proof": None if tree is None else [_hex(step) for step in tree.proof(place)],
                    "lease": lease.id,
                    "fencing_token": lease.token,
                    "node_signature": lease.node_signature,
                    "secret": _hex(lease.secret) if settled else None,
                    "secret_hash": _hex(secret_hash(lease.secret)),
                    "cells": lease.cells or [],
                    "lane": receipt.lane,
                    "numerics_class": lease.numerics_class,
                    "auditor": receipt.auditor,
                    "spec": payload,
                    "result": lease.blob,
                }
            )
        )
    return views


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"
