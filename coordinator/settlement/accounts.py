"""What stands on chain of one account that earns: its rewards with their proof, and its stake."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.errors import ChainError, NotDeployed
from contracts.slashes import Slash, slashes_of
from coordinator.config import Settings
from coordinator.settlement.chain import client
from coordinator.settlement.epochs import reward_tree
from coordinator.store.models import Reward
from jobs.wire import RewardsOnChain, StakeOnChain

__all__ = ["rewards_of", "slashed_of", "stake_of"]


def rewards_of(session: Session, settings: Settings, account: str) -> RewardsOnChain | None:
    """An account's rewards by the root on which claims are made now; None while the chain cannot be read."""
    try:
        chain = client(settings)
        active, pending, claimed = chain.active_epoch(), chain.pending_epoch(), chain.claimed(account)
    except ChainError:
        return None
    leaves = _leaves(session, active.number)
    cumulative = dict(leaves).get(account, 0)
    later = dict(_leaves(session, pending.number)).get(account, 0) if pending is not None else 0
    proof: list[bytes] = []
    if cumulative:
        proof = reward_tree(leaves).proof([name for name, _ in leaves].index(account))
    return RewardsOnChain(
        account=account, epoch=active.number, cumulative=cumulative, claimed=claimed,
        claimable=max(0, cumulative - claimed), pending=max(0, later - max(cumulative, claimed)),
        proof=tuple("0x" + step.hex() for step in proof),
    )  # fmt: skip


def _leaves(session: Session, epoch: int) -> list[tuple[str, int]]:
    rows = session.execute(select(Reward.account, Reward.cumulative).where(Reward.epoch == epoch))
    return sorted((account, cumulative) for account, cumulative in rows)


def stake_of(settings: Settings, account: str) -> StakeOnChain | None:
    """An operator's stake; None while the chain cannot be read, or where the deployment has no registry."""
    try:
        chain = client(settings)
        operator, own = chain.operator(account), chain.stake_of(account)
    except (ChainError, NotDeployed):
        return None
    return StakeOnChain(
        registered=operator.registered, staked=own.active, locked=operator.locked, unbonding=own.unbonding,
        ready_at=own.ready_at, others=max(0, operator.active - own.active),
    )  # fmt: skip


def slashed_of(settings: Settings, account: str) -> list[Slash]:
    """What an operator was slashed by the chain's own events, whoever proved it; none while it cannot be read."""
    try:
        return slashes_of(client(settings), account)
    except ChainError:
        return []
