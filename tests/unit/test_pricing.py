"""Prices: whole units, nothing lost between them, and nobody earns by paying himself."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.pricing import (
    UNIT,
    clearing_price,
    display_kiln,
    divide_price,
    kiln_hours,
    kiln_units,
    price_usd,
    reward_units,
    split_price,
    to_units,
)  # fmt: skip

amounts = st.integers(0, 2**96 - 1)
asks = st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.1, 50)), min_size=1, max_size=20)


@settings(deadline=None)
@given(amounts, st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200))
def test_a_divided_price_loses_nothing(total: int, weights: list[float]) -> None:
    """The parts are whole, add up to the unit, and differ from their exact share by less than one."""
    parts = divide_price(total, weights)
    assert sum(parts) == total and all(part >= 0 for part in parts)
    whole = sum(Fraction(weight) for weight in weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * Fraction(weight) / whole) <= 1


@pytest.mark.parametrize("weights", [[], [0.0], [0.0, 0.0]])
def test_nothing_to_divide_by_is_refused(weights: list[float]) -> None:
    """Without a positive weight there is no fair share."""
    with pytest.raises(ValueError, match="positive"):
        divide_price(10, weights)


@given(amounts, st.data())
def test_an_escrow_is_split_to_the_unit(escrow: int, data: st.DataObject) -> None:
    """burned + fee + refund is the escrow; the fee is at most 5% of the price, rounded down."""
    price = data.draw(st.integers(0, escrow))
    split = split_price(escrow, price)
    assert sum(split) == escrow and min(split) >= 0
    assert split.refund == escrow - price and split.fee == price * 5 // 100
    with pytest.raises(ValueError, match="outside"):
        split_price(escrow, escrow + 1)


@given(st.lists(amounts, min_size=1, max_size=50))
def test_receipts_earn_less_than_their_job_burned(prices: list[int]) -> None:
    """At most 0.95 of the burn, for each and for all together, so that paying oneself always loses; at least that but
    for a unit."""
    for some in ([prices[0]], prices):
        burned = split_price(sum(some), sum(some)).burned
        earned = sum(reward_units(price) for price in some)
        assert earned * 20 <= burned * 19
        assert earned >= Fraction(sum(some) * 9025, 10_000) - len(some)


@given(asks, st.floats(0.001, 1000), st.floats(0.1, 100))
def test_the_clearing_price_is_the_ask_of_the_last_machine_needed(
    offers: list[tuple[float, float]], hours: float, within: float
) -> None:
    """It is somebody's ask; those who ask no more have the capacity, or all of them are not enough; one machine fewer
    would not do."""
    price = clearing_price(offers, hours, within)
    assert price in [ask for ask, _ in offers]
    taken = sum(score * within for ask, score in offers if ask <= price)
    cheaper = sum(score * within for ask, score in offers if ask < price)
    assert taken >= hours * (1 - 1e-9) or price == max(ask for ask, _ in offers)
    assert cheaper < hours * (1 + 1e-9)


@given(asks, st.floats(0.001, 1000), st.floats(0.1, 100))
def test_more_time_never_costs_more(offers: list[tuple[float, float]], hours: float, within: float) -> None:
    """Who can wait longer needs fewer machines."""
    urgent, patient = clearing_price(offers, hours, within), clearing_price(offers, hours, 2 * within)
    assert urgent is not None and patient is not None and patient <= urgent


def test_nobody_asks() -> None:
    """No machine, no price."""
    assert clearing_price([], 1, 1) is None


@given(st.decimals(0, 10**9, places=6, allow_nan=False), st.decimals("0.001", 10**6, places=3, allow_nan=False))
def test_units_are_never_too_few(usd: Decimal, rate: Decimal) -> None:
    """Rounded up to a whole unit, and by less than one."""
    units = to_units(usd, rate)
    exact = usd * rate * UNIT
    assert 0 <= units - exact < 1


def test_kiln_hours_and_dollars() -> None:
    """Half an hour of a machine of score 4 are two kiln-hours; a price is rounded up to a millionth of a dollar."""
    assert kiln_hours(1800, 4) == 2
    assert price_usd(2, 0.15) == Decimal("0.300000")
    assert price_usd(1e-9, 0.1) == Decimal("0.000001")


@pytest.mark.parametrize(
    ("units", "places", "shown"),
    [
        (UNIT, 6, "1.000000"),
        (1234 * UNIT + UNIT // 2, 2, "1,234.50"),
        (UNIT - 1, 2, "0.99"),
        (5 * UNIT, 0, "5"),
        (0, 3, "0.000"),
    ],
)
def test_amounts_for_people_are_rounded_down(units: int, places: int, shown: str) -> None:
    """Nobody is shown more than there is."""
    assert display_kiln(units, places) == shown


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("25", 25 * UNIT),
        (" 0.5 ", UNIT // 2),
        ("1e3", 1000 * UNIT),
        ("0", 0),
        ("79228162514.264337593543950335", 2**96 - 1),
        ("79228162514.264337593543950336", None),
        ("1e999999", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("a lot", None),
        ("", None),
    ],
)
def test_amounts_as_people_write_them(text: str, units: int | None) -> None:
    """To the last unit of what a contract can hold; what is no amount is told apart from nothing."""
    assert kiln_units(text) == units
