"""Rewards: one cumulative Merkle root per epoch over all that owners of nodes ever earned.

Only receipts of finalized jobs are paid, each 0.95 x what its own tile burned: nothing is pooled.
"""

from __future__ import annotations

from collections import defaultdict

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.settlement.chain import client
from coordinator.settlement.transactions import transact
from coordinator.store.database import Database
from coordinator.store.models import Epoch, Job, Receipt, Reward
from jobs.pricing import reward_units
from jobs.states import JOB_FINAL
from verification.receipts import RewardTree, reward_leaf

__all__ = ["close_epoch", "reward_tree"]

NEVER = 0
"""The epoch of receipts whose job was refunded by its deadline: nothing was burned for them, nothing is minted."""

log = structlog.get_logger(__name__)


def reward_tree(rewards: list[tuple[str, int]]) -> RewardTree:
    """The tree over (account, cumulative units), ordered by account so that anyone builds the same."""
    return RewardTree([reward_leaf(account, cumulative) for account, cumulative in sorted(rewards)])


def close_epoch(db: Database, settings: Settings) -> int | None:
    """Put the receipts of newly finalized jobs into the next root and post it; the number of the epoch, or None
    where there is nothing to pay. An epoch whose posting was interrupted is posted first."""
    number = _open_epoch(db) or _collect(db)
    if number is None:
        return None
    with db.read() as session:
        epoch = session.get_one(Epoch, number)
        root, total = bytes.fromhex(epoch.root[2:]), epoch.total
    chain = client(settings)
    tx: str | None = None
    if chain.last_epoch() < number:
        tx = transact(
            db, settings, f"epoch:{number}", lambda c, n: c.prepare_post_root(number, root, total, nonce=n)
        ).hash
    with db.begin() as session:
        row = session.get_one(Epoch, number)
        row.state, row.tx = "posted", tx or row.tx
        _tell_jobs(session, number, row)
    log.info("epoch posted", epoch=number, total=str(total))
    return number


def _open_epoch(db: Database) -> int | None:
    with db.read() as session:
        number: int | None = session.scalar(select(func.min(Epoch.number)).where(Epoch.state == "posting"))
        return number


def _collect(db: Database) -> int | None:
    """Assign unpaid receipts to the next epoch and write its cumulative rewards down, in one transaction."""
    with db.begin() as session:
        found = session.execute(
            select(Receipt, Job)
            .join(Job, Job.id == Receipt.job_id)
            .where(
                Receipt.epoch.is_(None), Receipt.withdrawn.is_(None), Job.state.in_([str(state) for state in JOB_FINAL])
            )
            .order_by(Receipt.work_id)
        ).all()
        unpaid = []
        for receipt, job in found:
            if _burned(job):
                unpaid.append(receipt)
            else:
                receipt.epoch = NEVER
        if not unpaid:
            return None
        last = session.scalar(select(func.max(Epoch.number))) or 0
        cumulative: dict[str, int] = defaultdict(int)
        for reward in session.scalars(select(Reward).where(Reward.epoch == last)):
            cumulative[reward.account] = reward.cumulative
        number = last + 1
        for receipt in unpaid:
            cumulative[receipt.owner] += reward_units(receipt.price)
            receipt.epoch = number
        tree = reward_tree(list(cumulative.items()))
        session.add(
            Epoch(
                number=number,
                root="0x" + tree.root.hex(),
                total=sum(cumulative.values()),
                tx=None,
                state="posting",
                created_at=db.now(),
            )
        )
        session.flush()
        session.add_all(Reward(epoch=number, account=a, cumulative=units) for a, units in cumulative.items())
        return number


def _burned(job: Job) -> bool:
    return job.settlement is not None and int(job.settlement["burned"]) > 0


def _tell_jobs(session: Session, number: int, epoch: Epoch) -> None:
    """Write epoch, root and transaction into the settlements of the jobs that it pays."""
    ids = session.scalars(select(Receipt.job_id).where(Receipt.epoch == number).distinct()).all()
    for job in session.scalars(select(Job).where(Job.id.in_(ids))):
        settlement = dict(job.settlement or {})
        settlement |= {"epoch": number, "reward_root": epoch.root, "reward_tx": epoch.tx}
        session.execute(update(Job).where(Job.id == job.id).values(settlement=settlement))
