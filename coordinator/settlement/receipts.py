"""Receipts are signed where a tile passes, and hang on the job's root when it settles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.settlement.chain import domain, receipt_signer
from coordinator.store.database import Database
from coordinator.store.models import Receipt
from jobs.typed_data import receipt_message, recover, sign
from verification.receipts import ReceiptTree, receipt_leaf

__all__ = ["SignedReceipt", "job_receipts", "receipt_tree", "sign_receipt", "withdraw_unsound"]


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
    """A job's receipts in the order in which they are leaves of its tree: by tile. Without those withdrawn."""
    return session.scalars(
        select(Receipt).where(Receipt.job_id == job_id, Receipt.withdrawn.is_(None)).order_by(Receipt.tile)
    ).all()


def withdraw_unsound(db: Database, settings: Settings, job_id: str) -> None:
    """After a proposal was voided: take out of the next one whatever a chain can prove wrong of it, a receipt that
    our signer did not sign as it stands, and the second of one tile. Their nodes are not paid for them."""
    signer, _ = receipt_signer(settings)
    with db.begin() as session:
        tiles: set[int] = set()
        for receipt in job_receipts(session, job_id):
            message = receipt_message(
                domain(settings), job=job_id, tile=receipt.tile, attempt=receipt.attempt, node=receipt.node,
                commitment=bytes.fromhex(receipt.commitment[2:]), price=receipt.price,
            )  # fmt: skip
            leaf = "0x" + receipt_leaf(message, bytes.fromhex(receipt.signature[2:])).hex()
            if recover(message, receipt.signature) != signer or leaf != receipt.leaf:
                receipt.withdrawn = "it is not what the receipt signer signed"
            elif receipt.tile in tiles:
                receipt.withdrawn = "another receipt pays its tile"
            tiles.add(receipt.tile)


def receipt_tree(receipts: Sequence[Receipt]) -> ReceiptTree:
    """The tree over a job's receipts, in the order of `job_receipts`."""
    return ReceiptTree([(bytes.fromhex(receipt.leaf[2:]), receipt.price) for receipt in receipts])
