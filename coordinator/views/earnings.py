"""EarningsView: what a node earned, frame by frame, job by job, epoch by epoch."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.settlement import shown_kiln_per_usd
from coordinator.settlement.accounts import rewards_of, slashed_of, stake_of
from coordinator.store.models import Job, Node, Receipt, Strike, Work
from jobs.pricing import reward_units
from jobs.wire import EarningsView, EpochEarned, FrameEarned, JobEarned, SlashView

__all__ = ["earnings_view"]

_SHOWN = 100
"""Jobs and epochs, the latest."""


def earnings_view(session: Session, settings: Settings, address: str, *, job: str | None = None) -> EarningsView:
    """Of a node, or of all nodes of an owner. `job`: whose frames are wanted; None: the latest.

    Sums are made over receipts of one price at a time: amounts do not fit the database's own numbers."""
    node = session.get(Node, address)
    account = node.owner if node is not None else address
    mine = or_(Receipt.node == address, Receipt.owner == address)
    rows = session.execute(
        select(Receipt.job_id, Job.name, Receipt.epoch, Receipt.price, func.count(), func.max(Receipt.created_at))
        .join(Job, Job.id == Receipt.job_id)
        .where(mine)
        .group_by(Receipt.job_id, Job.name, Receipt.epoch, Receipt.price)
    ).all()
    names = {row.job_id: row.name for row in rows}
    tiles: defaultdict[str, int] = defaultdict(int)
    earned: defaultdict[str, int] = defaultdict(int)
    latest: defaultdict[str, float] = defaultdict(float)
    paid_in: dict[str, int | None] = {}
    by_epoch: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    total = unpaid = 0
    for job_id, _, epoch, price, count, at in rows:
        amount = count * reward_units(price) if epoch != 0 else 0
        tiles[job_id] += count
        earned[job_id] += amount
        latest[job_id] = max(latest[job_id], at)
        paid_in[job_id] = epoch
        total += amount
        if epoch is None:
            unpaid += amount
        elif epoch:
            by_epoch[epoch][0] += count
            by_epoch[epoch][1] += amount
    order = sorted(names, key=lambda one: -latest[one])
    wanted = job if job is not None else next(iter(order), None)
    slashes = _slashes(session, settings, address, account)
    return EarningsView(
        node=address,
        account=account,
        tiles=sum(tiles.values()),
        earned=total,
        unpaid=unpaid,
        jobs=tuple(
            JobEarned(job=one, name=names[one], tiles=tiles[one], amount=earned[one], epoch=paid_in[one])
            for one in order[:_SHOWN]
        ),
        job=wanted if wanted in names else None,
        frames=tuple(_frames(session, address, wanted)) if wanted in names else (),
        epochs=tuple(
            EpochEarned(epoch=number, tiles=count, amount=amount)
            for number, (count, amount) in sorted(by_epoch.items(), reverse=True)[:_SHOWN]
        ),
        slashed=sum(one.amount for one in slashes),
        slashes=slashes,
        rewards=rewards_of(session, settings, account),
        stake=stake_of(settings, account),
        kiln_per_usd=shown_kiln_per_usd(session, settings),
    )


def _slashes(session: Session, settings: Settings, address: str, account: str) -> tuple[SlashView, ...]:
    """What this gateway had proven, with the job that it was about, and what anybody else had."""
    rows = session.scalars(
        select(Strike)
        .where(or_(Strike.node == address, Strike.owner == address), Strike.slashed.is_not(None))
        .order_by(Strike.id.desc())
    ).all()
    known = {row.dispute_tx for row in rows if row.dispute_tx is not None}
    others = [one for one in slashed_of(settings, account) if one.tx not in known]
    return (
        *(SlashView(amount=row.slashed or 0, why=row.reason, job=row.job_id, tx=row.dispute_tx) for row in rows),
        *(SlashView(amount=one.amount, why=one.why, job=None, tx=one.tx) for one in others),
    )


def _frames(session: Session, address: str, job: str | None) -> list[FrameEarned]:
    """A tile of several frames is divided among them evenly, what is left over to the first."""
    rows = session.execute(
        select(Receipt.price, Receipt.epoch, Work.payload)
        .join(Work, Work.id == Receipt.work_id)
        .where(Receipt.job_id == job, or_(Receipt.node == address, Receipt.owner == address))
    )
    tiles: defaultdict[int | None, int] = defaultdict(int)
    amounts: defaultdict[int | None, int] = defaultdict(int)
    for price, epoch, payload in rows:
        frames: list[int | None] = list(payload.get("frames") or [None])
        amount = reward_units(price) if epoch != 0 else 0
        for place, frame in enumerate(frames):
            tiles[frame] += 1
            amounts[frame] += amount // len(frames) + (amount % len(frames) if place == 0 else 0)
    known = sorted(tiles, key=lambda frame: (frame is not None, frame or 0))
    return [FrameEarned(frame=frame, tiles=tiles[frame], amount=amounts[frame]) for frame in known]
