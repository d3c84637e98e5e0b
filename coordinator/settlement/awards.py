"""Awards: whoever works on a job has stake locked for it, from its first lease until the job is final on chain."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from eth_utils.crypto import keccak
from sqlalchemy import select, update

from contracts.client import JobState
from contracts.errors import Reverted
from coordinator.config import Settings
from coordinator.settlement.chain import client
from coordinator.settlement.transactions import transact
from coordinator.store.database import Database
from coordinator.store.models import Award
from jobs.typed_data import chain_job_id

__all__ = ["award", "release"]

log = structlog.get_logger(__name__)

_MOST = 100
"""Operators in one transaction: a block has an end."""


def award(db: Database, settings: Settings, job_id: str) -> None:
    """Lock the stake of all who work on a job and have none locked for it yet.

    Where the chain would not lock an operator's, that operator gets no more of the job's tiles. Raises
    ChainUnavailable and TransactionPending: the same call later goes on."""
    chain, job = client(settings), chain_job_id(job_id)
    for _ in range(_MOST):
        if not (wanted := _wanted(db, job_id)):
            return
        locked = [one for one, _ in wanted if chain.lock_of(job, one)]
        if locked:
            _mark(db, job_id, locked, "locked")
            continue
        state = chain.escrow(job).state
        if state is JobState.NONE:
            return  # our own opening is on its way again: after a reorganisation, say
        if state is not JobState.OPEN:
            _mark(db, job_id, [one for one, _ in wanted], "passed", f"the job was {state.name.lower()} first")
            return
        _lock(db, settings, job_id, wanted)


def _wanted(db: Database, job_id: str) -> list[tuple[str, int]]:
    """Operators that are to be locked, all with the same stake."""
    with db.read() as session:
        rows = session.execute(
            select(Award.operator, Award.stake)
            .where(Award.job_id == job_id, Award.state == "wanted")
            .order_by(Award.created_at, Award.operator)
        ).all()
    return [(row.operator, row.stake) for row in rows if row.stake == rows[0].stake][:_MOST]


def _lock(db: Database, settings: Settings, job_id: str, wanted: Sequence[tuple[str, int]]) -> None:
    operators, stake, job = [one for one, _ in wanted], wanted[0][1], chain_job_id(job_id)
    # The same operators are the same transaction. Where somebody joined them before it was mined, the second one is
    # refused for those that the first has locked by then, and they are found locked at the next look.
    key = f"award:{job_id}:{keccak(text=''.join(sorted(operators))).hex()[:16]}"
    try:
        result = transact(db, settings, key, lambda c, n: c.prepare_award(job, operators, stake, nonce=n))
    except Reverted as error:
        if error.name == "AlreadyLocked":
            return
        short = str(error.arguments.get("operator", ""))
        named = [one for one in operators if one.lower() == short.lower()] or operators
        _mark(db, job_id, named, "refused", str(error))
        log.warning("stake_not_locked", job=job_id, operators=named, error=str(error))
        return
    chain = client(settings)
    done = [one for one in operators if chain.lock_of(job, one)]
    _mark(db, job_id, done, "locked", tx=result.hash)


def _mark(
    db: Database, job_id: str, operators: Sequence[str], state: str, reason: str | None = None, *, tx: str | None = None
) -> None:
    values: dict[str, object] = {"state": state, "reason": reason, **({"tx": tx} if tx else {})}
    if state == "refused":
        values["created_at"] = db.now()
    with db.begin() as session:
        session.execute(update(Award).where(Award.job_id == job_id, Award.operator.in_(operators)).values(**values))


def release(db: Database, settings: Settings, job_id: str) -> None:
    """End the locks of a job that is final on chain. Raises ChainUnavailable and TransactionPending, as `award`."""
    with db.read() as session:
        rows = session.scalars(select(Award).where(Award.job_id == job_id)).all()
    waiting = [row.operator for row in rows if row.state == "wanted"]
    locked = [row.operator for row in rows if row.state == "locked"]
    chain, job = client(settings), chain_job_id(job_id)
    if chain.escrow(job).state not in (JobState.FINALIZED, JobState.REFUNDED):
        return
    _mark(db, job_id, waiting, "passed", "the job was over first")
    held = [one for one in locked if chain.lock_of(job, one)]
    for first in range(0, len(held), _MOST):
        batch = held[first : first + _MOST]
        transact(
            db,
            settings,
            f"release:{job_id}:{batch[0][2:14]}",
            lambda c, n, b=batch: c.prepare_release(job, b, nonce=n),  # type: ignore[misc]
        )
    _mark(db, job_id, locked, "released")
