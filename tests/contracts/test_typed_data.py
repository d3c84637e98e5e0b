"""What Python signs is what the contracts check: both sides against the vectors that Solidity wrote."""

from dataclasses import replace
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from contracts.addresses import Addresses
from contracts.artifacts import vectors
from contracts.typed_data import (
    Acknowledgement,
    Commitment,
    JobOrder,
    Receipt,
    acknowledgement_data,
    commitment_data,
    job_order_data,
    node_key_data,
    permit_data,
    receipt_data,
    receipt_leaf,
    reward_leaf,
    ruling_data,
    sign,
)
from jobs.typed_data import Domain, acknowledgement_message, commitment_message

VECTORS = vectors()
ADDRESSES = Addresses(
    VECTORS["domain"]["chainId"],
    VECTORS["domain"]["token"],
    VECTORS["domain"]["verifyingContract"],
    "0x" + "00" * 20,
    registry=VECTORS["nodeKey"]["verifyingContract"],
    disputes=VECTORS["ruling"]["verifyingContract"],
)


def hex_bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def digest(data: dict[str, Any]) -> bytes:
    message = encode_typed_data(full_message=data)
    return keccak(b"\x19" + message.version + message.header + message.body)


def type_string(data: dict[str, Any]) -> str:
    kind = data["primaryType"]
    return f"{kind}({','.join(field['type'] + ' ' + field['name'] for field in data['types'][kind])})"


def test_job_order() -> None:
    """Type, digest and signature."""
    vector = VECTORS["jobOrder"]
    order = JobOrder(hex_bytes(vector["job"]), vector["client"], int(vector["cap"]), vector["deadline"])
    data = job_order_data(order, ADDRESSES)
    assert type_string(data) == vector["type"]
    assert keccak(text=vector["type"]) == hex_bytes(vector["typeHash"])
    assert digest(data) == hex_bytes(vector["digest"])
    assert sign(data, Account.from_key(vector["privateKey"])) == hex_bytes(vector["signature"])


def test_permit() -> None:
    """Type, digest and signature."""
    vector = VECTORS["permit"]
    data = permit_data(
        owner=vector["owner"],
        value=int(vector["value"]),
        nonce=vector["nonce"],
        deadline=vector["deadline"],
        addresses=ADDRESSES,
    )
    assert type_string(data) == vector["type"]
    assert digest(data) == hex_bytes(vector["digest"])
    assert sign(data, Account.from_key(VECTORS["jobOrder"]["privateKey"])) == hex_bytes(vector["signature"])


def test_receipt() -> None:
    """Type, digest, signature, leaf and root."""
    vector = VECTORS["receipt"]
    receipt = Receipt(
        hex_bytes(vector["job"]),
        vector["tile"],
        vector["attempt"],
        vector["node"],
        hex_bytes(vector["commitment"]),
        int(vector["price"]),
    )
    data = receipt_data(receipt, ADDRESSES)
    assert type_string(data) == vector["type"]
    assert digest(data) == hex_bytes(vector["digest"])
    assert sign(data, Account.from_key(vector["privateKey"])) == hex_bytes(vector["signature"])
    signature, sibling = hex_bytes(vector["signature"]), hex_bytes(vector["siblingLeaf"])
    leaf = receipt_leaf(receipt, signature)
    inner = keccak(hex_bytes(vector["structHash"]) + keccak(signature))
    assert leaf == hex_bytes(vector["leaf"]) == keccak(inner)
    words = sorted([(leaf, receipt.price), (sibling, int(vector["siblingPrice"]))])
    encoded = b"".join(node + price.to_bytes(32, "big") for node, price in words)
    assert keccak(encoded) == hex_bytes(vector["root"])


def test_commitment() -> None:
    """Type, digest and signature: by these bindings, and by what nodes sign with."""
    vector = VECTORS["commitment"]
    made = Commitment(hex_bytes(vector["lease"]), vector["token"], hex_bytes(vector["root"]), vector["cells"])
    data = commitment_data(made, ADDRESSES)
    assert type_string(data) == vector["type"]
    assert keccak(text=vector["type"]) == hex_bytes(vector["typeHash"])
    assert digest(data) == hex_bytes(vector["digest"])
    assert sign(data, Account.from_key(vector["privateKey"])) == hex_bytes(vector["signature"])
    domain = Domain(chain_id=ADDRESSES.chain_id, escrow=ADDRESSES.escrow)
    theirs = commitment_message(domain, lease="any", token=made.token, root=made.root, cells=made.cells)
    theirs["message"]["lease"] = made.lease
    assert digest(theirs) == hex_bytes(vector["digest"])


def test_acknowledgement() -> None:
    """Type, digest and signature: by these bindings, and by what the coordinator signs and nodes check."""
    vector = VECTORS["acknowledgement"]
    told = Acknowledgement(
        hex_bytes(vector["job"]), vector["tile"], hex_bytes(vector["lease"]), vector["node"],
        hex_bytes(vector["root"]), int(vector["amount"]),
    )  # fmt: skip
    data = acknowledgement_data(told, replace(ADDRESSES, bond=vector["verifyingContract"]))
    assert type_string(data) == vector["type"]
    assert keccak(text=vector["type"]) == hex_bytes(vector["typeHash"])
    assert digest(data) == hex_bytes(vector["digest"])
    assert sign(data, Account.from_key(vector["privateKey"])) == hex_bytes(vector["signature"])
    theirs = acknowledgement_message(
        chain_id=ADDRESSES.chain_id, bond=vector["verifyingContract"], job="any", tile=told.tile, lease="any",
        node=told.node, root=told.root, amount=told.amount,
    )  # fmt: skip
    theirs["message"] |= {"job": told.job, "lease": told.lease}
    assert digest(theirs) == hex_bytes(vector["digest"])


def test_node_key_and_ruling() -> None:
    """What a node's key and an auditor sign."""
    for vector, data in (
        (VECTORS["nodeKey"], node_key_data(VECTORS["nodeKey"]["node"], VECTORS["nodeKey"]["operator"], ADDRESSES)),
        (
            VECTORS["ruling"],
            ruling_data(VECTORS["ruling"]["challenge"], True, VECTORS["ruling"]["slashBps"], ADDRESSES),
        ),
    ):
        assert type_string(data) == vector["type"]
        assert digest(data) == hex_bytes(vector["digest"])
        assert sign(data, Account.from_key(vector["privateKey"])) == hex_bytes(vector["signature"])


def test_reward() -> None:
    """Leaf and root."""
    vector = VECTORS["reward"]
    leaf, sibling = reward_leaf(vector["account"], int(vector["cumulative"])), hex_bytes(vector["siblingLeaf"])
    assert leaf == hex_bytes(vector["leaf"])
    assert keccak(min(leaf, sibling) + max(leaf, sibling)) == hex_bytes(vector["root"])
