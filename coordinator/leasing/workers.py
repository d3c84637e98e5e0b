"""Who works: registration, and what a worker may be given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.errors import Conflict, Forbidden, Unprocessable, UpgradeNeeded
from coordinator.events import wake_after_commit
from coordinator.settlement import domain
from coordinator.store.database import Database
from coordinator.store.models import Node
from coordinator.tasks import hint_after_commit
from jobs.auction import reputation
from jobs.constraints import Constraint, Machine, Needs, region_error
from jobs.typed_data import node_owner_message, recover
from jobs.wire import PROTOCOL, ClaimRequest, RegisterNode, RuntimeClass

__all__ = [
    "ONLINE_SECONDS",
    "Worker",
    "online_workers",
    "register",
    "repeats_itself",
    "seen",
    "trusted_workers",
    "worker_from",
    "worker_of",
]

ONLINE_SECONDS = 90
"""A worker that was heard of this recently is online: it claims at least every 30 s or sends heartbeats."""
_SEEN_EVERY = 10
_MAX_HARDWARE_BYTES = 64 << 10


@dataclass(frozen=True)
class Worker:
    """What decides which work somebody gets."""

    address: str
    name: str
    owner: str
    trusted: bool
    suspended: bool
    barred: bool
    """It is given no audits (any more)."""
    last_seen: float
    region: str
    ask: float
    """USD per kiln-hour."""
    suspicion: int
    classes: tuple[RuntimeClass, ...]
    reputation: float
    """jobs.auction.reputation."""
    memory_bytes: int
    proven_owner: str
    """Who answers for it by signature: its owner, else the node itself."""

    @property
    def runtimes(self) -> set[str]:
        """Names that Work.runtime may have for this worker: with the version, and without where any will do."""
        return {f"{c.runtime}-{c.version}" for c in self.classes} | {c.runtime for c in self.classes}

    @property
    def score(self) -> float:
        """Benchmark score of its fastest device."""
        return max(c.score for c in self.classes)

    def may_see(self, needs: Needs) -> bool:
        """Whether a job that asks for this may be shown to this worker at all.

        Anybody can name an owner when registering; only the owner's signature counts."""
        return self.trusted or needs.admits(self.address, self.proven_owner, self.region) is None

    def unmet(self, needs: Needs, device: RuntimeClass) -> Constraint | None:
        """The first constraint of a job that this worker breaks with one of its devices; None where it fits."""
        if self.trusted:
            return None
        return needs.unmet(
            Machine(
                address=self.address, owner=self.proven_owner, region=self.region, device=device.device,
                memory_bytes=self.memory_bytes, vram_bytes=device.vram_bytes, reputation=self.reputation,
            )
        )  # fmt: skip

    def classes_for(self, runtime: str, numerics_class: str | None) -> list[RuntimeClass]:
        """Its devices that can do work for `runtime`, in the order in which it named them."""
        return [
            c
            for c in self.classes
            if runtime in (c.runtime, f"{c.runtime}-{c.version}")
            and (numerics_class is None or c.numerics_class == numerics_class)
        ]


def _worker(node: Node, only: Sequence[str] | None = None) -> Worker:
    classes = [RuntimeClass.model_validate(c) for c in node.registration["runtimes"]]
    if only is not None:
        classes = [c for name in dict.fromkeys(only) for c in classes if c.numerics_class == name]
    return Worker(
        address=node.address,
        name=node.name,
        owner=node.owner,
        trusted=node.trusted,
        suspended=node.suspended is not None,
        barred=node.barred is not None or not node.registration.get("audits", False),
        last_seen=node.last_seen,
        region=node.region,
        ask=node.ask_usd_per_kiln_hour,
        suspicion=node.suspicion,
        classes=tuple(classes),
        reputation=reputation(node.accepted, node.rejected),
        memory_bytes=int(node.registration.get("memory_bytes") or 0),
        # What does not hold is turned away at registration: what is kept was checked.
        proven_owner=node.owner if node.registration.get("owner_signature") else node.address,
    )


