"""`kilnet epoch list` and `kilnet epoch verify`: anyone can make an epoch's reward root again, from its receipts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json

if TYPE_CHECKING:
    from coordinator.cli.public import PublicGateway
    from jobs.wire import ChainInfo, EpochProof
    from verification.epochs import ChainEpoch, Finding

__all__ = ["register"]

Rpc = Annotated[str | None, typer.Option(metavar="URL", help="Read the chain here. [default: as the gateway says]")]
_SHOWN = 40

app = typer.Typer(no_args_is_help=True, help="Epochs of rewards: list them, make a root again: kilnet epoch --help.")


def register(program: typer.Typer) -> None:
    """Adds the commands."""
    program.add_typer(app, name="epoch")


@app.command("list")
def list_epochs(gateway: Gateway = None, as_json: Json = False) -> None:
    """The latest epochs, as the gateway has them."""
    from coordinator.cli.public import PublicGateway
    from jobs.pricing import display_kiln
    from jobs.wire import LedgerView

    ledger = PublicGateway(gateway).read(LedgerView, "/v1/ledger")
    if as_json:
        answer({"epochs": [epoch.model_dump(mode="json") for epoch in ledger.epochs]})
        return
    if not ledger.epochs:
        print("no epoch yet: the first follows the first job that was settled")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("epoch", "burned KILN", "rewards KILN", "state", "root", box=None, padding=(0, 2, 0, 0))
    for name in ("epoch", "burned KILN", "rewards KILN"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for epoch in ledger.epochs:
        table.add_row(
            str(epoch.number),
            display_kiln(epoch.burned),
            display_kiln(epoch.minted),
            epoch.state,
            epoch.root[:18] + "…",
        )
    Console().print(table)


@app.command()
def verify(
    epoch: Annotated[str, typer.Argument(metavar="EPOCH", help="Its number, or a file that --save wrote.")],
    rpc: Rpc = None,
    save: Annotated[Path | None, typer.Option(help="Also keep what the gateway gave, to verify it elsewhere.")] = None,
    gateway: Gateway = None,
    as_json: Json = False,
) -> None:
    """Check every receipt of an epoch, make its root again, and compare it with the chain's. Needs no account."""
    from verification.epochs import check_epoch, signers_of

    proof, chain = _given(epoch, gateway, rpc)
    if save is not None:
        save.write_text(proof.model_dump_json(indent=1), encoding="utf-8")
    from jobs.typed_data import Domain

    domain = Domain(chain_id=proof.chain_id, escrow=proof.escrow)
    signers = signers_of(proof, domain)
    wrong_chain, facts = _facts(proof, chain, signers)
    findings = wrong_chain if facts is None else check_epoch(proof, domain, facts, signers)
    report = _report(proof, facts, findings)
    if as_json:
        answer(report)
    else:
        _show(report, findings)
    raise typer.Exit(1 if findings else 0)


def _given(epoch: str, gateway: str | None, rpc: str | None) -> tuple[EpochProof, str]:
    """What is to be checked, and the RPC to check it against. Raises BadInput, Unavailable."""
    from coordinator.cli.public import PublicGateway
    from jobs.errors import BadInput, Unavailable

    if not epoch.isascii() or not epoch.isdigit():
        proof = _from_file(Path(epoch))
        if rpc is None:
            raise BadInput("a file says nothing about where its chain is read: name an RPC with --rpc URL")
        return proof, rpc
    if int(epoch) < 1:
        raise BadInput(f"{epoch}: epochs count from 1; `kilnet epoch list` shows them")
    public = PublicGateway(gateway)
    info = public.info()
    if info.chain is None:
        raise Unavailable("the gateway reaches no chain at the moment: try again later")
    if (rpc or info.chain.rpc_url) is None:
        raise BadInput("the operator keeps its chain's address private: name one of your own with --rpc")
    return _fetch(public, info.chain, int(epoch)), str(rpc or info.chain.rpc_url)


def _from_file(path: Path) -> EpochProof:
    from pydantic import ValidationError

    from jobs.errors import BadInput
    from jobs.spec import explain
    from jobs.wire import EpochProof

    try:
        return EpochProof.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(
            f"{path}: is neither the number of an epoch nor a file that can be read ({error.strerror}); "
            "`kilnet epoch list` shows the epochs"
        ) from error
    except ValidationError as error:
        raise BadInput(f"{path}: {explain(error)}; `kilnet epoch verify N --save FILE` writes such a file") from error


