"""Disputes of ours: what a node has signed twice is shown to the chain, which slashes its operator by itself.

Nothing else is: refused cells, however often confirmed, cost a node its pay and its standing, and its stake only where
auditors rule so on somebody's bonded challenge.
"""

from __future__ import annotations

from typing import Any

import structlog
from eth_abi.abi import decode
from sqlalchemy import update
from web3 import Web3

from contracts.client import TxResult
from contracts.errors import Reverted
from contracts.typed_data import Commitment
from coordinator.config import Settings
from coordinator.settlement.chain import addresses
from coordinator.settlement.transactions import transact
from coordinator.store.database import Database
from coordinator.store.models import Strike
from jobs.states import StrikeKind
from jobs.typed_data import lease_id_bytes

__all__ = ["dispute"]

log = structlog.get_logger(__name__)
_SLASHED = bytes(Web3.keccak(text="Slashed(address,address,uint256,uint256)"))


def dispute(db: Database, settings: Settings, strike: str) -> None:
    """Prove a strike's contradiction on chain, once; the finder's share is the coordinator's.

    Where the chain sees no fault, or nobody to slash, that is kept as the reason. Raises ChainUnavailable and
    TransactionPending: the same call later goes on."""
    with db.read() as session:
        found = session.get(Strike, int(strike))
        if found is None or found.dispute != "wanted" or found.kind != StrikeKind.TWO_COMMITMENTS:
            return
        evidence, lease = found.evidence, found.lease_id
    if not addresses(settings).disputes:
        _end(db, strike, "refused", reason="this deployment has no contract for disputes")
        return
    first, second = (_commitment(lease, evidence[side]) for side in ("first", "second"))
    signatures = [bytes.fromhex(str(evidence[side]["signature"])[2:]) for side in ("first", "second")]
    try:
        result = transact(
            db, settings, f"dispute:{strike}",
            lambda c, n: c.prepare_prove_equivocation(first, signatures[0], second, signatures[1], nonce=n),
        )  # fmt: skip
    except Reverted as error:
        _end(db, strike, "refused", reason=str(error))
        log.warning("dispute_refused", strike=strike, error=str(error))
        return
    amount = _slashed(result, addresses(settings).registry)
    _end(db, strike, "proven", tx=result.hash, slashed=amount)
    log.info("equivocation_proven", strike=strike, tx=result.hash, slashed=str(amount))


def _commitment(lease: str, side: dict[str, Any]) -> Commitment:
    return Commitment(lease_id_bytes(lease), int(side["token"]), bytes.fromhex(side["root"][2:]), int(side["cells"]))


def _slashed(result: TxResult, registry: str) -> int:
    """What the registry says that all who stake with the operator lost."""
    for entry in result.logs:
        if str(entry["address"]) == registry and bytes(entry["topics"][0]) == _SLASHED:
            amount, _ = decode(["uint256", "uint256"], bytes(entry["data"]))
            return int(amount)
    return 0


def _end(
    db: Database,
    strike: str,
    state: str,
    *,
    reason: str | None = None,
    tx: str | None = None,
    slashed: int | None = None,
) -> None:
    with db.begin() as session:
        session.execute(
            update(Strike)
            .where(Strike.id == int(strike))
            .values(dispute=state, dispute_reason=reason, dispute_tx=tx, slashed=slashed)
        )
