"""Receipts are signed where a tile passes, and hang on the job's root when it settles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.settlement.chain import domain, receipt_signer
from coordinator.store.models import Receipt
from jobs.typed_data import receipt_message, sign
from verification.receipts import ReceiptTree, receipt_leaf

__all__ = ["SignedReceipt", "job_receipts", "receipt_tree", "sign_receipt"]


class SignedReceipt(NamedTuple):
    """A receipt's leaf and signature, 0x-hex."""

    leaf: str
    signature: str


def sign_receipt(
    settings: Settings, *, job: str, tile: int, attempt: int, node: str, commitment: str, price: int
) -> SignedReceipt:
    """Sign the statement that a tile passed. `commitment` is 0x-hex of 32 bytes, `price` in units of KILN."""
    message = receipt_message(
        domain(settings), job=job, tile=tile, attempt=attempt, node=node,
        commitment=bytes.fromhex(commitment.removeprefix("0x")), price=price,
    )  # fmt: skip
    _, key = receipt_signer(settings)
    signature = sign(message, key)
    return SignedReceipt(leaf="0x" + receipt_leaf(message, bytes.fromhex(signature[2:])).hex(), signature=signature)


def job_receipts(session: Session, job_id: str) -> Sequence[Receipt]:
    """A job's receipts in the order in which they are leaves of its tree: by tile."""
    return session.scalars(select(Receipt).where(Receipt.job_id == job_id).order_by(Receipt.tile)).all()


def receipt_tree(receipts: Sequence[Receipt]) -> ReceiptTree:
    """The tree over a job's receipts, in the order of `job_receipts`."""
    return ReceiptTree([(bytes.fromhex(receipt.leaf[2:]), receipt.price) for receipt in receipts])
