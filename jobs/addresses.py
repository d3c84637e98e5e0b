"""Addresses of accounts and contracts, as people and messages write them."""

from __future__ import annotations

import re

from jobs.errors import BadInput

__all__ = ["PATTERN", "check_address", "is_address"]

PATTERN = r"^0x[0-9a-fA-F]{40}$"


def is_address(text: str) -> bool:
    """Whether this is 0x and 40 hexadecimal digits, in whatever case: a checksum is not asked for."""
    return re.fullmatch(PATTERN, text) is not None


def check_address(text: str, option: str = "") -> None:
    """Raises BadInput, naming the option that it was given by, where this is none."""
    if not is_address(text):
        named = f"{option} " if option else ""
        raise BadInput(f"{named}{text[:60]!r}: is no address; write 0x and 40 hexadecimal digits")
