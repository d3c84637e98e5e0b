"""Rows and chain put side by side: after a restart, a reorganisation, a chain that forgot, a fee that was too low."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy import select, update

from contracts.client import ChainClient
from contracts.errors import ChainUnavailable, NonceUsed, NotEnoughGasMoney, Reverted, TransactionRefused
from coordinator.config import Settings
from coordinator.settlement.chain import client
from coordinator.settlement.escrow import to_its_end
from coordinator.settlement.transactions import found, hashes, note, retire
from coordinator.store.database import Database
from coordinator.store.models import ChainTransaction, Epoch

__all__ = ["reconcile"]

log = structlog.get_logger(__name__)

_WATCHED_BLOCKS = 64
_WATCHED_SECONDS = 3600.0
"""What was mined so lately may still be mined otherwise."""
_MOST = 50
_ENDS = ("propose", "finalize", "cancel", "refund")


def reconcile(db: Database, settings: Settings) -> int:
    """Send again what the chain does not know: what was written down and never sent, and what it forgot; at a higher
    fee what is stuck. Do again what was mined once and, after a reorganisation, refused. Returns how many were sent."""
    chain = client(settings)
    try:
        confirmed, head = chain.confirmed_nonce(), chain.block()
        _look_at_waiting(db, chain, confirmed)
        _look_again(db, settings, chain, head)
    except ChainUnavailable:
        return 0
    with db.read() as session:
        rows = session.scalars(
            select(ChainTransaction).where(ChainTransaction.nonce >= confirmed).order_by(ChainTransaction.nonce)
        ).all()
    return _send(db, settings, chain, rows, confirmed)


def _send(
    db: Database, settings: Settings, chain: ChainClient, rows: Sequence[ChainTransaction], confirmed: int
) -> int:
    """In the order of nonces. Only the first can be stuck: the others wait for it."""
    sent = 0
    for row in rows:
        raw, first = row.raw, row.nonce == confirmed
        try:
            if first and row.sent_at is not None and db.now() - row.sent_at > settings.chain.stuck_seconds:
                raw = _replace(db, chain, row)
            chain.send(raw)
        except TransactionRefused as error:
            # Its fee may lie below what the chain takes now.
            log.warning("not sent again", key=row.key, error=str(error))
            if first and raw is row.raw and "fee" in str(error).lower() and "replacement" not in str(error).lower():
                chain.send(_replace(db, chain, row))
                sent += 1
            continue
        except (NonceUsed, Reverted) as error:
            log.warning("not sent again", key=row.key, error=str(error))
            continue
        except (ChainUnavailable, NotEnoughGasMoney) as error:
            log.warning("sending waits", key=row.key, error=str(error))
            break
        if row.sent_at is None:
            note(db, row.key, "sent")
        sent += 1
        log.info("sent again", key=row.key)
    return sent


def _replace(db: Database, chain: ChainClient, row: ChainTransaction) -> bytes:
    """The same call and nonce at a higher fee, written down before it goes out. Either may be mined, never both."""
    dearer = chain.transactions.at_higher_fee(row.raw)
    with db.begin() as session:
        # Who was quicker to replace it has changed the hash: then theirs is sent.
        changed = session.execute(
            update(ChainTransaction)
            .where(ChainTransaction.key == row.key, ChainTransaction.hash == row.hash)
            .values(
                hash=dearer.hash, raw=dearer.raw, replaced=[*(row.replaced or []), row.hash], sent_at=db.now(),
                state="sent",
            )
        )  # fmt: skip
        if changed.rowcount == 0:  # type: ignore[attr-defined]
            return session.get_one(ChainTransaction, row.key).raw
    log.warning("replaced by a higher fee", key=row.key, before=row.hash, now=dearer.hash)
    return dearer.raw


def _look_at_waiting(db: Database, chain: ChainClient, confirmed: int) -> None:
    """What became of transactions that nobody waited for to the end: any of their bytes may have been mined."""
    with db.read() as session:
        rows = session.scalars(
            select(ChainTransaction)
            .where(ChainTransaction.state.in_(["prepared", "sent"]), ChainTransaction.nonce < confirmed)
            .order_by(ChainTransaction.nonce)
            .limit(_MOST)
        ).all()
    for row in rows:
        # Those that failed are for whoever asked for them: their keys are freed there.
        if (result := found(chain, hashes(row))) is not None and result.succeeded:
            note(db, row.key, "mined", result)


def _look_again(db: Database, settings: Settings, chain: ChainClient, head: int) -> None:
    """Whether what was mined lately is still mined, and still succeeded."""
    with db.read() as session:
        rows = session.scalars(
            select(ChainTransaction)
            .where(ChainTransaction.state == "mined", ChainTransaction.created_at > db.now() - _WATCHED_SECONDS)
            .order_by(ChainTransaction.nonce.desc())
            .limit(_MOST)
        ).all()
    for row in rows:
        block = int((row.result or {}).get("block", 0))
        if block <= head - _WATCHED_BLOCKS:
            continue
        result = found(chain, hashes(row))
        if result is None or (result.succeeded and result.block_number == block):
            continue
        if result.succeeded:
            note(db, row.key, "mined", result)
            continue
        log.warning("refused after a reorganisation", key=row.key, error=str(result.error))
        note(db, row.key, "failed", result)
        retire(db, row.key, "refused")
        _do_again(db, settings, row.key)


def _do_again(db: Database, settings: Settings, key: str) -> None:
    """What was over and done with by the rows, and is not by the chain."""
    kind, _, rest = key.partition(":")
    name = rest.partition(":")[0]
    if kind in _ENDS:
        to_its_end(db, settings, name)
    elif kind == "epoch":
        with db.begin() as session:
            session.execute(update(Epoch).where(Epoch.number == int(name)).values(state="posting"))