def _fetch(public: PublicGateway, chain: ChainInfo, number: int) -> EpochProof:
    from jobs.wire import EpochAccount, EpochAccounts, EpochProof, EpochReceipt, EpochReceipts

    receipts: list[EpochReceipt] = []
    after: int | None = 0
    while after is not None:
        page = public.read(EpochReceipts, f"/v1/ledger/epochs/{number}/receipts?after={after}")
        receipts += page.receipts
        after = page.next

    def accounts(of: int) -> tuple[EpochAccount, ...]:
        found: list[EpochAccount] = []
        last: str | None = ""
        while last is not None:
            page = public.read(EpochAccounts, f"/v1/ledger/epochs/{of}/accounts?after={last}")
            found += page.accounts
            last = page.next
        return tuple(found)

    return EpochProof(
        number=number, chain_id=chain.chain_id, token=chain.token, escrow=chain.escrow, distributor=chain.distributor,
        before=accounts(number - 1) if number > 1 else (), accounts=accounts(number), receipts=tuple(receipts),
    )  # fmt: skip


def _facts(proof: EpochProof, rpc: str, signers: dict[int, str | None]) -> tuple[list[Finding], ChainEpoch | None]:
    """What the chain says. Where the RPC serves another one, that is the finding. Raises Unavailable."""
    from contracts.addresses import Addresses
    from contracts.epochs import is_receipt_signer, posted_roots, total_claimed
    from contracts.errors import ChainError, NotDeployed, WrongChain
    from contracts.reader import ChainReader, JobState
    from jobs.errors import Unavailable
    from jobs.typed_data import chain_job_id
    from verification.epochs import ChainEpoch, ChainJob, Finding

    reader = ChainReader(rpc, Addresses(proof.chain_id, proof.token, proof.escrow, proof.distributor))
    try:
        reader.check()
        roots = posted_roots(reader, (proof.number - 1, proof.number))
        jobs = {}
        for job in sorted({receipt.job for receipt in proof.receipts}):
            known = reader.escrow(chain_job_id(job))
            finalized = known.state is JobState.FINALIZED
            jobs[job] = ChainJob(finalized, known.price, known.receipt_root, known.receipt_count)
        found = {signer for signer in signers.values() if signer is not None}
        posted, before, active = roots.get(proof.number), roots.get(proof.number - 1), reader.active_epoch()
        return [], ChainEpoch(
            root=None if posted is None else posted.root,
            total=0 if posted is None else posted.total,
            vetoed=posted is not None and posted.vetoed,
            root_before=None if before is None else before.root,
            signers=frozenset(signer for signer in found if is_receipt_signer(reader, signer)),
            jobs=jobs,
            claimed=total_claimed(reader),
            claimable=active.total,
        )
    except (WrongChain, NotDeployed) as error:
        return [Finding("chain", str(error))], None
    except ChainError as error:
        raise Unavailable(str(error)) from error


def _report(proof: EpochProof, facts: ChainEpoch | None, findings: list[Finding]) -> dict[str, Any]:
    """As JSON; amounts are strings of whole units."""
    from jobs.pricing import reward_units

    root = None if facts is None or facts.root is None else "0x" + facts.root.hex()
    return {
        "epoch": proof.number,
        "ok": not findings,
        "chain_id": proof.chain_id,
        "escrow": proof.escrow,
        "distributor": proof.distributor,
        "root": root,
        "receipts": len(proof.receipts),
        "jobs": len({receipt.job for receipt in proof.receipts}),
        "accounts": len(proof.accounts),
        "rewards": str(sum(reward_units(receipt.price) for receipt in proof.receipts)),
        "total": str(sum(one.cumulative for one in proof.accounts)),
        "claimed": None if facts is None else str(facts.claimed),
        "findings": [{"where": one.where, "what": one.what} for one in findings],
    }


def _show(report: dict[str, Any], findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    from jobs.pricing import display_kiln

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_row("epoch", f"{report['epoch']} on chain {report['chain_id']}")
    table.add_row("root", report["root"] or "not posted")
    table.add_row("receipts", f"{report['receipts']} of {report['jobs']} jobs, each 0.95 x what its own tile burned")
    table.add_row("rewards", f"{display_kiln(int(report['rewards']))} KILN in this epoch")
    table.add_row("in all", f"{display_kiln(int(report['total']))} KILN, to {report['accounts']} accounts")
    if report["claimed"] is not None:
        table.add_row("claimed", f"{display_kiln(int(report['claimed']))} KILN so far")
    for one in findings[:_SHOWN]:
        table.add_row("WRONG", f"{one.where}: {one.what}")
    if len(findings) > _SHOWN:
        table.add_row("", f"and {len(findings) - _SHOWN} more (--json has all)")
    if not findings:
        table.add_row("verified", "every signature, every reward, every leaf, and the root is the chain's")
    Console().print(table)
