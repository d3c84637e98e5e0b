"""EIP-712 typed data of everything that is signed for the contracts.

Each function returns the full message dictionary that ``eth_account.messages.encode_typed_data(full_message=...)``
and wallets (``eth_signTypedData_v4``) take. Amounts are in the smallest unit of KILN, times in unix seconds.
"""

from dataclasses import dataclass
from typing import Any

from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from contracts.addresses import Addresses

__all__ = [
    "JobOrder",
    "Permit",
    "Receipt",
    "job_order_data",
    "permit_data",
    "receipt_data",
    "receipt_leaf",
    "reward_leaf",
    "sign",
    "sign_permit",
]

_DOMAIN = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
_TYPES = {
    "JobOrder": [("job", "bytes32"), ("client", "address"), ("cap", "uint256"), ("deadline", "uint64")],
    "Receipt": [
        ("job", "bytes32"),
        ("tile", "uint64"),
        ("attempt", "uint64"),
        ("node", "address"),
        ("commitment", "bytes32"),
        ("price", "uint256"),
    ],
    "Permit": [
        ("owner", "address"),
        ("spender", "address"),
        ("value", "uint256"),
        ("nonce", "uint256"),
        ("deadline", "uint256"),
    ],
}


@dataclass(frozen=True)
class JobOrder:
    """What a client signs so that the escrow can be opened for it."""

    job: bytes
    """32 bytes."""
    client: str
    cap: int
    deadline: int


@dataclass(frozen=True)
class Permit:
    """A signed EIP-2612 permit for the escrow; ``Permit.none()`` where the client has approved by itself."""

    value: int
    deadline: int
    v: int
    r: bytes
    s: bytes

    @classmethod
    def none(cls) -> "Permit":
        """The permit that says that there is none."""
        return cls(0, 0, 0, bytes(32), bytes(32))


@dataclass(frozen=True)
class Receipt:
    """The statement that a tile passed."""

    job: bytes
    """32 bytes."""
    tile: int
    attempt: int
    node: str
    commitment: bytes
    """32 bytes: the node's Merkle root over its cells."""
    price: int


def job_order_data(order: JobOrder, addresses: Addresses) -> dict[str, Any]:
    """Typed data of an order, to be signed by its client."""
    return _message("JobOrder", _kilnet(addresses), vars(order))


def receipt_data(receipt: Receipt, addresses: Addresses) -> dict[str, Any]:
    """Typed data of a receipt, to be signed by a receipt signer."""
    return _message("Receipt", _kilnet(addresses), vars(receipt))


def permit_data(*, owner: str, value: int, nonce: int, deadline: int, addresses: Addresses) -> dict[str, Any]:
    """Typed data of a permit for the escrow; ``nonce`` is ``ChainClient.permit_nonce(owner)``."""
    domain = {"name": "Kiln", "version": "1", "chainId": addresses.chain_id, "verifyingContract": addresses.token}
    message = {"owner": owner, "spender": addresses.escrow, "value": value, "nonce": nonce, "deadline": deadline}
    return _message("Permit", domain, message)


def sign(data: dict[str, Any], account: LocalAccount) -> bytes:
    """Signs typed data; 65 bytes: r, s, v."""
    return bytes(account.sign_message(encode_typed_data(full_message=data)).signature)


def sign_permit(account: LocalAccount, *, value: int, nonce: int, deadline: int, addresses: Addresses) -> Permit:
    """Signs a permit for the escrow by the owner's own account."""
    data = permit_data(owner=account.address, value=value, nonce=nonce, deadline=deadline, addresses=addresses)
    signature = sign(data, account)
    return Permit(value, deadline, signature[64], signature[:32], signature[32:64])


def receipt_leaf(receipt: Receipt) -> bytes:
    """The receipt's leaf in its job's tree: keccak256 of the EIP-712 struct hash; as the escrow's ``receiptLeaf``."""
    names = ",".join(f"{kind} {name}" for name, kind in _TYPES["Receipt"])
    words = [
        keccak(text=f"Receipt({names})"),
        receipt.job,
        receipt.tile.to_bytes(32, "big"),
        receipt.attempt.to_bytes(32, "big"),
        bytes(HexBytes(receipt.node)).rjust(32, b"\0"),
        receipt.commitment,
        receipt.price.to_bytes(32, "big"),
    ]
    return keccak(keccak(b"".join(words)))


def reward_leaf(account: str, cumulative: int) -> bytes:
    """An account's leaf in an epoch's tree of rewards; as the distributor's ``rewardLeaf``."""
    return keccak(keccak(bytes(HexBytes(account)).rjust(32, b"\0") + cumulative.to_bytes(32, "big")))


def _kilnet(addresses: Addresses) -> dict[str, Any]:
    return {"name": "kilnet", "version": "1", "chainId": addresses.chain_id, "verifyingContract": addresses.escrow}


def _message(kind: str, domain: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    fields = [{"name": name, "type": type_} for name, type_ in _TYPES[kind]]
    return {
        "types": {"EIP712Domain": _DOMAIN, kind: fields},
        "primaryType": kind,
        "domain": domain,
        "message": dict(message),
    }
