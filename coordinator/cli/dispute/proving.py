"""`kilnet dispute prove` and `kilnet dispute equivocation`: faults that the chain checks by itself, sent to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json, Key
from coordinator.cli.sending import GoOn, Rpc, client, coin, confirm, find_deployment, gas, run
from coordinator.cli.told import told
from jobs.errors import BadInput, Refused
from jobs.pricing import display_kiln

if TYPE_CHECKING:
    from contracts.client import ChainClient
    from contracts.disputes import ProvenReceipt
    from contracts.transactions import PreparedTx, TxResult
    from coordinator.cli.faults import Shown
    from verification.faults import Fault, ShownReceipt

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("prove")(_prove)
    app.command("equivocation")(_equivocation)


def _prove(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    receipts: Annotated[
        Path | None,
        typer.Option(
            help="What `kilnet audit --save` or `kilnet epoch verify --save` kept. [default: ask the gateway]"
        ),
    ] = None,
    yes: GoOn = False,
    rpc: Rpc = None,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Prove on chain that a job's proposal is wrong: a receipt that nobody signed or of another job, a tile twice, or a
    wrong sum. The proposal is void; no bond is asked for."""
    from contracts.reader import JobState
    from coordinator.cli.faults import look
    from jobs.typed_data import chain_job_id

    shown = _shown(job, receipts, gateway, key)
    escrow = shown.domain["escrow"] if receipts is not None and rpc is not None else None
    where = find_deployment(gateway, rpc, escrow, chain_id=shown.domain["chain_id"])
    if where.addresses.escrow.lower() != shown.domain["escrow"].lower():
        raise BadInput(
            f"the receipts are for the escrow {shown.domain['escrow']}: name the RPC of its chain with --rpc"
        )
    with told():
        state, looked = look(where.reader(), job, shown.receipts, shown.domain)
    if state.state not in (JobState.PROPOSED, JobState.DISPUTED):
        at = state.state.name.lower()
        raise BadInput(
            f"job {job} is {at} on chain: only a proposal that stands can be proven wrong", code="no_proposal"
        )
    if not looked.faults:
        raise Refused(_nothing(job, looked.under_root, state.receipt_count), code="no_fault")
    fault = looked.faults[0]
    sender = client(where, key)
    with told():
        prepared = _prepared(sender, chain_job_id(job), fault)
    confirm(
        f"job {job}: {fault.kind}: {fault.what}\n"
        f"Proving it voids the proposal of {display_kiln(state.price)} KILN. Bond: none. Gas: {gas(prepared)}.",
        yes=yes,
    )
    _tell(run(sender, prepared), f"proven: the proposal of job {job} is void", as_json=as_json, kind=str(fault.kind))


def _shown(job: str, receipts: Path | None, gateway: str | None, key: str | None) -> Shown:
    from coordinator.cli.connection import Access, connect
    from coordinator.cli.faults import read_shown, shown_of

    if receipts is not None:
        return read_shown(receipts)
    with connect(Access(gateway, key), nodes=None) as asked:
        return shown_of(asked.bundle(job), f"the bundle of job {job}")


def _nothing(job: str, under: int, count: int) -> str:
    if under < count:
        return (
            f"{under} of the {count} receipts of job {job}'s proposal are shown, and nothing is wrong with them: what "
            f"is not shown only auditors can judge, with `kilnet dispute challenge {job} --evidence FILE`"
        )
    return f"the proposal of job {job} is as its {count} receipts say: there is nothing to prove"


def _prepared(sender: ChainClient, job: bytes, fault: Fault) -> PreparedTx:
    from contracts.disputes import Sibling, SumClaim
    from verification.faults import FaultKind

    first = _proven(fault.receipts[0])
    match fault.kind:
        case FaultKind.UNSIGNED | FaultKind.FOREIGN:
            return sender.prepare_prove_invalid_receipt(job, first)
        case FaultKind.TWICE:
            return sender.prepare_prove_duplicate_tile(job, first, _proven(fault.receipts[1]))
        case FaultKind.SUM:
            steps = zip(fault.claims, fault.receipts[0].path or (), strict=True)
            path = [SumClaim(claim, Sibling(*beside)) for claim, beside in steps]
            return sender.prepare_prove_wrong_sum(job, first.receipt, first.signature, path)


def _proven(one: ShownReceipt) -> ProvenReceipt:
    from contracts.disputes import ProvenReceipt, Sibling
    from contracts.typed_data import Receipt
    from jobs.typed_data import chain_job_id

    receipt = Receipt(chain_job_id(one.job), one.tile, one.attempt, one.node, one.commitment, one.price)
    return ProvenReceipt(receipt, one.signature, tuple(Sibling(*step) for step in one.path or ()))


def _equivocation(
    evidence: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Bundles of `kilnet dispute`, or JSON with signed commitments."),
    ],
    yes: GoOn = False,
    rpc: Rpc = None,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Prove on chain that a node signed two results for one lease and token: its operator is slashed, and a share of it
    is the finder's. No bond is asked for."""
    from coordinator.cli.dispute.commitments import contradiction, read_commitments

    found = contradiction([one for path in evidence for one in read_commitments(path)])
    where = find_deployment(gateway, rpc, found.escrow if rpc is not None else None, chain_id=found.chain_id)
    if where.addresses.escrow.lower() != found.escrow.lower():
        raise BadInput(f"the commitments are for the escrow {found.escrow}: name the RPC of its chain with --rpc")
    sender = client(where, key)
    with told():
        operator = sender.answers_for(found.node)
        if operator is None:
            raise BadInput(f"no operator answers for node {found.node}: nobody can be slashed, try others")
        staked = sender.operator(operator)
        prepared = sender.prepare_prove_equivocation(*found.first, *found.second)
    confirm(
        f"node {found.node} signed two results for lease {found.lease}, token {found.token}\n"
        f"Proving it slashes operator {operator}, with whom {display_kiln(staked.active + staked.unbonding)} KILN are "
        f"staked. Bond: none. Gas: {gas(prepared)}.",
        yes=yes,
    )
    _tell(run(sender, prepared), f"proven: operator {operator} is slashed", as_json=as_json, kind="equivocation")


def _tell(result: TxResult, line: str, *, as_json: bool, kind: str) -> None:
    if as_json:
        answer({"proven": kind, "tx": result.hash, "gas": result.gas_used, "fee_wei": str(result.fee_wei)})
    else:
        print(f"{line}; transaction {result.hash}, {coin(result.fee_wei)}")
