"""NodeView: what is known of a worker."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.leasing import ONLINE_SECONDS
from coordinator.leasing.staked import backing
from coordinator.store.models import Node, Receipt, Strike
from jobs.auction import reputation
from jobs.contract import Lane
from jobs.pricing import reward_units
from jobs.states import StrikeKind, StrikeState
from jobs.wire import NodeView, RegisterNode, StakeView, StrikeView

__all__ = ["ONLINE_SECONDS", "node_view", "node_views", "nodes_online", "stake_view"]

_STRIKES = 50


def nodes_online(session: Session, *, now: float) -> int:
    """How many nodes of strangers are online; the coordinator's own workers do not count."""
    count = session.scalar(
        select(func.count()).select_from(Node).where(Node.last_seen > now - ONLINE_SECONDS, ~Node.trusted)
    )
    return int(count or 0)


def node_view(session: Session, node: Node, *, now: float) -> NodeView:
    """One worker with its latest strikes. `now` in Unix seconds."""
    rows = session.scalars(
        select(Strike).where(Strike.node == node.address).order_by(Strike.id.desc()).limit(_STRIKES)
    ).all()
    strikes = tuple(
        StrikeView(
            kind=StrikeKind(row.kind), state=StrikeState(row.state), job=row.job_id, lease=row.lease_id, tile=row.tile,
            lane=Lane(row.lane) if row.lane else None, reason=row.reason, auditor=row.auditor, counted=row.counted,
            slashable=row.slashable, at=row.created_at, dispute=row.dispute, dispute_reason=row.dispute_reason,
            dispute_tx=row.dispute_tx, slashed=row.slashed,
        )
        for row in rows
    )  # fmt: skip
    return node_views(session, [node], now=now)[0].model_copy(update={"strikes": strikes})


def stake_view(session: Session, settings: Settings, node: Node, *, now: float) -> StakeView | None:
    """What answers for a node on chain; None where none is asked for."""
    if node.trusted:
        return None
    found = backing(session, settings, node.address, node.owner, now)
    if found is None:
        return None
    refusal = found.refusal
    if refusal is None and not found.takes_more:
        refusal = (
            f"its stake is locked for {len(found.jobs)} open jobs: tiles of others come when one of these is final, or "
            "with more stake"
        )
    return StakeView(
        operator=found.operator, staked=found.staked, needed=found.needed, locked=found.locked, per_job=found.per_job,
        jobs=len(found.jobs), refusal=refusal,
    )  # fmt: skip


def node_views(session: Session, nodes: Sequence[Node], *, now: float) -> list[NodeView]:
    """Workers, in the order given."""
    earned: dict[str, int] = {}
    rows = session.execute(
        select(Receipt.node, Receipt.price, func.count())
        .where(Receipt.node.in_([node.address for node in nodes]))
        .group_by(Receipt.node, Receipt.price)
    )
    for address, price, count in rows:
        earned[address] = earned.get(address, 0) + count * reward_units(price)
    views = []
    for node in nodes:
        registration = RegisterNode.model_validate(node.registration)
        views.append(
            NodeView(
                address=node.address,
                owner=node.owner,
                owner_proven=registration.owner_signature is not None or node.owner == node.address,
                name=node.name,
                trusted=node.trusted,
                online=node.last_seen > now - ONLINE_SECONDS,
                sandboxed=node.sandboxed,
                runtimes=registration.runtimes,
                ask_usd_per_kiln_hour=node.ask_usd_per_kiln_hour,
                region=node.region,
                tiles_accepted=node.accepted,
                tiles_rejected=node.rejected,
                reputation=round(reputation(node.accepted, node.rejected), 4),
                memory_bytes=registration.memory_bytes,
                earned=earned.get(node.address, 0),
                suspended=node.suspended,
                suspicion=node.suspicion,
                last_seen=node.last_seen,
                audits=node.audits,
                barred=node.barred,
            )
        )
    return views
