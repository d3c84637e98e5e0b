"""Accounts and amounts as people type them, and whether an account has so much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.addresses import check_address
from jobs.errors import BadInput
from jobs.pricing import display_kiln, kiln_units

if TYPE_CHECKING:
    from contracts.client import ChainClient

__all__ = ["account", "amount", "check_holds"]


def account(text: str) -> str:
    """The address with its checksum. Raises BadInput."""
    from eth_utils.address import to_checksum_address

    check_address(text)
    return str(to_checksum_address(text))


def amount(text: str, *, least: int = 1) -> int:
    """Units for an amount of KILN, not below `least`. Raises BadInput."""
    units = kiln_units(text)
    if units is None or units < least:
        raise BadInput(f"{text[:40]!r}: write a number of KILN{' above 0' if least else ''}")
    return units


def check_holds(chain: ChainClient, units: int, *, done: str, do: str) -> None:
    """Raises BadInput where the sender has less than is to be `done` (added, staked), telling it to `do` (add) less;
    ChainError."""
    me = chain.transactions.address
    holds = chain.balance_of(me)
    if holds < units:
        raise BadInput(
            f"{me} holds {display_kiln(holds)} KILN and {display_kiln(units)} are to be {done}: send it more, or {do} "
            "less",
            code="not_enough_tokens",
        )
