"""A job's escrow: opened by the client's signed order, settled to the unit when the job has ended."""

from __future__ import annotations

import time
from enum import Enum

import structlog
from sqlalchemy.orm import Session

from contracts.client import ChainClient, EscrowState, JobState, PreparedTx
from contracts.errors import Reverted, TransactionPending
from contracts.typed_data import JobOrder, Permit
from coordinator.config import Settings
from coordinator.settlement.acknowledging import acknowledged
from coordinator.settlement.awards import award
from coordinator.settlement.chain import client
from coordinator.settlement.receipts import job_receipts, receipt_tree, withdraw_unsound
from coordinator.settlement.transactions import known_hash, transact
from coordinator.states import change_job
from coordinator.store.database import Database
from coordinator.store.models import ChainTransaction, Job
from jobs import states
from jobs.pricing import split_price
from jobs.typed_data import chain_job_id
from jobs.wire import AcceptJob, PermitSignature, SettlementView

__all__ = ["open_escrow", "settle", "to_its_end"]

log = structlog.get_logger(__name__)

MOST_VOIDED = 3
"""After so many voided proposals the escrow takes no other (MAX_VOIDED of JobEscrow)."""
_MOST_STEPS = 8
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
            state = chain.escrow(job_key)
            if state.state is JobState.NONE:
                failure = (f"escrow_{error.name or 'refused'}".lower(), f"the escrow could not be opened: {error}")
    if state.state is not JobState.NONE and not (state.state is JobState.OPEN and _same_order(state, job, order)):
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
    """Bring a job that is SETTLING to its end on chain, and to its final state.

    Returns whether the job is final now: not while the challenge window is open, nor while auditors rule. Raises
    ChainUnavailable and TransactionPending: the same call later goes on."""
    with db.read() as session:
        job = session.get(Job, job_id)
        if job is None or job.state != states.JobState.SETTLING:
            return True
        view = SettlementView.model_validate(job.settlement) if job.settlement else _empty()
    view, end = _drive(db, settings, job_id, view)
    if end is _End.WAITS:
        _remember(db, job_id, view)
        return False
    view = _with_transactions(db, job_id, view, client(settings).escrow(chain_job_id(job_id)).voided)
    with db.begin() as session:
        row = session.get(Job, job_id)
        if row is None or row.state != states.JobState.SETTLING:
            return True
        if end is _End.GONE:
            change_job(
                session, row, states.JobState.FAILED, error_code="escrow_gone", finished_at=db.now(),
                error="the escrow was undone on chain, and its tokens were gone when it was opened again; nothing was "
                "charged: order again",
            )  # fmt: skip
            return True
        _finish(session, row, view, db.now())
    log.info("settled", job=job_id, burned=str(view.burned), refund=str(view.refund))
    return True


def to_its_end(db: Database, settings: Settings, job_id: str) -> None:
    """The same for a job that is final by its row, where a reorganised chain has undone the last step."""
    with db.read() as session:
        job = session.get(Job, job_id)
        if job is None or job.state not in states.JOB_FINAL:
            return
        view = SettlementView.model_validate(job.settlement) if job.settlement else _empty()
    view, _ = _drive(db, settings, job_id, view)
    _remember(db, job_id, view)


class _End(Enum):
    WAITS = "waits"
    """For the window, the auditors, or its opening to be there again."""
    OVER = "over"
    """Finalized or refunded."""
    GONE = "gone"
    """The chain has no escrow of it, and never will."""


