"""What `kilnet epoch verify` checks: what the gateway or a file says of epochs, and what the chain does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jobs.errors import BadInput, Unavailable
from jobs.wire import EpochChain, EpochProof

if TYPE_CHECKING:
    from contracts.reader import ChainReader
    from coordinator.cli.public import PublicGateway
    from jobs.typed_data import Domain
    from jobs.wire import ChainInfo, EpochAccount
    from verification.epochs import ChainEpoch, ChainJob, Finding

__all__ = ["ChainSays", "accounts_of", "ask_chain", "fetch", "from_file"]


def fetch(gateway: str | None, rpc: str | None, number: int, first: int) -> tuple[EpochChain, str]:
    """The epochs from `first` to `number` of a gateway, and the RPC to check them against. Raises BadInput,
    Unavailable."""
    from coordinator.cli.public import PublicGateway

    public = PublicGateway(gateway)
    chain = public.info().chain
    if chain is None:
        raise Unavailable("the gateway reaches no chain at the moment: try again later")
    if (rpc or chain.rpc_url) is None:
        raise BadInput("the operator keeps its chain's address private: name one of your own with --rpc")
    epochs = [_epoch(public, chain, number)]  # the last first: whether there is such an epoch is said at once
    for one in range(number - 1, first - 1, -1):
        epochs.insert(0, _epoch(public, chain, one))
    before = accounts_of(public, first - 1) if first > 1 else ()
    linked = []
    for epoch in epochs:
        linked.append(epoch.model_copy(update={"before": before}))
        before = epoch.accounts
    return EpochChain(epochs=tuple(linked)), str(rpc or chain.rpc_url)


def _epoch(public: PublicGateway, chain: ChainInfo, number: int) -> EpochProof:
    from jobs.wire import EpochReceipt, EpochReceipts

    receipts: list[EpochReceipt] = []
    after: int | None = 0
    while after is not None:
        page = public.read(EpochReceipts, f"/v1/ledger/epochs/{number}/receipts?after={after}")
        receipts += page.receipts
        after = page.next
    return EpochProof(
        number=number, chain_id=chain.chain_id, token=chain.token, escrow=chain.escrow, distributor=chain.distributor,
        before=(), accounts=accounts_of(public, number), receipts=tuple(receipts),
    )  # fmt: skip


def accounts_of(public: PublicGateway, of: int) -> tuple[EpochAccount, ...]:
    """The leaves of an epoch's root, as a gateway says. Raises BadInput, Unavailable."""
    from jobs.wire import EpochAccounts

    found: list[EpochAccount] = []
    last: str | None = ""
    while last is not None:
        page = public.read(EpochAccounts, f"/v1/ledger/epochs/{of}/accounts?after={last}")
        found += page.accounts
        last = page.next
    return tuple(found)


def from_file(path: Path) -> EpochChain:
    """What --save wrote: epochs that follow each other, of one deployment. Raises BadInput."""
    from pydantic import ValidationError

    from jobs.spec import explain

    try:
        found = EpochChain.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(
            f"{path}: is neither the number of an epoch nor a file that can be read ({error.strerror}); "
            "`kilnet epoch list` shows the epochs"
        ) from error
    except ValidationError as error:
        raise BadInput(f"{path}: {explain(error)}; `kilnet epoch verify N --save FILE` writes such a file") from error
    first = found.epochs[0]
    for place, one in enumerate(found.epochs):
        where = (one.chain_id, one.token, one.escrow, one.distributor)
        if one.number != first.number + place or where != (
            first.chain_id, first.token, first.escrow, first.distributor,
        ):  # fmt: skip
            raise BadInput(f"{path}: its epochs do not follow each other, or are of several deployments")
    return found


class ChainSays(NamedTuple):
    """The chain's side."""

    wrong: list[Finding]
    """Where it is another chain, that is the finding, and there is nothing else."""
    epochs: tuple[ChainEpoch, ...]
    commands: tuple[str, ...]
    """What stops a proposal that is wrong while it can be stopped."""
    vetoable_until: int
    """Unix seconds until which the last epoch's root can be vetoed; 0 where it cannot any more."""


def ask_chain(
    given: EpochChain, domain: Domain, rpc: str, signers: Sequence[dict[int, str | None]], shown: str
) -> ChainSays:
    """What the chain says of these epochs. `shown`: the file that has them, for commands. Raises Unavailable."""
    from contracts.addresses import Addresses
    from contracts.epochs import is_receipt_signer, posted_roots, total_claimed
    from contracts.errors import ChainError, NotDeployed, WrongChain
    from contracts.reader import ChainReader
    from verification.epochs import ChainEpoch, Finding

    last = given.epochs[-1]
    numbers = [one.number for one in given.epochs]
    reader = ChainReader(rpc, Addresses(last.chain_id, last.token, last.escrow, last.distributor))
    try:
        reader.check()
        roots = posted_roots(reader, (numbers[0] - 1, *numbers))
        jobs, commands = _jobs(reader, given, domain, shown)
        found = {signer for each in signers for signer in each.values() if signer is not None}
        known = frozenset(signer for signer in found if is_receipt_signer(reader, signer))
        claimed, active, pending = total_claimed(reader), reader.active_epoch(), reader.pending_epoch()
    except (WrongChain, NotDeployed) as error:
        return ChainSays([Finding("chain", str(error))], (), (), 0)
    except ChainError as error:
        raise Unavailable(str(error)) from error
    epochs = []
    for one in given.epochs:
        posted, before = roots.get(one.number), roots.get(one.number - 1)
        epochs.append(
            ChainEpoch(
                root=None if posted is None else posted.root,
                total=0 if posted is None else posted.total,
                vetoed=posted is not None and posted.vetoed,
                root_before=None if before is None else before.root,
                signers=known,
                jobs={job: jobs[job] for job in {receipt.job for receipt in one.receipts}},
                claimed=claimed,
                claimable=active.total,
            )
        )
    vetoable = pending.active_at if pending is not None and pending.number == last.number else 0
    return ChainSays([], tuple(epochs), tuple(commands), vetoable)


def _jobs(reader: ChainReader, given: EpochChain, domain: Domain, shown: str) -> tuple[dict[str, ChainJob], list[str]]:
    """Each job as the escrow has it; and where one is paid whose proposal still stands and is wrong, what stops it.
    Raises ChainError."""
    from contracts.reader import JobState
    from coordinator.cli.faults import look, remedy, shown_receipt
    from jobs.typed_data import chain_job_id
    from verification.epochs import ChainJob

    found, commands = {}, []
    for job in sorted({receipt.job for one in given.epochs for receipt in one.receipts}):
        known = reader.escrow(chain_job_id(job))
        found[job] = ChainJob(known.state is JobState.FINALIZED, known.price, known.receipt_root, known.receipt_count)
        if known.state in (JobState.PROPOSED, JobState.DISPUTED):
            receipts = [one for epoch in given.epochs for one in epoch.receipts if one.job == job]
            state, looked = look(reader, job, map(shown_receipt, receipts), domain)
            command = remedy(state, looked, job, f" --receipts {shown}")
            commands += [command] if command is not None else []
    return found, commands
