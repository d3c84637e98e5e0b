"""The settlement as the chain has it, where the operator lets anyone read the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.cli.audit.checks import Bundle, Check, receipt_of
from jobs.typed_data import chain_job_id
from jobs.wire import ChainInfo

if TYPE_CHECKING:
    from contracts.reader import ChainReader

__all__ = ["SOUND", "check_chain"]

SOUND = "what is proposed is sound"
"""The check of a proposal that can still be voided."""


def check_chain(bundle: Bundle, chain: ChainInfo) -> list[Check]:
    """Whether the escrow holds the same price and root, and takes each receipt for one of its signers' own.

    Empty where the chain is not public. Raises nothing: what the chain does not answer is a check that failed.
    """
    if chain.rpc_url is None:
        return []
    from contracts.addresses import Addresses
    from contracts.disputes import Sibling
    from contracts.errors import ChainError
    from contracts.reader import ChainReader, JobState
    from contracts.typed_data import Receipt

    addresses = Addresses(chain.chain_id, chain.token, chain.escrow, chain.distributor)
    same = chain.chain_id == bundle.domain["chain_id"] and chain.escrow.lower() == bundle.domain["escrow"].lower()
    checks = [Check("signed for the contracts of the gateway", same, chain.escrow)]
    try:
        reader = ChainReader(chain.rpc_url, addresses)
        reader.check()
        job = chain_job_id(bundle.job)
        paid = reader.settlement(job)
        on_chain = reader.escrow(job)
        if bundle.settlement is not None:
            agreed = paid is not None and (paid.burned, paid.fee, paid.refund) == (
                bundle.settlement.burned, bundle.settlement.fee, bundle.settlement.refund,
            )  # fmt: skip
            told = f"{paid.burned} burned, {paid.fee} fee, {paid.refund} refunded" if paid else "not finalized"
            checks.append(Check("the chain burned and paid as told", agreed, told))
        if on_chain.state in (JobState.PROPOSED, JobState.DISPUTED):
            checks.append(_proposal(reader, bundle))
        if bundle.receipt_root is not None:
            checks.append(Check("the chain holds the root", on_chain.receipt_root == bundle.receipt_root, chain.escrow))
            for view in bundle.receipts:
                fields = receipt_of(view, bundle.domain)["message"]
                receipt = Receipt(**fields)
                signature = bytes.fromhex(view.signature.removeprefix("0x"))
                words = [bytes.fromhex(word.removeprefix("0x")) for word in view.proof or ()]
                path = [
                    Sibling(node, int.from_bytes(total)) for node, total in zip(words[::2], words[1::2], strict=False)
                ]
                valid = reader.verify_receipt(receipt, signature, path)
                checks.append(Check("the escrow accepts the receipt", valid, "", view.tile))
    except ChainError as error:
        checks.append(Check("the chain answers", False, str(error)))
    return checks


def _proposal(reader: ChainReader, bundle: Bundle) -> Check:
    """Whether what is proposed on chain, and can still be voided, is what the receipts say. Raises ChainError."""
    from coordinator.cli.faults import look, remedy, shown_receipt

    state, looked = look(reader, bundle.job, map(shown_receipt, bundle.receipts), bundle.domain)
    said = looked.faults[0].what if looked.faults else ""
    if not said and looked.under_root < state.receipt_count:
        said = f"{looked.under_root} of the {state.receipt_count} receipts proposed are shown"
    command = remedy(state, looked, bundle.job) if said else None
    return Check(SOUND, not said, said + (f"; now: {command}" if command else ""))
