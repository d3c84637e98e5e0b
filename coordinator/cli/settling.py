"""`kilnet settle`: a job's escrow to its end on chain by whoever likes, also where the coordinator has vanished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json, Key
from coordinator.cli.sending import Escrow, GoOn, Rpc, client, confirm, find_deployment, gas, run
from coordinator.cli.told import told
from jobs.errors import BadInput

if TYPE_CHECKING:
    from contracts.client import ChainClient
    from contracts.transactions import PreparedTx

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("settle")(_settle)


def _settle(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    rpc: Rpc = None,
    escrow: Escrow = None,
    gateway: Gateway = None,
    key: Key = None,
    yes: GoOn = False,
    as_json: Json = False,
) -> None:
    """End a job's escrow on chain, without the coordinator: after deadline and grace all of it returns to the client;
    where a price was proposed and its window is over, that is paid and the rest returns. Anybody may, and pays gas."""
    from contracts.reader import JobState
    from jobs.pricing import display_kiln
    from jobs.typed_data import chain_job_id

    where = find_deployment(gateway, rpc, escrow)
    sender, job_key = client(where, key), chain_job_id(job)
    with told():
        before = sender.escrow(job_key)
        prepared = _next(sender, job, job_key, before.state)
    back = before.cap if before.state is JobState.OPEN else before.cap - before.price
    paid = "" if before.state is JobState.OPEN else f" {display_kiln(before.price)} KILN are paid, as proposed."
    confirm(
        f"job {job}: {display_kiln(back)} KILN return to {before.client}.{paid} Gas: {gas(prepared)}.", yes=yes
    )  # fmt: skip
    sent = run(sender, prepared)
    with told():
        after = sender.escrow(job_key)
    report: dict[str, Any] = {
        "job": job, "state": after.state.name.lower(), "client": after.client, "refund": str(back),
        "price": str(before.cap - back), "transaction": sent.hash,
    }  # fmt: skip
    if as_json:
        answer(report)
    else:
        print(f"job {job} is {report['state']}: {display_kiln(back)} KILN are back at {after.client}")
        print(f"transaction {sent.hash}")


def _next(sender: ChainClient, job: str, job_key: bytes, state: Any) -> PreparedTx:
    """The transaction that ends it. Raises BadInput where there is none, ChainError where it is too early."""
    from contracts.reader import JobState

    match state:
        case JobState.OPEN:
            return sender.prepare_refund(job_key)
        case JobState.PROPOSED:
            return sender.prepare_finalize(job_key)
        case JobState.DISPUTED:
            number = sender.open_challenge(job_key)
            raise BadInput(
                f"job {job}: auditors decide on challenge {number} first; `kilnet dispute show {number}` says until "
                "when, and `kilnet dispute lapse` ends it after that",
                code="disputed",
            )
        case JobState.NONE:
            raise BadInput(f"job {job}: there is no escrow of it at {sender.addresses.escrow}; check the id")
    raise BadInput(f"job {job} is {state.name.lower()} already: nothing of it is left in escrow", code="final")
