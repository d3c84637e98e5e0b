"""What is signed, as EIP-712 typed data, and how a signature is made and checked.

One domain for all of it, bound to the chain and to the escrow contract, so that nothing signed for one deployment is
good for another. The type strings are those of contracts/src; docs/contracts.md lists them.
"""

from __future__ import annotations

from typing import Any, TypedDict

from eth_keys.datatypes import PrivateKey
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

__all__ = [
    "Domain", "acknowledgement_message", "chain_job_id", "commitment_message", "completion_message", "lease_id_bytes",
    "node_key_message",
    "node_owner_message", "order_message", "permit_message", "prepare_to_sign", "receipt_message", "recover",
    "recover_text", "sign", "sign_text", "signing_digest",
]  # fmt: skip

_TYPES: dict[str, list[dict[str, str]]] = {
    "JobOrder": [
        {"name": "job", "type": "bytes32"},
        {"name": "client", "type": "address"},
        {"name": "cap", "type": "uint256"},
        {"name": "deadline", "type": "uint64"},
    ],
    "Receipt": [
        {"name": "job", "type": "bytes32"},
        {"name": "tile", "type": "uint64"},
        {"name": "attempt", "type": "uint64"},
        {"name": "node", "type": "address"},
        {"name": "commitment", "type": "bytes32"},
        {"name": "price", "type": "uint256"},
    ],
    "Commitment": [
        {"name": "lease", "type": "bytes32"},
        {"name": "token", "type": "uint64"},
        {"name": "root", "type": "bytes32"},
        {"name": "cells", "type": "uint64"},
    ],
    "NodeOwner": [
        {"name": "node", "type": "address"},
        {"name": "owner", "type": "address"},
    ],
    "Completion": [
        {"name": "lease", "type": "bytes32"},
        {"name": "token", "type": "uint64"},
        {"name": "root", "type": "bytes32"},
        {"name": "result", "type": "bytes32"},
    ],
    "Acknowledgement": [
        {"name": "job", "type": "bytes32"},
        {"name": "tile", "type": "uint64"},
        {"name": "lease", "type": "bytes32"},
        {"name": "node", "type": "address"},
        {"name": "root", "type": "bytes32"},
        {"name": "amount", "type": "uint256"},
    ],
    "NodeKey": [
        {"name": "node", "type": "address"},
        {"name": "operator", "type": "address"},
    ],
    "Permit": [
        {"name": "owner", "type": "address"},
        {"name": "spender", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
}
_DOMAIN_TYPE = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


class Domain(TypedDict):
    """The EIP-712 domain of kilnet's own messages."""

    chain_id: int
    escrow: str


def chain_job_id(job: str) -> bytes:
    """The job's id on chain: keccak256 of a prefix and its text id (32 bytes)."""
    return keccak(text=f"kilnet/job/1:{job}")


def lease_id_bytes(lease: str) -> bytes:
    """A lease's text id as 32 bytes."""
    return keccak(text=f"kilnet/lease/1:{lease}")


def _message(primary: str, domain: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    return {
        "types": {"EIP712Domain": _DOMAIN_TYPE, primary: _TYPES[primary]},
        "primaryType": primary,
        "domain": domain,
        "message": message,
    }


def _kilnet(domain: Domain) -> dict[str, Any]:
    return {
        "name": "kilnet",
        "version": "1",
        "chainId": domain["chain_id"],
        "verifyingContract": to_checksum_address(domain["escrow"]),
    }


def order_message(domain: Domain, *, job: str, client: str, cap: int, deadline: int) -> dict[str, Any]:
    """A client's order: escrow `cap` units of KILN for this job until `deadline` (Unix seconds)."""
    fields = {"job": chain_job_id(job), "client": to_checksum_address(client), "cap": cap, "deadline": deadline}
    return _message("JobOrder", _kilnet(domain), fields)


def commitment_message(domain: Domain, *, lease: str, token: int, root: bytes, cells: int) -> dict[str, Any]:
    """A worker's commitment to all cells of its tile, for one fencing token of one lease."""
    fields = {"lease": lease_id_bytes(lease), "token": token, "root": root, "cells": cells}
    return _message("Commitment", _kilnet(domain), fields)


def node_owner_message(domain: Domain, *, node: str, owner: str) -> dict[str, Any]:
    """An owner's statement that a node is his: he answers for it, and who trusts him trusts it."""
    fields = {"node": to_checksum_address(node), "owner": to_checksum_address(owner)}
    return _message("NodeOwner", _kilnet(domain), fields)


def completion_message(domain: Domain, *, lease: str, token: int, root: bytes, result: bytes) -> dict[str, Any]:
    """A worker's statement that the file with the SHA-256 `result` is what it committed to with `root`: where the file
    has another root, the two signatures contradict each other."""
    fields = {"lease": lease_id_bytes(lease), "token": token, "root": root, "result": result}
    return _message("Completion", _kilnet(domain), fields)


def node_key_message(*, chain_id: int, registry: str, node: str, operator: str) -> dict[str, Any]:
    """A node key's consent that this operator answers for it on chain."""
    domain = _kilnet(Domain(chain_id=chain_id, escrow=registry))
    return _message("NodeKey", domain, {"node": to_checksum_address(node), "operator": to_checksum_address(operator)})


def receipt_message(
    domain: Domain, *, job: str, tile: int, attempt: int, node: str, commitment: bytes, price: int
) -> dict[str, Any]:
    """The coordinator's statement that a tile passed; price in units of KILN."""
    fields = {
        "job": chain_job_id(job),
        "tile": tile,
        "attempt": attempt,
        "node": to_checksum_address(node),
        "commitment": commitment,
        "price": price,
    }
    return _message("Receipt", _kilnet(domain), fields)


def acknowledgement_message(
    *, chain_id: int, bond: str, job: str, tile: int, lease: str, node: str, root: bytes, amount: int
) -> dict[str, Any]:
    """The coordinator's word that a tile was delivered to it whole, and what that earns if it passes, in units of KILN:
    owed from the bond at `bond` if the job is refunded without a verdict."""
    fields = {
        "job": chain_job_id(job),
        "tile": tile,
        "lease": lease_id_bytes(lease),
        "node": to_checksum_address(node),
        "root": root,
        "amount": amount,
    }
    return _message("Acknowledgement", _kilnet(Domain(chain_id=chain_id, escrow=bond)), fields)


def permit_message(
    *, token: str, token_name: str, chain_id: int, owner: str, spender: str, value: int, nonce: int, deadline: int
) -> dict[str, Any]:
    """An EIP-2612 permit for KILN: lets the escrow take `value` units without a transaction of the owner."""
    domain = {
        "name": token_name,
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": to_checksum_address(token),
    }
    fields = {
        "owner": to_checksum_address(owner),
        "spender": to_checksum_address(spender),
        "value": value,
        "nonce": nonce,
        "deadline": deadline,
    }
    return _message("Permit", domain, fields)


def _signable(message: dict[str, Any]) -> Any:
    # Half a second to import, for curves that are not used here: only who signs or checks typed data waits for it.
    from eth_account.messages import encode_typed_data

    return encode_typed_data(full_message=message)


def prepare_to_sign() -> None:
    """Import what signing typed data needs, which takes half a second: on a thread, while something else is awaited."""
    import eth_account.messages  # noqa: F401


def signing_digest(message: dict[str, Any]) -> bytes:
    """The 32 bytes that are signed: keccak256(0x1901 || domain separator || struct hash)."""
    signable = _signable(message)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def sign(message: dict[str, Any], private_key: bytes) -> str:
    """Sign typed data; 65 bytes as 0x-hex."""
    from eth_account import Account

    signed = Account.sign_message(_signable(message), private_key)
    return f"0x{bytes(signed.signature).hex()}"


def recover(message: dict[str, Any], signature: str) -> str | None:
    """The checksum address that signed, or None where the signature is malformed."""
    from eth_account import Account

    try:
        return str(Account.recover_message(_signable(message), signature=signature))
    except Exception:  # eth-keys raises several kinds for malformed input, and all mean the same here
        return None


def sign_text(text: str, private_key: bytes) -> str:
    """Sign a plain text (EIP-191), as wallets do for a sign-in; 65 bytes as 0x-hex."""
    body = text.encode()
    digest = keccak(b"\x19Ethereum Signed Message:\n%d" % len(body) + body)
    raw = PrivateKey(private_key).sign_msg_hash(digest).to_bytes()
    return f"0x{raw[:64].hex()}{27 + raw[64]:02x}"


def recover_text(text: str, signature: str) -> str | None:
    """The checksum address that signed a plain text, or None where the signature is malformed."""
    from eth_account import Account
    from eth_account.messages import encode_defunct

    try:
        return str(Account.recover_message(encode_defunct(text=text), signature=signature))
    except Exception:  # as in recover
        return None
