"""A job's escrow: opened by the client's signed order, settled to the unit when the job has ended."""

from __future__ import annotations

import time

import structlog
from sqlalchemy.orm import Session

from contracts.client import ChainClient, EscrowState, JobState, PreparedTx
from contracts.errors import Reverted
from contracts.typed_data import JobOrder, Permit
from coordinator.config import Settings
from coordinator.settlement.chain import client
from coordinator.settlement.receipts import job_receipts, receipt_tree
from coordinator.settlement.transactions import transact
from coordinator.states import change_job
from coordinator.store.database import Database
from coordinator.store.models import Job
from jobs import states
from jobs.pricing import split_price
from jobs.typed_data import chain_job_id
from jobs.wire import AcceptJob, PermitSignature, SettlementView

__all__ = ["open_escrow", "settle"]

log = structlog.get_logger(__name__)

_WINDOW_WAITED_FOR = 3.0
"""Seconds of challenge window that a task waits out itself; a longer one is left to the next beat."""


def _permit(signed: PermitSignature | None) -> Permit:
    if signed is None:
        return Permit.none()
    raw = bytes.fromhex(signed.signature[2:])
    return Permit(signed.value, signed.deadline, raw[64], raw[:32], raw[32:64])


def _same_order(state: EscrowState, job: Job, order: AcceptJob) -> bool:
    return (state.client.lower(), state.cap, state.deadline) == (job.owner.lower(), order.cap, order.deadline)


def open_escrow(db: Database, settings: Settings, job_id: str) -> None:
    """Lock the client's cap on chain and let the job run.

    OPENING -> RUNNING, or FAILED with the contract's reason (too few tokens, a lapsed permit). Does nothing in any
    other state. Raises ChainUnavailable: the same call later goes on.
    """
    with db.read() as session:
        job = session.get(Job, job_id)
        if job is None or job.state != states.JobState.OPENING or job.order is None:
            return
        session.expunge(job)
    order = AcceptJob.model_validate(job.order)
    job_key = chain_job_id(job_id)
    chain = client(settings)
    state = chain.escrow(job_key)
    failure: tuple[str, str] | None = None
    tx: str | None = None
    if state.state is JobState.NONE:
        signed = JobOrder(job_key, job.owner, order.cap, order.deadline)
        signature = bytes.fromhex(order.order_signature[2:])

        def prepare(chain: ChainClient, nonce: int) -> PreparedTx:
            return chain.prepare_open_for(signed, signature, _permit(order.permit), nonce=nonce)

        try:
            tx = transact(db, settings, f"open:{job_id}", prepare).hash
        except Reverted as error:
            failure = (f"escrow_{error.name or 'refused'}".lower(), f"the escrow could not be opened: {error}")
    elif state.state is not JobState.OPEN or not _same_order(state, job, order):
        failure = ("escrow_taken", "the escrow of this job id was opened with other terms; submit the job again")
    with db.begin() as session:
        row = session.get(Job, job_id)
        if row is None or row.state != states.JobState.OPENING:
            return
        if failure is not None:
            change_job(
                session, row, states.JobState.FAILED, error_code=failure[0], error=failure[1], finished_at=db.now()
            )
            return
        view = SettlementView(price=0, burned=0, fee=0, refund=0, receipt_root="", open_tx=tx)
        change_job(session, row, states.JobState.RUNNING, settlement=view.model_dump(mode="json"))


def settle(db: Database, settings: Settings, job_id: str) -> bool:
    """Bring a job that is SETTLING to its end on chain: propose, finalize (or give all of it back where nothing
    passed), and its final state. Each step is skipped where the chain shows that it was taken.

    Returns whether the job is final now. Raises ChainUnavailable and TransactionPending: the same call later goes on.
    """
    with db.read() as session:
        job = session.get(Job, job_id)
        if job is None or job.state != states.JobState.SETTLING:
            return True
        receipts = job_receipts(session, job_id)
        price = sum(receipt.price for receipt in receipts)
        root = receipt_tree(receipts).root if receipts else bytes(32)
        view = SettlementView.model_validate(job.settlement) if job.settlement else _empty()
        count = len(receipts)
    view = view.model_copy(update={"price": price, "receipt_root": "0x" + root.hex()})
    job_key = chain_job_id(job_id)
    chain = client(settings)
    state = chain.escrow(job_key)
    if state.state is JobState.OPEN and count == 0:
        result = transact(db, settings, f"cancel:{job_id}", lambda c, n: c.prepare_cancel(job_key, nonce=n))
        view = view.model_copy(update={"settlement_tx": result.hash})
        state = chain.escrow(job_key)
    if state.state is JobState.OPEN:
        proposed = transact(
            db, settings, f"propose:{job_id}", lambda c, n: c.prepare_propose(job_key, price, root, count, nonce=n)
        )
        view = view.model_copy(update={"propose_tx": proposed.hash})
        state = chain.escrow(job_key)
    if state.state is JobState.PROPOSED:
        if not _wait_for_window(chain, state):
            _remember(db, job_id, view)
            return False
        result = transact(db, settings, f"finalize:{job_id}", lambda c, n: c.prepare_finalize(job_key, nonce=n))
        view = view.model_copy(update={"settlement_tx": result.hash})
        state = chain.escrow(job_key)
    if state.state is JobState.FINALIZED:
        split = split_price(state.cap, state.price)
        view = view.model_copy(update={"burned": split.burned, "fee": split.fee, "refund": split.refund})
    elif state.state is JobState.REFUNDED:
        view = view.model_copy(update={"price": 0, "refund": state.cap})
    with db.begin() as session:
        row = session.get(Job, job_id)
        if row is None or row.state != states.JobState.SETTLING:
            return True
        _finish(session, row, view, db.now())
    log.info("settled", job=job_id, burned=str(view.burned), refund=str(view.refund))
    return True


def _empty() -> SettlementView:
    return SettlementView(price=0, burned=0, fee=0, refund=0, receipt_root="")


def _wait_for_window(chain: ChainClient, state: EscrowState) -> bool:
    """Whether the challenge window is over, waiting for a short one."""
    end = state.proposed_at + chain.terms().challenge_window
    until = time.monotonic() + _WINDOW_WAITED_FOR
    while (left := end - chain.time()) > 0:
        if time.monotonic() + left > until:
            return False
        time.sleep(min(1.0, left))
    return True


def _remember(db: Database, job_id: str, view: SettlementView) -> None:
    with db.begin() as session:
        row = session.get(Job, job_id)
        if row is not None:
            row.settlement = view.model_dump(mode="json")


def _finish(session: Session, job: Job, view: SettlementView, now: float) -> None:
    outcome = states.JobState(job.outcome or states.JobState.DONE)
    change_job(
        session, job, outcome, settlement=view.model_dump(mode="json"), receipt_root=view.receipt_root,
        finished_at=now,
    )  # fmt: skip
