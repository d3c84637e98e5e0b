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
    "Acknowledgement",
    "Commitment",
    "JobOrder",
    "Permit",
    "Receipt",
    "acknowledgement_data",
    "commitment_data",
    "job_order_data",
    "node_key_data",
    "permit_data",
    "receipt_data",
    "receipt_leaf",
    "reward_leaf",
    "ruling_data",
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
    "Commitment": [("lease", "bytes32"), ("token", "uint64"), ("root", "bytes32"), ("cells", "uint64")],
    "Acknowledgement": [
        ("job", "bytes32"),
        ("tile", "uint64"),
        ("lease", "bytes32"),
        ("node", "address"),
        ("root", "bytes32"),
        ("amount", "uint256"),
    ],
    "NodeKey": [("node", "address"), ("operator", "address")],
    "Ruling": [("challenge", "uint256"), ("upheld", "bool"), ("slashBps", "uint16")],
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
    """A signed EIP-2612 permit; ``Permit.none()`` where the client has approved by itself."""

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


@dataclass(frozen=True)
class Commitment:
    """What a node signs before it can know which cells are audited: one per lease and fencing token."""

    lease: bytes
    """32 bytes."""
    token: int
    root: bytes
    """32 bytes: the Merkle root over the cells."""
    cells: int


@dataclass(frozen=True)
class Acknowledgement:
    """A coordinator's word that a tile was delivered to it whole."""

    job: bytes
    """32 bytes."""
    tile: int
    lease: bytes
    """32 bytes."""
    node: str
    root: bytes
    """32 bytes: the Merkle root that the node committed to."""
    amount: int
    """What the tile earns if it passes."""


def job_order_data(order: JobOrder, addresses: Addresses) -> dict[str, Any]:
    """Typed data of an order, to be signed by its client."""
    return _message("JobOrder", _kilnet(addresses), vars(order))


def receipt_data(receipt: Receipt, addresses: Addresses) -> dict[str, Any]:
    """Typed data of a receipt, to be signed by a receipt signer."""
    return _message("Receipt", _kilnet(addresses), vars(receipt))


def commitment_data(commitment: Commitment, addresses: Addresses) -> dict[str, Any]:
    """Typed data of a commitment, to be signed by a node."""
    return _message("Commitment", _kilnet(addresses), vars(commitment))


def acknowledgement_data(told: Acknowledgement, addresses: Addresses) -> dict[str, Any]:
    """Typed data of an acknowledgement, to be signed by the coordinator."""
    domain = _kilnet(addresses) | {"verifyingContract": addresses.bond}
    return _message("Acknowledgement", domain, vars(told))


def node_key_data(node: str, operator: str, addresses: Addresses) -> dict[str, Any]:
    """Typed data by which a node's key accepts the operator that answers for it."""
    domain = _kilnet(addresses) | {"verifyingContract": addresses.registry}
    return _message("NodeKey", domain, {"node": node, "operator": operator})


def ruling_data(challenge: int, upheld: bool, slash_bps: int, addresses: Addresses) -> dict[str, Any]:
    """Typed data of a ruling, to be signed by auditors; the share slashed is in 1/10000."""
    domain = _kilnet(addresses) | {"verifyingContract": addresses.disputes}
    return _message("Ruling", domain, {"challenge": challenge, "upheld": upheld, "slashBps": slash_bps})


def permit_data(
    *, owner: str, value: int, nonce: int, deadline: int, addresses: Addresses, spender: str | None = None
) -> dict[str, Any]:
    """Typed data of a permit for ``spender``, the escrow if None; ``nonce`` is ``ChainClient.permit_nonce(owner)``."""
    domain = {"name": "Kiln", "version": "1", "chainId": addresses.chain_id, "verifyingContract": addresses.token}
    message = {
        "owner": owner,
        "spender": spender or addresses.escrow,
        "value": value,
        "nonce": nonce,
        "deadline": deadline,
    }
    return _message("Permit", domain, message)


def sign(data: dict[str, Any], account: LocalAccount) -> bytes:
    """Signs typed data; 65 bytes: r, s, v."""
    return bytes(account.sign_message(encode_typed_data(full_message=data)).signature)


def sign_permit(
    account: LocalAccount, *, value: int, nonce: int, deadline: int, addresses: Addresses, spender: str | None = None
) -> Permit:
    """Signs a permit for ``spender`` (the escrow if None) by the owner's own account."""
    data = permit_data(
        owner=account.address, value=value, nonce=nonce, deadline=deadline, addresses=addresses, spender=spender
    )
    signature = sign(data, account)
    return Permit(value, deadline, signature[64], signature[:32], signature[32:64])


def receipt_leaf(receipt: Receipt, signature: bytes) -> bytes:
    """The receipt's leaf in its job's tree, which holds its signature; as the escrow's ``receiptLeaf``."""
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
    return keccak(keccak(keccak(b"".join(words)) + keccak(signature)))


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
