"""Money: an `int` of nano-units of the deployment's currency. 1 USD = 1_000_000_000. Floats are never used for it."""

from decimal import Decimal, InvalidOperation
from typing import Final

CURRENCY: Final = "USD"
"""Currency of all prices and accounts of a deployment. A single one, so that no sum needs an exchange rate."""
NANO_PER_UNIT = 1_000_000_000


def nano_from_decimal(text: str) -> int:
    """Convert a decimal number such as `"12.50"` to nano-units.

    Raises:
        ValueError: the text is not a finite decimal number, or has more than nine decimal places.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise ValueError(f"{text!r} is not an amount of money; expected a decimal number such as 12.50")
    nano = amount * NANO_PER_UNIT
    if nano != nano.to_integral_value():
        raise ValueError(f"{text!r} has too many decimal places; expected at most nine")
    return int(nano)


def decimal_from_nano(amount_nano: int) -> str:
    """Format nano-units as an exact decimal number with two to nine places: `1_500_000_000` is `"1.50"`."""
    sign = "-" if amount_nano < 0 else ""
    units, nano = divmod(abs(amount_nano), NANO_PER_UNIT)
    places = f"{nano:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{units}.{places}"


def divide_half_up(numerator: int, denominator: int) -> int:
    """Return `numerator / denominator`, rounded to the nearest integer, halves away from zero."""
    quotient = (2 * abs(numerator) + denominator) // (2 * denominator)
    return quotient if numerator >= 0 else -quotient
