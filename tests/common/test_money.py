from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_common.money import NANO_PER_UNIT, decimal_from_nano, divide_half_up, nano_from_decimal


@pytest.mark.parametrize(
    ("text", "nano"),
    [("12.50", 12_500_000_000), ("0", 0), ("-1.5", -1_500_000_000), ("0.000000001", 1), ("1e3", 1_000 * NANO_PER_UNIT)],
)
def test_a_decimal_number_becomes_nano_units(text: str, nano: int) -> None:
    assert nano_from_decimal(text) == nano


@pytest.mark.parametrize("text", ["", "twelve", "NaN", "Infinity", "1,50", "0.0000000001"])
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount of money|decimal places"):
        nano_from_decimal(text)


@pytest.mark.parametrize(
    ("nano", "text"), [(1_500_000_000, "1.50"), (0, "0.00"), (-1, "-0.000000001"), (123_456_789, "0.123456789")]
)
def test_nano_units_are_shown_exactly(nano: int, text: str) -> None:
    assert decimal_from_nano(nano) == text


@given(st.integers(-(10**18), 10**18))
def test_showing_and_reading_keeps_the_amount(nano: int) -> None:
    assert nano_from_decimal(decimal_from_nano(nano)) == nano
    assert Decimal(decimal_from_nano(nano)) * NANO_PER_UNIT == nano


@given(st.integers(-(10**24), 10**24), st.integers(1, 10**12))
def test_division_rounds_halves_away_from_zero(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    rounded = divide_half_up(numerator, denominator)
    assert abs(rounded - exact) <= Fraction(1, 2)
    if abs(rounded - exact) == Fraction(1, 2):
        assert abs(rounded) > abs(exact)
