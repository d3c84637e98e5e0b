"""Whether there is stake behind a node, on rows alone: what the chain said a moment ago, and what open jobs lock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.errors import Conflict
from coordinator.leasing.workers import ONLINE_SECONDS, Worker
from coordinator.settlement import StakeTerms, stake_asked, stake_terms
from coordinator.store.database import Database
from coordinator.store.models import Award, Node, Operator
from coordinator.tasks import hint, hint_after_commit
from jobs.pricing import display_kiln

__all__ = ["Backing", "backing", "lock_for", "must_be_staked", "unbacked"]

_OPEN = ("wanted", "locked")
_REFUSED_SECONDS = 30.0
_LOOK_AGAIN_SECONDS = 3.0
"""Who was refused is looked up again when it asks again: it may have staked meanwhile."""


class Backing(NamedTuple):
    """What answers for one node. Amounts in units of KILN."""

    operator: str | None
    staked: int
    needed: int
    locked: int
    per_job: int
    jobs: frozenset[str]
    """Jobs that lock some of it: tiles of these may go on."""
    shut: frozenset[str]
    """Jobs whose lock the chain refused: no more tiles of these."""
    refusal: str | None
    """Why it gets no tiles at all, and what to do."""
    looked_at: float | None

    @property
    def takes_more(self) -> bool:
        """Whether what is free covers another job."""
        return self.refusal is None and self.staked - self.locked >= self.per_job

    def may_have(self, job: str) -> bool:
        """Whether a tile of this job may be given to it."""
        return self.refusal is None and job not in self.shut and (job in self.jobs or self.takes_more)


def backing(session: Session, settings: Settings, address: str, owner: str, now: float) -> Backing | None:
    """What answers for a node; None where nothing is asked for, or is not known yet what."""
    terms = stake_terms(session, settings) if stake_asked(settings) else None
    if terms is None:
        return None
    row, node = session.get(Operator, owner), session.get_one(Node, address)
    rows = session.execute(
        # Of thousands of jobs that are over nothing is asked, claim after claim.
        select(Award.job_id, Award.stake, Award.state, Award.created_at).where(
            Award.operator == owner, Award.state.in_((*_OPEN, "refused"))
        )
    ).all()
    seen = 0.0 if row is None else row.looked_at
    mine = [one for one in rows if one.state in _OPEN]
    nodes = session.scalar(
        select(func.count()).where(
            Node.operator == owner, Node.owner == owner, ~Node.trusted, Node.last_seen > now - ONLINE_SECONDS
        )
    )
    needed = terms.per_node * max(1, nodes or 0)
    staked = row.staked if row is not None else 0
    return Backing(
        operator=node.operator, staked=staked, needed=needed, locked=sum(one.stake for one in mine),
        per_job=terms.per_job, jobs=frozenset(one.job_id for one in mine),
        # What was looked up well after a refusal is believed again: the chain may have come back with an older state.
        shut=frozenset(
            one.job_id for one in rows if one.state == "refused" and seen < one.created_at + _REFUSED_SECONDS
        ),
        refusal=_refusal(row, node, owner, needed, terms, max(1, nodes or 0)),
        looked_at=None if row is None else row.looked_at,
    )  # fmt: skip


def _refusal(row: Operator | None, node: Node, owner: str, needed: int, terms: StakeTerms, nodes: int) -> str | None:
    how = "`kilnet node register` with its --gateway and --data"
    if row is None:
        return "its stake is being looked up on chain: it asks again in a moment"
    if not row.registered:
        return f"{owner} is no operator on chain: {how} registers it and stakes {display_kiln(terms.per_node)} KILN"
    if node.operator is None:
        return f"on chain nobody answers for this node's key: {how} adds it to its operator"
    if node.operator != owner:
        return (
            f"on chain {node.operator} answers for this node, and it says that its owner is {owner}: start it with "
            f"--owner {node.operator}"
        )
    if row.staked < needed:
        missing = display_kiln(needed - row.staked)
        return (
            f"{owner} has {display_kiln(row.staked)} KILN of its own at stake and {nodes} node"
            f"{'s' if nodes > 1 else ''} online need{'' if nodes > 1 else 's'} {display_kiln(needed)}: stake {missing} "
            f"more with {how}"
        )
    return None


def unbacked(session: Session, settings: Settings, workers: Sequence[Worker], now: float) -> frozenset[str]:
    """Addresses of those that get nothing for want of stake: their asks set no price, and nobody waits for them. Who
    was not looked up yet is not among them."""
    terms = stake_terms(session, settings) if stake_asked(settings) else None
    if terms is None:
        return frozenset()
    known = {row.address: row for row in session.scalars(select(Operator))}
    answers: dict[str, str | None] = {
        row.address: row.operator
        for row in session.execute(
            select(Node.address, Node.operator).where(~Node.trusted, Node.last_seen > now - ONLINE_SECONDS)
        )
    }
    nodes = Counter(worker.owner for worker in workers if answers.get(worker.address) == worker.owner)
    return frozenset(
        worker.address
        for worker in workers
        if not worker.trusted
        and (row := known.get(worker.owner)) is not None
        and (
            not row.registered
            or answers.get(worker.address) != worker.owner
            or row.staked < terms.per_node * max(1, nodes[worker.owner])
        )
    )


def must_be_staked(session: Session, settings: Settings, worker: Worker, now: float) -> Backing | None:
    """What is behind a worker that asks for work; None where it needs none. Raises Conflict `stake_needed`."""
    if worker.trusted:
        return None
    found = backing(session, settings, worker.address, worker.owner, now)
    if found is not None and found.refusal is not None:
        if found.looked_at is None or found.looked_at < now - _LOOK_AGAIN_SECONDS:
            hint("look", worker.owner)
        if found.looked_at is None:
            return found  # nothing for it yet; its call is held, and it is known in a moment
        raise Conflict(found.refusal, code="stake_needed")
    return found


def lock_for(db: Database, session: Session, settings: Settings, worker: Worker, job_id: str, now: float) -> bool:
    """Whether this worker may have a tile of the job; its first one has the operator's stake locked on chain.

    In the transaction that makes the lease: two leases at once never share what is free."""
    if worker.trusted or not stake_asked(settings):
        return True
    session.scalars(db.locked(select(Operator).where(Operator.address == worker.owner))).one_or_none()
    found = backing(session, settings, worker.address, worker.owner, now)
    if found is None or job_id in found.jobs:
        return True
    if not found.may_have(job_id):
        return False
    session.merge(Award(job_id=job_id, operator=worker.owner, stake=found.per_job, state="wanted", created_at=now))
    session.flush()
    hint_after_commit(session, "award", job_id)
    return True
