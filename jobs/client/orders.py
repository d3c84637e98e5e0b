"""Saying yes to a quote: the signed order, and the permit by which the escrow takes the tokens."""

from __future__ import annotations

from jobs.typed_data import Domain, order_message, permit_message, sign
from jobs.wire import AcceptJob, ChainInfo, PermitSignature

__all__ = ["signed_order"]


def signed_order(
    *, chain: ChainInfo, key: bytes, client: str, job: str, cap: int, deadline: int, permit_nonce: int
) -> AcceptJob:
    """The order for `job`: at most `cap` units until `deadline` (Unix seconds), and a permit for just as much and as
    long. Both are bound to the chain and the contracts of `chain`."""
    domain = Domain(chain_id=chain.chain_id, escrow=chain.escrow)
    order = sign(order_message(domain, job=job, client=client, cap=cap, deadline=deadline), key)
    permit = permit_message(
        token=chain.token,
        token_name=chain.token_name,
        chain_id=chain.chain_id,
        owner=client,
        spender=chain.escrow,
        value=cap,
        nonce=permit_nonce,
        deadline=deadline,
    )
    allowed = PermitSignature(value=cap, nonce=permit_nonce, deadline=deadline, signature=sign(permit, key))
    return AcceptJob(cap=cap, deadline=deadline, order_signature=order, permit=allowed)
