"""The order and the permit, as the contracts will read them."""

from __future__ import annotations

from jobs.client.key import address_of
from jobs.client.orders import signed_order
from jobs.typed_data import Domain, order_message, permit_message, recover
from jobs.wire import ChainInfo

KEY = b"\x11" * 32
CHAIN = ChainInfo(
    chain_id=31337, token="0x" + "1" * 40, token_name="Kiln", escrow="0x" + "2" * 40, distributor="0x" + "3" * 40,
    rpc_url=None,
)  # fmt: skip


def test_order_and_permit_recover_to_the_client() -> None:
    """Both signatures are the client's over just this job, cap and deadline; with another cap they are nobody's."""
    client = address_of(KEY)
    body = signed_order(
        chain=CHAIN, key=KEY, client=client, job="j1", cap=10**18, deadline=2_000_000_000, permit_nonce=7
    )
    domain = Domain(chain_id=31337, escrow=CHAIN.escrow)
    order = order_message(domain, job="j1", client=client, cap=10**18, deadline=2_000_000_000)
    assert recover(order, body.order_signature) == client
    other = order_message(domain, job="j1", client=client, cap=10**18 + 1, deadline=2_000_000_000)
    assert recover(other, body.order_signature) != client
    assert body.permit is not None and body.permit.value == 10**18 and body.permit.nonce == 7
    permit = permit_message(
        token=CHAIN.token, token_name="Kiln", chain_id=31337, owner=client, spender=CHAIN.escrow, value=10**18, nonce=7,
        deadline=2_000_000_000,
    )  # fmt: skip
    assert recover(permit, body.permit.signature) == client
