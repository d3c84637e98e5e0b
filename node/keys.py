"""The node's identity: one secp256k1 key in a file that only its owner can read, and that no sandbox ever sees."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from eth_account import Account

from jobs.errors import BadInput
from jobs.typed_data import (
    Domain,
    commitment_message,
    completion_message,
    node_key_message,
    node_owner_message,
    sign,
    sign_text,
)

__all__ = ["NodeKey"]


class NodeKey:
    """Signs sign-in messages and commitments; the private part is never printed."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.address: str = str(Account.from_key(secret).address)
        """Checksum address: what the coordinator, the chain and the receipts call this node."""

    def __repr__(self) -> str:
        return f"NodeKey({self.address})"

    @classmethod
    def load_or_create(cls, path: Path) -> NodeKey:
        """The key in `path` (0x-hex); made with mode 0600 where there is none. Raises BadInput."""
        if path.exists():
            return cls.load(path)
        key = Account.create()
        # Written beside and linked into place: no crash leaves half a key, and a key that is there is never replaced.
        beside = path.with_name(f".{path.name}-{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.unlink(missing_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"0x{bytes(key.key).hex()}\n")
                file.flush()
                os.fsync(file.fileno())
            path.hardlink_to(beside)
        except FileExistsError:
            return cls.load(path)
        except OSError as error:
            raise BadInput(f"{path}: a key cannot be kept there ({error.strerror}); choose another --data") from error
        finally:
            beside.unlink(missing_ok=True)
        return cls(bytes(key.key))

    @classmethod
    def load(cls, path: Path) -> NodeKey:
        """The key in `path`. Raises BadInput where it cannot be read, is no key, or others may read it."""
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise BadInput(f"{path}: others may read this key; `chmod 600 {path}`, or make a new one")
            text = path.read_text(encoding="ascii").strip()
            secret = bytes.fromhex(text.removeprefix("0x"))
            return cls(secret)
        except OSError as error:
            raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
        except BadInput:
            raise
        except Exception:  # eth-keys has several for "no such number", and some would show the key
            raise BadInput(f"{path}: not a private key; it must be 0x and 64 hex digits") from None

    def sign_text(self, text: str) -> str:
        """EIP-191 signature of a sign-in message, 65 bytes as 0x-hex."""
        return sign_text(text, self._secret)

    def sign_commitment(self, domain: Domain, *, lease: str, token: int, root: bytes, cells: int) -> str:
        """EIP-712 signature of a commitment, 65 bytes as 0x-hex."""
        return sign(commitment_message(domain, lease=lease, token=token, root=root, cells=cells), self._secret)

    def sign_owned(self, domain: Domain, *, node: str) -> str:
        """EIP-712 signature, as an owner, that a node is his; 65 bytes as 0x-hex."""
        return sign(node_owner_message(domain, node=node, owner=self.address), self._secret)

    def sign_completion(self, domain: Domain, *, lease: str, token: int, root: bytes, result: bytes) -> str:
        """EIP-712 signature of what is delivered for a commitment, 65 bytes as 0x-hex."""
        return sign(completion_message(domain, lease=lease, token=token, root=root, result=result), self._secret)

    def accept_operator(self, *, chain_id: int, registry: str, operator: str) -> str:
        """EIP-712 signature by which this key accepts the operator that answers for it on chain."""
        message = node_key_message(chain_id=chain_id, registry=registry, node=self.address, operator=operator)
        return sign(message, self._secret)

    def sign_transaction(self, fields: dict[str, Any]) -> bytes:
        """The signed bytes of a transaction of this account."""
        return bytes(Account.sign_transaction(fields, self._secret).raw_transaction)

    def sign_typed(self, message: dict[str, Any]) -> str:
        """EIP-712 signature of a message of jobs.typed_data, 65 bytes as 0x-hex."""
        return sign(message, self._secret)
