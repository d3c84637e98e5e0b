"""The client's key: what signs in, orders and pays."""

from __future__ import annotations

import re
from pathlib import Path

from eth_account import Account

from jobs.errors import BadInput

__all__ = ["address_of", "read_key"]

_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


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
            raise BadInput(f"{text}: holds no key; a key is 64 hex digits")
    key = bytes.fromhex(match[1])
    try:
        address_of(key)
    except ValueError:
        raise BadInput("the key is outside the range of secp256k1 keys; make another one") from None
    return key


def address_of(key: bytes) -> str:
    """The checksum address of a private key. Raises ValueError for no valid key."""
    try:
        return str(Account.from_key(key).address)
    except Exception as error:  # eth-keys has several errors of its own for this
        raise ValueError("not a private key") from error
