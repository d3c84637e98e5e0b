"""Transactions of ours: written down, then sent; each key once; the same bytes again after any crash.

The coordinator keeps its own nonce: it is part of the row, unique, and drawn from the rows. A row may be signed anew at
a higher fee while it is stuck (`coordinator.settlement.reconciling`); the hashes of what went out before stay with it,
since any one of them may be mined, and only one can.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from contracts.client import ChainClient, PreparedTx, TxResult
from contracts.errors import NonceUsed, TransactionPending, TransactionRefused
from coordinator.config import Settings
from coordinator.settlement.chain import client
from coordinator.store.database import Database
from coordinator.store.models import ChainTransaction

__all__ = ["found", "hashes", "known_hash", "note", "retire", "transact"]

log = structlog.get_logger(__name__)

_NONCE_RACES = 20
_FOREIGN = 3
"""So often a transaction of another program with our key may take our nonce in one call."""
_WAIT_SECONDS = 20.0
"""How long a task waits for a block; then the same call goes on at the next beat."""


def hashes(row: ChainTransaction) -> list[str]:
    """All hashes under which this transaction may be mined, the newest first."""
    return [row.hash, *reversed(row.replaced or [])]


def note(db: Database, key: str, state: str, result: TxResult | None = None) -> None:
    """Keep what became of a transaction."""
    values: dict[str, object] = {"state": state}
    if result is not None:
        values["result"] = {"block": result.block_number, "gas": result.gas_used, "fee_wei": str(result.fee_wei)}
    with db.begin() as session:
        row = session.get(ChainTransaction, key)
        if row is None:
            return
        if state == "sent":
            values["sent_at"] = row.sent_at or db.now()
        if result is not None and result.hash != row.hash:
            values |= {"hash": result.hash, "replaced": [one for one in hashes(row) if one != result.hash]}
        session.execute(update(ChainTransaction).where(ChainTransaction.key == key).values(**values))


def _write_down(
    db: Database, chain: ChainClient, key: str, prepare: Callable[[ChainClient, int], PreparedTx]
) -> ChainTransaction:
    """Prepare under the next free nonce and insert the row; whoever else took the nonce meanwhile, take the next."""
    for _ in range(_NONCE_RACES):
        with db.read() as session:
            known = session.get(ChainTransaction, key)
            if known is not None:
                return known
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
        return row
    raise TransactionPending(f"{key}: no nonce was to be had in {_NONCE_RACES} tries; it is tried again later")


def transact(db: Database, settings: Settings, key: str, prepare: Callable[[ChainClient, int], PreparedTx]) -> TxResult:
    """Do what `key` names on chain, once, and return the mined result, confirmed as the settings ask.

    `prepare(chain, nonce)` signs it; it is called only where nothing is written down under the key yet. Raises
    Reverted where a contract refuses it (and forgets the key, so that it may be tried in another state),
    ChainUnavailable and TransactionPending where the same call later goes on from here.
    """
    chain = client(settings)
    for _ in range(_FOREIGN):
        row = _write_down(db, chain, key, prepare)
        result = found(chain, hashes(row))
        if result is None:
            try:
                chain.send(row.raw)
            except NonceUsed:
                if (result := found(chain, hashes(row))) is None:
                    # Somebody else sent from this account: our bytes can never be mined. Prepare anew.
                    log.warning("nonce taken by a foreign transaction", key=key)
                    retire(db, key, "lost")
                    continue
            except TransactionRefused as error:
                # Another call of ours may have replaced it meanwhile, or its fee has become too low: both are found
                # by waiting, and mended by reconciling.
                log.warning("not_taken", key=key, error=str(error))
            note(db, key, "sent")
        result = result or _wait(db, chain, key)
        _confirm(chain, settings, key, result)
        if not result.succeeded:
            note(db, key, "failed", result)
            retire(db, key, "refused")
            result.checked()
        note(db, key, "mined", result)
        return result
    raise TransactionPending(f"{key}: another program sends from the coordinator's account; give it one of its own")


def found(chain: ChainClient, known: Sequence[str]) -> TxResult | None:
    """The one of these transactions that is mined."""
    for one in known:
        if (result := chain.receipt(one)) is not None:
            return result
    return None


def _wait(db: Database, chain: ChainClient, key: str) -> TxResult:
    """Until any of the row's transactions is mined; a reconciling process may add to them meanwhile."""
    until, pause = time.monotonic() + _WAIT_SECONDS, 0.01
    while True:
        with db.read() as session:
            row = session.get(ChainTransaction, key)
        if row is None:
            raise TransactionPending(f"{key}: its transaction was given up meanwhile; it is tried again later")
        if (result := found(chain, hashes(row))) is not None:
            return result
        if time.monotonic() > until:
            raise TransactionPending(f"{key}: transaction {row.hash} is not mined yet; it is looked at again later")
        time.sleep(pause)
        pause = min(2 * pause, 1.0)


def _confirm(chain: ChainClient, settings: Settings, key: str, result: TxResult) -> None:
    """Raises TransactionPending while too few blocks lie on top of it."""
    wanted = settings.chain.confirmations
    if wanted and (depth := chain.block() - result.block_number) < wanted:
        raise TransactionPending(f"{key}: {depth} of {wanted} blocks lie on transaction {result.hash}")


def known_hash(db: Database, key: str) -> str | None:
    """The hash of the transaction that does what this key names, if it was written down."""
    with db.read() as session:
        row = session.get(ChainTransaction, key)
    return None if row is None else row.hash


def retire(db: Database, key: str, why: str) -> None:
    """A transaction that did not do it keeps its nonce and its row, under a name that frees the key."""
    with db.begin() as session:
        row = session.get(ChainTransaction, key)
        if row is not None:
            session.execute(
                update(ChainTransaction).where(ChainTransaction.key == key).values(key=f"{key}:{why}:{row.nonce}")
            )
