"""Accepting a quote: the client's signed order, and nothing else, lets an escrow be opened."""

from __future__ import annotations

from eth_utils.address import to_checksum_address
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.auth import charge
from coordinator.config import Settings
from coordinator.errors import Conflict, NotFound, Unprocessable
from coordinator.states import change_job, lock_job
from coordinator.store.database import Database
from coordinator.store.models import Account, Job
from coordinator.tasks import hint_after_commit
from jobs.states import JobState
from jobs.typed_data import Domain, order_message, recover
from jobs.wire import AcceptJob, Quote

__all__ = ["accept", "own_job"]

_SHORTEST = 5.0
_LONGEST = 90 * 24 * 3600 + 3600
_ORDERED = (JobState.OPENING, JobState.RUNNING, JobState.REVIEW, JobState.PAUSED, JobState.SETTLING, JobState.DONE)


def own_job(session: Session, owner: str, job_id: str) -> Job:
    """The owner's job, locked. Raises NotFound."""
    if session.get(Job, job_id) is None or (job := lock_job(session, job_id)).owner != owner:
        raise NotFound(f"you have no job {job_id[:40]!r}; `kilnet jobs` shows those that there are")
    return job


def accept(
    db: Database,
    settings: Settings,
    domain: Domain,
    *,
    owner: str,
    job_id: str,
    body: AcceptJob,
    api_key: str | None = None,
) -> None:
    """Take the order for a quoted job: OPENING. The same order again changes nothing. It counts towards the limit of
    `api_key`, the key it came by.

    Raises NotFound; Conflict `quote_lapsed`, `not_quoted`, `opening_another`; Unprocessable `wrong_cap`,
    `wrong_deadline`, `bad_signature`; PaymentNeeded `spend_limit`."""
    del settings
    owner = to_checksum_address(owner)
    db.transact(lambda session: _accept(session, domain, owner, job_id, body, api_key, db.now()))


def _accept(
    session: Session, domain: Domain, owner: str, job_id: str, body: AcceptJob, api_key: str | None, now: float
) -> None:
    job = own_job(session, owner, job_id)
    order = body.model_dump(mode="json")
    if job.state in _ORDERED and job.order is not None and job.order["order_signature"] == body.order_signature:
        return
    if job.state != JobState.QUOTED or job.quote is None:
        if job.error_code == "quote_lapsed":
            raise Conflict(job.error or "the quote has lapsed; submit the job again", code="quote_lapsed")
        raise Conflict(f"the job is {job.state}: only a quoted job can be accepted", code="not_quoted")
    quote = Quote.model_validate(job.quote)
    if quote.expires_at <= now:
        raise Conflict("the quote has lapsed: submit the job again for a new one", code="quote_lapsed")
    if body.cap != quote.cap:
        raise Unprocessable(f"cap: the quote says {quote.cap} units, the order {body.cap}", code="wrong_cap")
    if not now + _SHORTEST <= body.deadline <= now + _LONGEST:
        raise Unprocessable(
            f"deadline: {body.deadline} must lie {_SHORTEST:g} s to 90 days from now ({int(now)}), in Unix seconds",
            code="wrong_deadline",
        )
    message = order_message(domain, job=job.id, client=owner, cap=body.cap, deadline=body.deadline)
    if recover(message, body.order_signature) != owner:
        raise Unprocessable(
            f"order_signature: not signed by {owner} for this job, cap, deadline and escrow; "
            "sign again with that wallet",
            code="bad_signature",
        )
    if body.permit is not None and body.permit.value < body.cap:
        raise Unprocessable(
            f"permit.value: {body.permit.value} does not cover the cap {body.cap}; sign one that does", code="wrong_cap"
        )
    if body.permit is not None and _opens_another(session, owner, job.id):
        raise Conflict(
            "another order of yours is being opened on chain, and permits are good one after the other: order again in "
            "a moment, with a new permit",
            code="opening_another",
        )
    if api_key is not None:
        charge(session, api_key, quote, now=now)
    change_job(
        session, job, JobState.OPENING, order=order, cap=body.cap, deadline=float(body.deadline), accepted_at=now,
        api_key=api_key,
    )  # fmt: skip
    hint_after_commit(session, "open", job.id)


def _opens_another(session: Session, owner: str, job_id: str) -> bool:
    """Whether a permit that is not used yet would make this one's number wrong. Orders of one account wait for each
    other here."""
    session.execute(select(Account.address).where(Account.address == owner).with_for_update())
    other = select(Job.id).where(Job.owner == owner, Job.state == str(JobState.OPENING), Job.id != job_id).limit(1)
    return session.scalar(other) is not None
