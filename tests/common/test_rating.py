from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_common.rating import PARENT_CLASS, TOKEN_CLASSES, Line, Prices, TokenCounts, rate

USD = 1_000_000_000
GPT_4O = Prices(input=5 * USD // 2, cached_input=5 * USD // 4, output=10 * USD)

# Worked by hand: (what it shows, tokens, prices, plan in basis points, nano-units).
EXAMPLES = [
    ("nothing used costs nothing", TokenCounts(), GPT_4O, 10_000, 0),
    ("1,000 in at $2.50 a million", TokenCounts(input=1_000), GPT_4O, 10_000, 2_500_000),
    ("cached tokens have their own price", TokenCounts(input=200, cached_input=800), GPT_4O, 10_000, 1_500_000),
    ("a class without a price costs what its parent costs", TokenCounts(reasoning=100), GPT_4O, 10_000, 1_000_000),
    ("a price of zero is a price", TokenCounts(cached_input=9), Prices(input=1, cached_input=0, output=1), 10_000, 0),
    ("a plan at 120%", TokenCounts(input=1_000, output=100), GPT_4O, 12_000, 4_200_000),
    ("a free plan", TokenCounts(input=1_000), GPT_4O, 0, 0),
    ("a price per request", TokenCounts(input=1), Prices(input=1_000_000, output=0, request_nano=7), 10_000, 8),
    ("a price per request takes the plan", TokenCounts(), Prices(input=0, output=0, request_nano=10), 15_000, 15),
    ("half a nano-unit is rounded up", TokenCounts(input=1), Prices(input=500_000, output=0), 10_000, 1),
    ("less than half is rounded down", TokenCounts(input=1), Prices(input=499_999, output=0), 10_000, 0),
    ("rounded once at the end, not line by line", TokenCounts(input=1, output=1), Prices(input=400_000, output=400_000),
     10_000, 1),
]  # fmt: skip

counts = st.builds(TokenCounts, **dict.fromkeys(TOKEN_CLASSES, st.integers(0, 10**9)))
some_prices = st.builds(
    Prices,
    input=st.integers(0, 10**12),
    output=st.integers(0, 10**12),
    request_nano=st.integers(0, 10**9),
    **{
        name: st.none() | st.integers(0, 10**12)
        for name, parent in PARENT_CLASS.items()
        if name != parent
    },
)  # fmt: skip
multipliers = st.integers(0, 50_000)


@pytest.mark.parametrize(
    ("tokens", "prices", "bps", "amount"), [row[1:] for row in EXAMPLES], ids=[r[0] for r in EXAMPLES]
)
def test_worked_examples(tokens: TokenCounts, prices: Prices, bps: int, amount: int) -> None:
    assert rate(tokens, prices, bps).amount_nano == amount


@given(counts, some_prices, multipliers)
def test_the_amount_is_the_exact_one_rounded_half_up(tokens: TokenCounts, prices: Prices, bps: int) -> None:
    rated = rate(tokens, prices, bps)
    exact = sum((Fraction(line.quantity * line.price, 10**6) for line in rated.lines), Fraction(prices.request_nano))
    exact *= Fraction(bps, 10_000)
    assert rated.amount_nano == int(exact + Fraction(1, 2))
    assert rated.amount_nano >= 0


@given(counts, some_prices)
def test_each_token_is_charged_exactly_once(tokens: TokenCounts, prices: Prices) -> None:
    lines = rate(tokens, prices).lines
    assert sum(line.quantity for line in lines) == tokens.total
    assert len({line.token_class for line in lines}) == len(lines)


@given(st.lists(counts, max_size=5), some_prices)
def test_batches_add_up(batch: list[TokenCounts], prices: Prices) -> None:
    prices = msgspec.structs.replace(prices, request_nano=0)
    together = TokenCounts(**{name: sum(getattr(part, name) for part in batch) for name in TOKEN_CLASSES})
    apart = sum(rate(part, prices).amount_nano for part in batch)
    # Each amount is rounded once, so the sum of n of them is within n halves of the amount of the sum.
    assert abs(2 * (apart - rate(together, prices).amount_nano)) <= len(batch) + 1


def test_lines_name_class_quantity_and_price() -> None:
    assert rate(TokenCounts(input=3, reasoning=2), GPT_4O).lines == (
        Line("input", 3, GPT_4O.input),
        Line("reasoning", 2, GPT_4O.output),
    )


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(ValueError, match="the price of output is -1"):
        Prices(input=1, output=-1)


@pytest.mark.parametrize(("tokens", "bps"), [(TokenCounts(input=-1), 10_000), (TokenCounts(), -1)])
def test_negative_usage_and_plans_are_refused(tokens: TokenCounts, bps: int) -> None:
    with pytest.raises(ValueError, match="zero or more"):
        rate(tokens, GPT_4O, bps)
