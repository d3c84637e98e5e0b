"""Transactions of ours: written down, then sent; each key once; the same bytes again after any crash."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from contracts.client import ChainClient, PreparedTx, TxResult
from contracts.errors import ChainUnavailable, NonceUsed, Reverted, TransactionPending
from coordinator.config import Settings
from coordinator.settlement.chain import client
from coordinator.store.database import Database
from coordinator.store.models import ChainTransaction

__all__ = ["reconcile", "transact"]

log = structlog.get_logger(__name__)

_NONCE_RACES = 20


def _note(db: Database, key: str, state: str, result: TxResult | None = None) -> None:
    values: dict[str, object] = {"state": state}
    if result is not None:
        values["result"] = {"block": result.block_number, "gas": result.gas_used, "fee_wei": str(result.fee_wei)}
    with db.begin() as session:
        session.execute(update(ChainTransaction).where(ChainTransaction.key == key).values(**values))


def _write_down(
    db: Database, chain: ChainClient, key: str, prepare: Callable[[ChainClient, int], PreparedTx]
) -> tuple[bytes, str]:
    """Prepare under the next free nonce and insert the row; whoever else took the nonce meanwhile, take the next."""
    for _ in range(_NONCE_RACES):
        with db.read() as session:
            known = session.get(ChainTransaction, key)
            if known is not None:
                return known.raw, known.hash
            highest = session.scalar(select(func.max(ChainTransaction.nonce)))
        nonce = max(chain.next_nonce(), 0 if highest is None else highest + 1)
        prepared = prepare(chain, nonce)
        row = ChainTransaction(
            key=key, nonce=prepared.nonce, hash=prepared.hash, raw=prepared.raw, state="prepared",
            created_at=db.now(),
        )  # fmt: skip
        try:
            with db.begin() as session:
                session.add(row)
        except IntegrityError:
            continue
        return prepared.raw, prepared.hash
    raise TransactionPending(f"{key}: no nonce was to be had in {_NONCE_RACES} tries; it is tried again later")


def transact(db: Database, settings: Settings, key: str, prepare: Callable[[ChainClient, int], PreparedTx]) -> TxResult:
    """Do what `key` names on chain, once, and return the mined result.

    `prepare(chain, nonce)` signs it; it is called only where nothing is written down under the key yet. Raises
    Reverted where a contract refuses it (and forgets the key, so that it may be tried in another state),
    ChainUnavailable and TransactionPending where the same call later goes on from here.
    """
    chain = client(settings)
    raw, tx_hash = _write_down(db, chain, key, prepare)
    result = chain.receipt(tx_hash)
    if result is None:
        try:
            chain.send(raw)
        except NonceUsed:
            # Somebody else sent from this account: our bytes can never be mined. Forget them and prepare anew.
            log.warning("nonce taken by a foreign transaction", key=key)
            _forget(db, key)
            raw, tx_hash = _write_down(db, chain, key, prepare)
            chain.send(raw)
        _note(db, key, "sent")
        result = chain.wait(tx_hash)
    if not result.succeeded:
        _note(db, key, "failed", result)
        _retire(db, key)
        result.checked()
    _note(db, key, "mined", result)
    return result


def _forget(db: Database, key: str) -> None:
    with db.begin() as session:
        row = session.get(ChainTransaction, key)
        if row is not None:
            session.delete(row)


def _retire(db: Database, key: str) -> None:
    """A refused transaction keeps its nonce and its row, under a name that frees the key."""
    with db.begin() as session:
        row = session.get(ChainTransaction, key)
        if row is not None:
            session.execute(
                update(ChainTransaction).where(ChainTransaction.key == key).values(key=f"{key}:refused:{row.nonce}")
            )


def reconcile(db: Database, settings: Settings) -> int:
    """Send again what the chain does not know: what was written down and never sent, and what a chain forgot that
    came back with an older state. In the order of nonces; returns how many were sent."""
    chain = client(settings)
    try:
        first = chain.next_nonce()
    except ChainUnavailable:
        return 0
    with db.read() as session:
        rows = session.execute(
            select(ChainTransaction.key, ChainTransaction.raw)
            .where(ChainTransaction.nonce >= first)
            .order_by(ChainTransaction.nonce)
        ).all()
    sent = 0
    for key, raw in rows:
        try:
            chain.send(raw)
            sent += 1
            log.info("sent again", key=key)
        except (NonceUsed, Reverted) as error:
            log.warning("not sent again", key=key, error=str(error))
        except ChainUnavailable:
            break
    return sent
