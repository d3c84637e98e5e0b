"""Changing an ordered job: its priority among its owner's jobs, and a cap below what is in escrow."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from eth_utils.address import to_checksum_address
from sqlalchemy.orm import Session

from coordinator.admission.ordering import own_job
from coordinator.errors import Conflict, Unprocessable
from coordinator.events import record, wake_after_commit
from coordinator.store.database import Database
from coordinator.store.models import Job
from jobs.states import JOB_FINAL, JobState
from jobs.wire import ChangeJob, Quote

__all__ = ["change"]

_ESCROWED = (JobState.OPENING, JobState.RUNNING, JobState.REVIEW, JobState.PAUSED)


def change(db: Database, *, owner: str, job_id: str, body: ChangeJob) -> None:
    """Set what `body` names. A cap may be lowered, also below what is spent already (then nothing more is begun), and
    raised again up to the escrow; no further, since only the client's signed order opens an escrow.

    Raises NotFound, Conflict `not_running`, Unprocessable `cap_above_escrow`."""
    address = to_checksum_address(owner)
    db.transact(lambda session: _change(session, own_job(session, address, job_id), body))


def _change(session: Session, job: Job, body: ChangeJob) -> None:
    if job.state in JOB_FINAL or job.state == JobState.SETTLING:
        raise Conflict(f"the job is {job.state}: only one that has not ended can be changed", code="not_running")
    if body.cap_usd is not None:
        if job.state not in _ESCROWED or job.quote is None:
            raise Conflict(
                f"the job is {job.state}: nothing is in escrow yet; order it, or quote it again with another cap",
                code="not_running",
            )
        job.lowered_cap = _units(Quote.model_validate(job.quote), body.cap_usd)
    if body.priority is not None:
        job.priority = body.priority
    session.flush()
    record(session, job.id, "job", {"id": job.id, "state": job.state, "priority": job.priority})
    wake_after_commit(session)


def _units(quote: Quote, usd: Decimal) -> int | None:
    """A cap in units, at the rate of the job's own quote; None where it is the escrow's again."""
    most = Decimal(quote.cap_usd)
    if usd > most:
        raise Unprocessable(
            f"cap_usd: the escrow holds {most:f} USD and cannot be added to; name at most that, or order the rest as a "
            "job of its own",
            code="cap_above_escrow",
        )
    return None if usd == most else int((usd / most * quote.cap).to_integral_value(rounding=ROUND_FLOOR))
