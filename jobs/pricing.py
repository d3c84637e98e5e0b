"""Prices: kiln-hours x a clearing price in USD, paid in KILN.

Amounts of KILN are integers in its smallest unit (10^-18 KILN, `units`) on the way, decimals only on the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import NamedTuple

__all__ = [
    "FEE_BPS", "REWARD_BPS", "UNIT", "Split", "clearing_price", "display_kiln", "divide_price", "kiln_hours",
    "kiln_units", "price_usd", "reward_units", "split_price", "to_units",
]  # fmt: skip

MICRO = 10**6
"""Millionths of a USD, as limits are kept."""
UNIT = 10**18
"""Smallest units in one KILN."""
FEE_BPS = 500
"""The fee, in 1/10000 of the price: 5%."""
REWARD_BPS = 9500
"""What a receipt earns, in 1/10000 of what its own tile burned: below 1, so that nobody gains by paying himself."""


class Split(NamedTuple):
    """Where an escrow goes: burned + fee + refund is the escrow, to the unit."""

    burned: int
    fee: int
    refund: int


def kiln_hours(seconds: float, score: float = 1.0) -> float:
    """Hours at benchmark score 1.0 for `seconds` of a machine of `score`."""
    return seconds * score / 3600


def clearing_price(asks: Sequence[tuple[float, float]], hours: float, within_hours: float) -> float | None:
    """Uniform price in USD per kiln-hour: the ask of the last machine that is needed.

    `asks` are (USD per kiln-hour, score) of those who fit; cheapest first, machines are taken until together they do
    `hours` kiln-hours within `within_hours`. None where nobody asks. Where all of them are not enough, the highest
    ask: the time is missed, not the price.
    """
    ordered = sorted(asks)
    if not ordered:
        return None
    capacity = 0.0
    for ask, score in ordered:
        capacity += score * within_hours
        if capacity >= hours:
            return ask
    return ordered[-1][0]


def price_usd(hours: float, usd_per_hour: float) -> Decimal:
    """USD, rounded up to a millionth."""
    return (Decimal(str(hours)) * Decimal(str(usd_per_hour))).quantize(Decimal("0.000001"), rounding=ROUND_CEILING)


def to_units(usd: Decimal, kiln_per_usd: Decimal) -> int:
    """Units of KILN for an amount of USD, rounded up."""
    return int((usd * kiln_per_usd * UNIT).to_integral_value(rounding=ROUND_CEILING))


def kiln_units(text: str) -> int | None:
    """Units for an amount of KILN as people write it, rounded down; None for what is no amount, is below 0, or is more
    than a contract can hold (96 bits)."""
    try:
        with localcontext(prec=100):
            units = int(Decimal(text.strip()) * UNIT)
    except (ArithmeticError, ValueError):
        return None
    return units if 0 <= units < 2**96 else None


def display_kiln(units: int, places: int = 6) -> str:
    """KILN with a fixed number of decimals, rounded down, for people."""
    scaled = units * 10**places // UNIT
    whole, rest = divmod(scaled, 10**places)
    return f"{whole:,}.{rest:0{places}d}" if places else f"{whole:,}"


def divide_price(total: int, weights: Sequence[float]) -> list[int]:
    """Divide `total` units by weight so that the parts are whole units and their sum is `total` (largest remainder)."""
    # Decimal's usual 28 digits are too few for amounts of 96 bits; rounded down, no part is ever a unit too large.
    with localcontext(prec=100, rounding=ROUND_FLOOR):
        whole = sum(Decimal(weight) for weight in weights)
        if not weights or whole <= 0:
            raise ValueError("weights must hold at least one positive number")
        exact = [Decimal(total) * Decimal(weight) / whole for weight in weights]
    parts = [int(amount) for amount in exact]
    by_rest = sorted(range(len(parts)), key=lambda i: exact[i] - parts[i], reverse=True)
    for i in range(total - sum(parts)):
        parts[by_rest[i % len(parts)]] += 1
    return parts


def split_price(escrow: int, price: int) -> Split:
    """Burned, fee and refund of an escrow at a final price; the fee is rounded down, as the contract does."""
    if not 0 <= price <= escrow:
        raise ValueError(f"price {price} outside the escrow of {escrow}")
    fee = price * FEE_BPS // 10_000
    return Split(burned=price - fee, fee=fee, refund=escrow - price)


def reward_units(price: int) -> int:
    """Units that a receipt of this price earns its node: 0.95 x what the tile burned, rounded down once.

    Rounding once keeps the sum over any receipts at or below 0.95 x what their job burned, which the contract checks.
    """
    return price * (10_000 - FEE_BPS) * REWARD_BPS // 100_000_000
