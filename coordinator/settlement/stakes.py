"""What operators have at stake, as the chain had it a moment ago, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.settlement.chain import addresses, client
from coordinator.settlement.price import known_kiln_per_usd
from coordinator.store.database import Database
from coordinator.store.models import Node, Operator
from jobs.pricing import to_units

__all__ = ["StakeTerms", "look_again", "look_at", "stake_asked", "stake_terms"]

_AT_ONCE = 32
_ONLINE_SECONDS = 300


class StakeTerms(NamedTuple):
    """In units of KILN, at the last price known."""

    per_node: int
    """What an operator has staked for each of its nodes."""
    per_job: int
    """What of it an open job locks."""


def stake_asked(settings: Settings) -> bool:
    """Whether nodes are given tiles only with stake behind them."""
    return settings.stake.required and bool(addresses(settings).registry)


def stake_terms(session: Session, settings: Settings) -> StakeTerms | None:
    """What is asked of operators; None while the price of a KILN is not known."""
    rate = known_kiln_per_usd(session, settings)
    if rate is None:
        return None
    per_node = to_units(Decimal(str(settings.stake.usd_per_node)), rate)
    return StakeTerms(per_node, max(1, per_node // settings.stake.jobs_at_once))


def look_at(db: Database, settings: Settings, owner: str) -> None:
    """Ask the chain what this owner has at stake and for which nodes it answers. Raises ChainError."""
    if not addresses(settings).registry:
        return
    with db.read() as session:
        nodes = session.scalars(select(Node.address).where(Node.owner == owner, ~Node.trusted)).all()
    chain = client(settings)
    state = chain.operator(owner)
    staked = chain.stake_of(owner).active if state.registered else 0
    answers = {node: chain.answers_for(node) for node in nodes}
    with db.begin() as session:
        session.merge(Operator(address=owner, registered=state.registered, staked=staked, looked_at=db.now()))
        for node, operator in answers.items():
            session.get_one(Node, node).operator = operator


def look_again(db: Database, settings: Settings) -> None:
    """The same for those owners of nodes online that were looked at longest ago. Raises ChainError."""
    if not stake_asked(settings):
        return
    for owner in _due(db, settings):
        look_at(db, settings, owner)


def _due(db: Database, settings: Settings) -> Iterable[str]:
    now = db.now()
    with db.read() as session:
        return session.scalars(
            select(Node.owner)
            .outerjoin(Operator, Operator.address == Node.owner)
            .where(
                ~Node.trusted,
                Node.last_seen > now - _ONLINE_SECONDS,
                (Operator.looked_at.is_(None)) | (Operator.looked_at < now - settings.stake.look_seconds),
            )
            .distinct()
            .limit(_AT_ONCE)
        ).all()
