"""Addresses of accounts and contracts, as people and messages write them."""

from __future__ import annotations

import re

__all__ = ["PATTERN", "is_address"]

PATTERN = r"^0x[0-9a-fA-F]{40}$"


def is_address(text: str) -> bool:
    """Whether this is 0x and 40 hexadecimal digits, in whatever case: a checksum is not asked for."""
    return re.fullmatch(PATTERN, text) is not None
