"""Receipts of a job from wherever they come (gateway, file, epoch), held against its proposal on chain."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from jobs.errors import BadInput
from jobs.spec import explain
from jobs.typed_data import Domain, chain_job_id
from jobs.wire import Address, Hex32, Units

if TYPE_CHECKING:
    from contracts.reader import ChainReader, EscrowState
    from verification.faults import Looked, ShownReceipt

__all__ = ["Shown", "look", "read_shown", "remedy", "shown_of", "shown_receipt"]

_MOST_FILE = 256 << 20
Number = Annotated[int, Field(ge=0, lt=1 << 64)]


class _Domain(BaseModel):
    chain_id: int = Field(ge=0)
    escrow: Address


class _Receipt(BaseModel):
    job: str = Field(max_length=24)
    tile: Number
    attempt: Number
    node: Address
    commitment: Hex32
    price: Annotated[Units, Field(lt=1 << 256)]
    signature: str = Field(pattern=r"^0x([0-9a-fA-F]{2}){0,1024}$")
    proof: tuple[Hex32, ...] | None = Field(default=None, max_length=128)


class _Bundle(BaseModel):
    """What `kilnet audit --save` keeps."""

    domain: _Domain
    receipts: tuple[_Receipt, ...]


class _Epoch(_Domain):
    receipts: tuple[_Receipt, ...]


class _Epochs(BaseModel):
    """What `kilnet epoch verify --save` keeps."""

    epochs: tuple[_Epoch, ...] = Field(min_length=1)


class Shown(NamedTuple):
    """Receipts, and for which deployment they were signed."""

    domain: Domain
    receipts: tuple[ShownReceipt, ...]


def shown_of(data: Mapping[str, Any], name: str) -> Shown:
    """What `kilnet audit --save` or `kilnet epoch verify --save` keeps. Raises BadInput; `name` says of what."""
    try:
        if "domain" in data:
            bundle = _Bundle.model_validate(data)
            where, receipts = bundle.domain, bundle.receipts
        else:
            epochs = _Epochs.model_validate(data).epochs
            where, receipts = epochs[-1], tuple(one for epoch in epochs for one in epoch.receipts)
    except ValidationError as error:
        raise BadInput(
            f"{name}: {explain(error)}; `kilnet audit JOB --save FILE` and `kilnet epoch verify N --save FILE` write "
            "such files"
        ) from error
    return Shown(Domain(chain_id=where.chain_id, escrow=where.escrow), tuple(map(shown_receipt, receipts)))


def read_shown(path: Path) -> Shown:
    """The same from a file."""
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_MOST_FILE))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is no JSON; `kilnet audit JOB --save FILE` writes such a file") from error
    if not isinstance(data, dict):
        raise BadInput(f"{path}: holds no receipts; `kilnet audit JOB --save FILE` writes such a file")
    return shown_of(data, str(path))


def shown_receipt(one: Any) -> ShownReceipt:
    """From any of the wire's receipts (jobs.wire.EpochReceipt, ReceiptView)."""
    from verification.faults import ShownReceipt

    words = [bytes.fromhex(word[2:]) for word in getattr(one, "proof", None) or ()]
    pairs = zip(words[::2], words[1::2], strict=False)
    path = tuple((node, int.from_bytes(total, "big")) for node, total in pairs)
    return ShownReceipt(
        one.job, one.tile, one.attempt, one.node, bytes.fromhex(one.commitment[2:]), one.price,
        bytes.fromhex(one.signature[2:]), path if getattr(one, "proof", None) is not None else None,
    )  # fmt: skip


def look(reader: ChainReader, job: str, receipts: Iterable[ShownReceipt], domain: Domain) -> tuple[EscrowState, Looked]:
    """What the chain keeps of a job, and what its proposal can be proven wrong of with these receipts (all that are
    shown: one of another job may hang on its root). Raises ChainError."""
    from contracts.epochs import is_receipt_signer
    from verification.faults import Proposal, find_faults

    state = reader.escrow(chain_job_id(job))
    proposal = Proposal(job, state.receipt_root, state.price)
    return state, find_faults(tuple(receipts), domain, proposal, lambda address: is_receipt_signer(reader, address))


def remedy(state: EscrowState, looked: Looked, job: str, shown: str = "") -> str | None:
    """What can be done about a proposal, as the one command that does it; None where nothing is wrong or can be done
    any more. `shown`: options that name the receipts."""
    from contracts.reader import JobState

    if state.state not in (JobState.PROPOSED, JobState.DISPUTED):
        return None
    if looked.faults:
        return f"kilnet dispute prove {job}{shown}"
    if looked.under_root < state.receipt_count and state.state is JobState.PROPOSED:
        return f"kilnet dispute challenge {job} --evidence FILE"
    return None
