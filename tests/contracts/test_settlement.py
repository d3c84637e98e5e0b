"""A job's whole way over a real chain, through the bindings that the settlement worker uses."""

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from contracts.client import JobState
from contracts.deploy import KILN
from contracts.disputes import Sibling
from contracts.typed_data import Receipt, receipt_data, receipt_leaf, reward_leaf, sign

from .conftest import WINDOW, Stack

pytestmark = pytest.mark.chain


def pair(left: bytes, right: bytes) -> bytes:
    return keccak(min(left, right) + max(left, right))


def sum_pair(left: bytes, right: bytes, price: int) -> bytes:
    """The parent of two leaves of one price."""
    return keccak(b"".join(leaf + price.to_bytes(32, "big") for leaf in sorted((left, right))))


def test_a_job_from_signature_to_reward(stack: Stack) -> None:
    """Signed by a client without gas; every amount adds up; a receipt hangs on the root; its node is paid."""
    # given an open job of a client that has never sent a transaction
    coordinator, keys = stack.coordinator, stack.chain.keys
    client = stack.client_with(250 * KILN)
    order, signature, permit = stack.signed_order(client, 100 * KILN)
    burned_before, supply = coordinator.total_burned(), coordinator.total_supply()
    fees_before = coordinator.balance_of(keys.treasury.address)
    opened = coordinator.open_for(order, signature, permit)
    assert coordinator.escrow(order.job).state is JobState.OPEN
    assert coordinator.balance_of(client.address) == 150 * KILN

    # when the coordinator proposes what two receipts add up to, and anybody finalizes
    nodes = [Account.create(), Account.create()]
    receipts = [
        Receipt(order.job, tile, 1, node.address, bytes([tile]) * 32, 20 * KILN) for tile, node in enumerate(nodes)
    ]
    signatures = [sign(receipt_data(receipt, stack.addresses), keys.signer) for receipt in receipts]
    leaves = [receipt_leaf(receipt, signed) for receipt, signed in zip(receipts, signatures, strict=True)]
    assert leaves[0] == coordinator.receipt_leaf(receipts[0], signatures[0])
    root = sum_pair(leaves[0], leaves[1], 20 * KILN)
    proposed = coordinator.propose(order.job, 40 * KILN, root, 2)
    state = coordinator.escrow(order.job)
    assert (state.state, state.price, state.receipt_count, state.receipt_root) == (
        JobState.PROPOSED,
        40 * KILN,
        2,
        root,
    )
    assert state.client == client.address
    stack.pass_time(WINDOW)
    amounts = stack.faucet.finalize(order.job)

    # then the money is where it belongs
    assert (amounts.burned, amounts.fee, amounts.refund) == (38 * KILN, 2 * KILN, 60 * KILN)
    assert coordinator.settlement(order.job) == amounts
    assert coordinator.balance_of(client.address) == 210 * KILN
    assert coordinator.balance_of(keys.treasury.address) == fees_before + 2 * KILN
    assert coordinator.total_burned() == burned_before + 38 * KILN
    assert coordinator.total_supply() == supply - 38 * KILN

    # and a receipt can be proven on chain, while a changed one cannot
    path = [Sibling(leaves[1], 20 * KILN)]
    assert coordinator.verify_receipt(receipts[0], signatures[0], path)
    assert not coordinator.verify_receipt(Receipt(**(vars(receipts[0]) | {"price": 1})), signatures[0], path)
    assert not coordinator.verify_receipt(receipts[0], signatures[0], [Sibling(leaves[1], 19 * KILN)])
    assert not coordinator.verify_receipt(receipts[0], sign(receipt_data(receipts[0], stack.addresses), client), path)

    # and its node is paid, by whoever sends the claim
    previous = coordinator.active_epoch()
    total = previous.total + 36 * KILN
    rewards = [reward_leaf(node.address, 18 * KILN) for node in nodes]
    posted = coordinator.post_root(coordinator.last_epoch() + 1, pair(*rewards), total)
    claimed = coordinator.claim(nodes[0].address, 18 * KILN, [rewards[1]])
    assert coordinator.balance_of(nodes[0].address) == coordinator.claimed(nodes[0].address) == 18 * KILN
    for name, result in {"openFor": opened, "propose": proposed, "postRoot": posted, "claim": claimed}.items():
        print(f"gas {name}: {result.gas_used}")
    finalize = coordinator.receipt(amounts.tx_hash)
    assert finalize is not None
    print(f"gas finalize: {finalize.gas_used}")
