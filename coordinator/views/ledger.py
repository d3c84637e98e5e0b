"""LedgerView: what was burned and minted, epoch by epoch, and who earned it. Anyone may see it, as on the chain."""

from __future__ import annotations

import statistics
from collections import defaultdict

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.leasing import ONLINE_SECONDS
from coordinator.settlement import shown_kiln_per_usd
from coordinator.store.models import Epoch, Job, Node, Receipt, Reward
from jobs.wire import EpochView, LedgerView, OperatorView

__all__ = ["ledger_view"]

_EPOCHS = 60
_OPERATORS = 20


def ledger_view(session: Session, settings: Settings, *, now: float) -> LedgerView:
    """The books as the rows have them. `now` in Unix seconds."""
    burned_in = _burned(session)
    epochs = session.scalars(select(Epoch).order_by(Epoch.number.desc()).limit(_EPOCHS + 1)).all()
    views = []
    for i, epoch in enumerate(epochs[:_EPOCHS]):
        before = epochs[i + 1].total if i + 1 < len(epochs) else 0
        views.append(
            EpochView(
                number=epoch.number, created_at=epoch.created_at, burned=burned_in[epoch.number],
                minted=epoch.total - before, root=epoch.root, tx=epoch.tx, state=epoch.state,
            )
        )  # fmt: skip
    settled = [row for row in session.scalars(select(Job.settlement).where(Job.settlement.is_not(None))) if row]
    paid = session.scalar(select(func.count()).select_from(Receipt).where(Receipt.epoch > 0))
    waiting = session.scalar(select(func.count()).select_from(Receipt).where(Receipt.epoch.is_(None)))
    return LedgerView(
        burned=sum(int(row.get("burned", 0)) for row in settled),
        fees=sum(int(row.get("fee", 0)) for row in settled),
        minted=epochs[0].total if epochs else 0,
        jobs_settled=len(settled),
        tiles_paid=int(paid or 0),
        receipts_waiting=int(waiting or 0),
        kiln_per_usd=shown_kiln_per_usd(session, settings),
        usd_per_kiln_hour=_price(session, now),
        epochs=tuple(views),
        operators=tuple(_operators(session, epochs[0].number if epochs else 0)),
    )


def _burned(session: Session) -> defaultdict[int, int]:
    """Units burned by the jobs that each epoch pays."""
    paid = select(Receipt.epoch, Receipt.job_id).where(Receipt.epoch > 0).distinct().subquery()
    out: defaultdict[int, int] = defaultdict(int)
    for number, settlement in session.execute(select(paid.c.epoch, Job.settlement).join(Job, Job.id == paid.c.job_id)):
        out[number] += int((settlement or {}).get("burned", 0))
    return out


def _price(session: Session, now: float) -> float | None:
    asks = session.scalars(
        select(Node.ask_usd_per_kiln_hour).where(Node.last_seen > now - ONLINE_SECONDS, ~Node.trusted)
    ).all()
    return statistics.median(asks) if asks else None


def _operators(session: Session, epoch: int) -> list[OperatorView]:
    best = session.execute(
        select(Reward.account, Reward.cumulative)
        .where(Reward.epoch == epoch)
        .order_by(Reward.cumulative.desc(), Reward.account)
        .limit(_OPERATORS)
    ).all()
    owners = [row.account for row in best]
    counts = {
        owner: (tiles, nodes)
        for owner, tiles, nodes in session.execute(
            select(Receipt.owner, func.count(), func.count(Receipt.node.distinct()))
            .where(Receipt.owner.in_(owners), Receipt.epoch > 0)
            .group_by(Receipt.owner)
        )
    }
    return [
        OperatorView(
            owner=row.account, earned=row.cumulative, tiles=counts[row.account][0], nodes=counts[row.account][1]
        )
        for row in best
        if row.account in counts
    ]
