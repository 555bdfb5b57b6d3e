"""Money is an `int` of nano-units of the deployment's currency: 1 USD = 1_000_000_000. No float ever touches it."""

from decimal import Decimal, InvalidOperation
from typing import Final

CURRENCY: Final = "USD"
"""Of a deployment's prices and accounts: one, so that no sum ever needs a rate."""
NANO_PER_UNIT = 1_000_000_000


def nano_from_decimal(text: str) -> int:
    """Nano-units of a decimal number such as `"12.50"`.

    Raises:
        ValueError: it is no finite decimal number, or has more than nine decimal places.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise ValueError(f"{text!r} is no amount of money; expected a decimal number such as 12.50")
    nano = amount * NANO_PER_UNIT
    if nano != nano.to_integral_value():
        raise ValueError(f"{text!r} has more than nine decimal places")
    return int(nano)


def decimal_from_nano(amount_nano: int) -> str:
    """The exact decimal number, with at least two and at most nine places: `1_500_000_000` is `"1.50"`."""
    sign = "-" if amount_nano < 0 else ""
    units, nano = divmod(abs(amount_nano), NANO_PER_UNIT)
    places = f"{nano:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{units}.{places}"


def divide_half_up(numerator: int, denominator: int) -> int:
    """`numerator / denominator`, rounded to the nearest integer, halves away from zero."""
    quotient = (2 * abs(numerator) + denominator) // (2 * denominator)
    return quotient if numerator >= 0 else -quotient
