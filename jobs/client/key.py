"""What a client acts with: the wallet's key, which signs in, orders and pays; or an API key, which acts without it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from eth_keys.datatypes import PrivateKey

from jobs.errors import BadInput

__all__ = ["API_KEY_PREFIX", "Credentials", "address_of", "read_key"]

API_KEY_PREFIX = "kilnet_"
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_API_KEY = re.compile(rf"{API_KEY_PREFIX}[A-Za-z0-9_-]{{43}}")


@dataclass(frozen=True)
class Credentials:
    """A wallet's key, an API key, or both: then calls are the API key's, within its limits, and the wallet signs."""

    key: bytes | None
    api_key: str | None = None

    @classmethod
    def of(cls, key: bytes | str | None, api_key: str | None = None) -> Credentials:
        """`key`: 32 bytes, 0x-hex, or the path of a file that holds it; also an API key by itself. Raises BadInput."""
        if isinstance(key, str) and key.strip().startswith(API_KEY_PREFIX):
            if api_key is not None:
                raise BadInput("two API keys are given; name one, and the wallet's key beside it to order")
            key, api_key = None, key
        if api_key is not None:
            api_key = api_key.strip()
            if not _API_KEY.fullmatch(api_key):
                raise BadInput(
                    f"the API key is not what `kilnet keys create` prints ({API_KEY_PREFIX} and 43 characters); "
                    "copy it again, or make another"
                )
        if key is None and api_key is None:
            raise BadInput("there is no key: name the wallet's key or its file, or an API key")
        return cls(read_key(key) if isinstance(key, str) else key, api_key)

    @property
    def wallet(self) -> bytes:
        """The wallet's key. Raises BadInput where there is only an API key."""
        if self.key is None:
            raise BadInput(
                "an API key alone cannot do this: name the wallet's key (or its file) beside it",
                code="wallet_needed",
            )
        return self.key

    @property
    def address(self) -> str:
        """The account: the checksum address of the wallet's key. Raises BadInput where there is only an API key."""
        return address_of(self.wallet)


def read_key(text: str) -> bytes:
    """The private key (32 bytes) from 0x-hex, or from a file that holds it. Raises BadInput; the message never
    repeats what could be a key."""
    match = _HEX.fullmatch(text.strip())
    if match is None:
        try:
            match = _HEX.fullmatch(Path(text).expanduser().read_text().strip())
        except (OSError, ValueError):
            raise BadInput("the key is neither 64 hex digits nor a file that can be read; check KILNET_KEY") from None
        if match is None:
            raise BadInput(f"{text}: holds no key; write 64 hex digits")
    key = bytes.fromhex(match[1])
    try:
        address_of(key)
    except ValueError:
        raise BadInput("the key is outside the range of secp256k1 keys; make another one") from None
    return key


def address_of(key: bytes) -> str:
    """The checksum address of a private key. Raises ValueError for no valid key."""
    try:
        return str(PrivateKey(key).public_key.to_checksum_address())
    except Exception as error:  # eth-keys has several errors of its own for this
        raise ValueError("not a private key") from error