def _drive(db: Database, settings: Settings, job_id: str, view: SettlementView) -> tuple[SettlementView, _End]:
    """Take step after step, each from what the chain shows: propose, finalize, or give all of it back. Returns what is
    known of the settlement then, and how the job stands on chain."""
    job_key, chain = chain_job_id(job_id), client(settings)
    for _ in range(_MOST_STEPS):
        state = chain.escrow(job_key)
        try:
            match state.state:
                case JobState.NONE:
                    return view, _End.GONE if _never_opened(db, job_id) else _End.WAITS
                case JobState.OPEN:
                    view = _end_open(db, settings, job_id, view, state)
                case JobState.PROPOSED:
                    if not _wait_for_window(chain, state):
                        return view, _End.WAITS
                    result = transact(
                        db, settings, f"finalize:{job_id}", lambda c, n: c.prepare_finalize(job_key, nonce=n)
                    )
                    view = view.model_copy(update={"settlement_tx": result.hash})
                case JobState.DISPUTED:
                    return view, _End.WAITS
                case JobState.FINALIZED:
                    split = split_price(state.cap, state.price)
                    paid = {"price": state.price, "burned": split.burned, "fee": split.fee, "refund": split.refund}
                    return view.model_copy(update={**paid, "receipt_root": "0x" + state.receipt_root.hex()}), _End.OVER
                case JobState.REFUNDED:
                    nothing = {"price": 0, "burned": 0, "fee": 0, "refund": state.cap}
                    return view.model_copy(update=nothing), _End.OVER
        except Reverted as error:
            # Somebody else was first (anybody finalizes, challenges, refunds): what there is now is looked at anew.
            log.info("step_was_refused", job=job_id, state=state.state.name, error=str(error))
    raise TransactionPending(f"job {job_id} changes on chain while it is settled; it is looked at again later")


def _end_open(
    db: Database, settings: Settings, job_id: str, view: SettlementView, state: EscrowState
) -> SettlementView:
    """The next step of an escrow that is open: a price for what passed, or all of it back where nothing did, where it
    is too late, or where too many proposals were voided. Where nothing passed of what we gave our word for, a price of
    nothing says so: given back alone, the bond would owe it."""
    job_key, chain = chain_job_id(job_id), client(settings)
    if state.voided:
        withdraw_unsound(db, settings, job_id)
    with db.read() as session:
        receipts = job_receipts(session, job_id)
        price = sum(receipt.price for receipt in receipts)
        root = receipt_tree(receipts).root if receipts else bytes(32)
        word_given = acknowledged(session, settings, job_id)
    count = len(receipts)
    view = view.model_copy(update={"price": price, "receipt_root": "0x" + root.hex()})
    if count == 0 and not word_given:
        result = transact(db, settings, f"cancel:{job_id}", lambda c, n: c.prepare_cancel(job_key, nonce=n))
        return view.model_copy(update={"settlement_tx": result.hash})
    if state.voided >= MOST_VOIDED or chain.time() > state.last_proposal(chain.terms().grace):
        result = transact(db, settings, f"refund:{job_id}", lambda c, n: c.prepare_refund(job_key, nonce=n))
        return view.model_copy(update={"settlement_tx": result.hash})
    if count:
        award(db, settings, job_id)
    key = _proposal(job_id, state.voided)
    proposed = transact(db, settings, key, lambda c, n: c.prepare_propose(job_key, price, root, count, nonce=n))
    return view.model_copy(update={"propose_tx": proposed.hash})


def _with_transactions(db: Database, job_id: str, view: SettlementView, voided: int) -> SettlementView:
    """The transactions that did it, also where whoever sent them did not live to see them mined."""
    proposed = known_hash(db, _proposal(job_id, voided))
    ended = next(
        (found for kind in ("finalize", "cancel", "refund") if (found := known_hash(db, f"{kind}:{job_id}"))), None
    )
    told = {"propose_tx": proposed or view.propose_tx, "settlement_tx": ended or view.settlement_tx}
    return view.model_copy(update=told)


def _proposal(job_id: str, voided: int) -> str:
    """The key of a proposal: a voided one's is spent."""
    return f"propose:{job_id}" + (f":{voided}" if voided else "")


def _never_opened(db: Database, job_id: str) -> bool:
    """Whether an escrow that the chain does not know will never be there: its opening is sent again while there is a
    row of it, and was refused for good where there is none."""
    with db.read() as session:
        return session.get(ChainTransaction, f"open:{job_id}") is None


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