def worker_from(node: Node) -> Worker:
    """A registered worker with all of its classes."""
    return _worker(node)


def worker_of(session: Session, address: str, request: ClaimRequest) -> Worker:
    """The registered worker, with those of its classes that the request names. Raises Forbidden, Conflict."""
    node = session.get(Node, address)
    if node is None:
        raise Forbidden(f"{address} is not registered: POST /v1/nodes/register first", code="not_registered")
    worker = _worker(node, request.runtimes)
    if not worker.classes:
        raise Conflict(
            "none of the numerics classes in the request is registered: register again with those of this device",
            code="class_not_registered",
        )
    return worker


def online_workers(session: Session, now: float) -> list[Worker]:
    """Everybody who was heard of lately."""
    return [_worker(node) for node in session.scalars(select(Node).where(Node.last_seen > now - ONLINE_SECONDS))]


def repeats_itself(session: Session, address: str, numerics_class: str) -> bool:
    """Whether a worker's canary gave the same bits twice in this class. False where it has no such class (any more)."""
    devices = session.get_one(Node, address).registration["runtimes"]
    return any(one["numerics_class"] == numerics_class and one.get("repeats", True) for one in devices)


def trusted_workers(session: Session) -> list[Worker]:
    """The coordinator's own, online or not."""
    return [_worker(node) for node in session.scalars(select(Node).where(Node.trusted))]


def seen(session: Session, address: str, now: float) -> None:
    """Note that a worker was heard of; written at most every few seconds."""
    session.execute(
        update(Node)
        .where(Node.address == address, Node.last_seen < now - _SEEN_EVERY)
        .values(last_seen=now)
        .execution_options(synchronize_session=False)
    )


def _checked(settings: Settings, address: str, body: RegisterNode) -> dict[str, Any]:
    if body.protocol != PROTOCOL:
        raise UpgradeNeeded(f"this gateway speaks protocol {PROTOCOL}, the agent {body.protocol}: install its version")
    if body.region and (wrong := region_error(body.region.lower())) is not None:
        raise Unprocessable(f"region: {wrong}")
    if body.owner_signature is not None:
        if body.owner is None:
            raise Unprocessable("owner_signature: names no owner; send `owner` with it", code="bad_signature")
        message = node_owner_message(domain(settings), node=address, owner=body.owner)
        if recover(message, body.owner_signature) != to_checksum_address(body.owner):
            raise Unprocessable(
                f"owner_signature: not signed by {body.owner} for the node {address} on this chain and escrow; let the "
                "owner sign again (`kilnet node own`)",
                code="bad_signature",
            )
    registration = body.model_dump(mode="json")
    if len(json.dumps(registration["hardware"])) > _MAX_HARDWARE_BYTES:
        registration["hardware"] = {}
    return registration


def register(db: Database, settings: Settings, *, address: str, body: RegisterNode) -> Node:
    """Record what a worker is, anew at each of its starts. Raises UpgradeNeeded, Unprocessable (region, owner)."""
    address = to_checksum_address(address)
    registration = _checked(settings, address, body)
    now = db.now()
    values: dict[str, Any] = {
        "owner": to_checksum_address(body.owner) if body.owner else address,
        "name": body.name,
        "trusted": address in {to_checksum_address(trusted) for trusted in settings.trusted},
        "sandboxed": body.sandboxed,
        "registration": registration,
        "ask_usd_per_kiln_hour": body.ask_usd_per_kiln_hour,
        "region": body.region.lower(),
        "last_seen": now,
    }

    def write(session: Session) -> Node:
        node = session.get(Node, address)
        if node is None:
            node = Node(address=address, registered_at=now, **values)
            session.add(node)
        else:
            for name, value in values.items():
                setattr(node, name, value)
        session.flush()
        wake_after_commit(session)
        if not node.trusted:
            hint_after_commit(session, "look", node.owner)
        return node

    try:
        return db.transact(write)
    except IntegrityError:  # two first registrations at once
        return db.transact(write)
