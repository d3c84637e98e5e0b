"""What a KILN is worth: the oracle's price as it was looked up last, so that no quote and no claim asks the chain."""

from __future__ import annotations

from decimal import Decimal

import structlog
from sqlalchemy.orm import Session

from contracts.errors import ChainError, Reverted
from coordinator.config import Settings
from coordinator.settlement.chain import addresses, client
from coordinator.settlement.transactions import transact
from coordinator.store.database import Database
from coordinator.store.models import Setting
from jobs.errors import BadInput, Unavailable
from jobs.pricing import UNIT

__all__ = [
    "LOOK_SECONDS", "kiln_per_usd", "known_kiln_per_usd", "refresh_price", "shown_kiln_per_usd", "try_refresh_price",
]  # fmt: skip

LOOK_SECONDS = 15.0
"""The price is looked up again after this."""
_ROW = "price"
_UNTIL_KNOWN = Decimal(10)
"""Shown, and never charged by, where there is no oracle or it was not reached yet."""
_REPORT_SHARE = 0.5
"""Of the oracle's `maxAge`: a price that the coordinator reports itself is reported again when it is so old."""

log = structlog.get_logger(__name__)


def _fixed(settings: Settings) -> Decimal | None:
    """KILN per USD where no oracle is asked."""
    if settings.kiln_per_usd is not None:
        return Decimal(settings.kiln_per_usd)
    return None if addresses(settings).oracle else _UNTIL_KNOWN


def refresh_price(db: Database, settings: Settings) -> None:
    """Look the price up if that was not done lately, and report it first where that is ours to do and due.

    Raises ChainError; the last price known stays."""
    if _fixed(settings) is not None:
        return
    now = db.now()
    with db.read() as session:
        row = session.get(Setting, _ROW)
        if row is not None and now - float(row.value["looked_at"]) < LOOK_SECONDS:
            return
    chain = client(settings)
    found = chain.oracle()
    wanted = settings.chain.report_usd_per_kiln
    if wanted is not None and found.max_age and chain.time() > found.reported_at + _REPORT_SHARE * found.max_age:
        units = int(Decimal(wanted) * UNIT)
        try:
            transact(db, settings, f"price:{found.reported_at}", lambda c, n: c.prepare_report_price(units, nonce=n))
        except Reverted as error:
            log.warning("price_not_reported", error=str(error))
        found = chain.oracle()
    value = {
        "usd_per_kiln": str(found.price), "reported_at": found.reported_at, "max_age": found.max_age, "looked_at": now,
        "ahead": max(0, chain.time() - int(now)),
    }  # fmt: skip
    with db.begin() as session:
        session.merge(Setting(name=_ROW, value=value))


def kiln_per_usd(session: Session, settings: Settings, now: float) -> Decimal:
    """What quotes are made with. Raises BadInput `price_stale` where the oracle's last report is too old, Unavailable
    where it was not reached yet."""
    fixed = _fixed(settings)
    if fixed is not None:
        return fixed
    row = session.get(Setting, _ROW)
    if row is None:
        raise Unavailable(
            "the price of KILN is not known yet: the chain did not answer so far; try again later", code="price_unknown"
        )
    reported, max_age = int(row.value["reported_at"]), int(row.value["max_age"])
    # What the oracle itself goes by is the chain's clock.
    now += int(row.value.get("ahead", 0))
    if max_age and now > reported + max_age:
        raise BadInput(
            f"no quote: the price of KILN was last reported {now - reported:,.0f} s ago, and after {max_age:,} s it "
            "is too old to be used; nothing was charged: submit the job again when a fresh price is reported",
            code="price_stale",
        )
    return UNIT / Decimal(int(row.value["usd_per_kiln"]))


def known_kiln_per_usd(session: Session, settings: Settings) -> Decimal | None:
    """The last price known, however old; None where there was none yet."""
    fixed = _fixed(settings)
    if fixed is not None:
        return fixed
    row = session.get(Setting, _ROW)
    return None if row is None else UNIT / Decimal(int(row.value["usd_per_kiln"]))


def shown_kiln_per_usd(session: Session, settings: Settings) -> str:
    """For people's eyes: the last price known, as a plain decimal."""
    try:
        found = known_kiln_per_usd(session, settings) or _UNTIL_KNOWN
    except ChainError:
        found = _UNTIL_KNOWN
    return f"{found.normalize():f}"


def try_refresh_price(db: Database, settings: Settings) -> None:
    """`refresh_price` for whoever goes on with the last price known."""
    try:
        refresh_price(db, settings)
    except ChainError as error:
        log.warning("price_not_looked_up", error=str(error))
