"""What an API key may still do: jobs a day, KILN and USD a day and in all. Counted from the jobs themselves, so that
nothing can be out of step with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.errors import Forbidden, PaymentNeeded, SlowDown
from coordinator.store.models import ApiKey, Job
from jobs.pricing import MICRO, display_kiln
from jobs.states import JOB_FINAL
from jobs.wire import ApiKeyView, Quote

__all__ = ["charge", "count_job", "key_view"]

_DAY = 24 * 3600.0


@dataclass
class _Spent:
    """Of ended jobs what they cost, of others what they may cost."""

    units: int = 0
    usd: Decimal = Decimal(0)
    usd_today: Decimal = Decimal(0)


def count_job(session: Session, key_id: str, *, now: float) -> None:
    """Whether the key may ask for one quote more; the caller then names the key in the job, in this transaction.
    Raises SlowDown `jobs_per_day`, Forbidden `key_revoked`."""
    row = _locked(session, key_id)
    if row.jobs_per_day is None:
        return
    count, first = _jobs_today(session, row.id, now)
    if count >= row.jobs_per_day:
        raise SlowDown(
            f"the API key {row.name!r} has made {count} jobs within 24 hours, as many as it may: wait, or create a key "
            "with a higher --jobs-per-day",
            retry_after=(first or now) + _DAY - now,
            code="jobs_per_day",
        )


def charge(session: Session, key_id: str, quote: Quote, *, now: float) -> None:
    """Whether an order at this quote is within the key's limits; the caller then names the key in the job, in this
    transaction. Raises PaymentNeeded `spend_limit`, Forbidden `key_revoked`."""
    row = _locked(session, key_id)
    spent, cap = _spent(session, row.id, now), Decimal(quote.cap_usd)
    if row.spend_limit is not None and spent.units + quote.cap > row.spend_limit:
        raise _over(row, f"{display_kiln(row.spend_limit)} KILN", display_kiln(spent.units), display_kiln(quote.cap))
    for limit, used, within in (
        (row.micro_usd_total, spent.usd, ""), (row.micro_usd_per_day, spent.usd_today, " within 24 hours"),
    ):  # fmt: skip
        if limit is not None and used + cap > Decimal(limit) / MICRO:
            raise _over(row, f"{_usd(Decimal(limit) / MICRO)} USD{within}", _usd(used), _usd(cap))


def key_view(session: Session, row: ApiKey, *, now: float) -> ApiKeyView:
    """The key with what it has used of its limits."""
    spent = _spent(session, row.id, now)
    return ApiKeyView(
        id=row.id, name=row.name, spend_limit=row.spend_limit, spent=spent.units,
        calls_per_second=row.calls_per_second, calls_per_minute=row.calls_per_minute, jobs_per_day=row.jobs_per_day,
        jobs_today=_jobs_today(session, row.id, now)[0], usd_per_day=_of_micro(row.micro_usd_per_day),
        usd_today=spent.usd_today, usd_total=_of_micro(row.micro_usd_total), usd_spent=spent.usd,
        created_at=row.created_at, revoked_at=row.revoked_at,
    )  # fmt: skip


def _over(row: ApiKey, limit: str, used: str, cap: str) -> PaymentNeeded:
    return PaymentNeeded(
        f"the API key {row.name!r} may order for {limit}, {used} of it are used, and this job's cap is {cap}: "
        "lower the cap, or create a key with a higher limit",
        code="spend_limit",
    )


def _locked(session: Session, key_id: str) -> ApiKey:
    statement = select(ApiKey).where(ApiKey.id == key_id).execution_options(populate_existing=True)
    if session.get_bind().dialect.name == "postgresql":
        # Two at once must not both fit into what is left.
        statement = statement.with_for_update()
    row = session.scalars(statement).one()
    if row.revoked_at is not None:
        raise Forbidden("this API key was revoked; use another", code="key_revoked")
    return row


def _jobs_today(session: Session, key_id: str, now: float) -> tuple[int, float | None]:
    """How many, and when the first of them was made."""
    wanted = select(func.count(), func.min(Job.created_at)).where(Job.made_with == key_id, Job.created_at > now - _DAY)
    count, first = session.execute(wanted).one()
    return count, first


def _spent(session: Session, key_id: str, now: float) -> _Spent:
    spent = _Spent()
    wanted = select(Job.state, Job.cap, Job.quote, Job.settlement, Job.accepted_at).where(Job.api_key == key_id)
    for state, cap, quote, settlement, accepted_at in session.execute(wanted):
        units = int((settlement or {}).get("price", 0)) if state in JOB_FINAL else cap or 0
        spent.units += units
        if cap and quote:
            # At the rate of the quote: what the client was told it is.
            usd = (Decimal(str(quote["cap_usd"])) * units / cap).quantize(Decimal(1) / MICRO, rounding=ROUND_CEILING)
            spent.usd += usd
            spent.usd_today += usd if (accepted_at or 0) > now - _DAY else 0
    return spent


def _of_micro(amount: int | None) -> Decimal | None:
    return None if amount is None else Decimal(amount) / MICRO


def _usd(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
