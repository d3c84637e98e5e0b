"""What an epoch's root was made from, page by page: receipts and leaves. Anyone may see it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.errors import NotFound
from coordinator.store.models import Epoch, Receipt, Reward
from jobs.wire import EpochAccount, EpochAccounts, EpochReceipt, EpochReceipts

__all__ = ["epoch_accounts", "epoch_receipts"]


def epoch_receipts(session: Session, number: int, *, after: int, limit: int) -> EpochReceipts:
    """Receipts in the order in which they were written, after the one with the id `after`. Raises NotFound."""
    _there(session, number)
    rows = session.scalars(
        select(Receipt)
        .where(Receipt.epoch == number, Receipt.work_id > after)
        .order_by(Receipt.work_id)
        .limit(limit + 1)
    ).all()
    shown = rows[:limit]
    return EpochReceipts(
        receipts=tuple(
            EpochReceipt(
                job=row.job_id, tile=row.tile, attempt=row.attempt, node=row.node, commitment=row.commitment,
                price=row.price, signature=row.signature, account=row.owner,
            )
            for row in shown
        ),
        next=shown[-1].work_id if len(rows) > limit else None,
    )  # fmt: skip


def epoch_accounts(session: Session, number: int, *, after: str, limit: int) -> EpochAccounts:
    """Leaves in the order of their accounts, after `after`. Raises NotFound."""
    _there(session, number)
    rows = session.scalars(
        select(Reward).where(Reward.epoch == number, Reward.account > after).order_by(Reward.account).limit(limit + 1)
    ).all()
    shown = rows[:limit]
    return EpochAccounts(
        accounts=tuple(EpochAccount(account=row.account, cumulative=row.cumulative) for row in shown),
        next=shown[-1].account if len(rows) > limit else None,
    )


def _there(session: Session, number: int) -> None:
    if session.get(Epoch, number) is None:
        raise NotFound(f"there is no epoch {number}; `kilnet epoch list` shows those that there are")
