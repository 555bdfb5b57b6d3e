from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_common.rating import (
    CLASSES,
    COMPLETION_CLASSES,
    PARENT_CLASS,
    PROMPT_CLASSES,
    TOKEN_CLASSES,
    UNIT_CLASSES,
    Line,
    Prices,
    Tier,
    TokenCounts,
    Unpriced,
    rate,
)

USD = 1_000_000_000
MILLION = 1_000_000
GPT_4O = Prices(input=5 * USD // 2, cached_input=5 * USD // 4, output=10 * USD)
CLAUDE = Prices(input=3 * USD, cached_input=3 * USD // 10, cache_write=15 * USD // 4, cache_write_1h=6 * USD,
                output=15 * USD, searches=10 * USD * MILLION // 1_000)  # fmt: skip
GPT_IMAGE = Prices(input=5 * USD, image_input=8 * USD, cached_input=5 * USD // 4, cached_image_input=2 * USD,
                   output=10 * USD, image_output=32 * USD)  # fmt: skip
WHISPER = Prices(input=0, output=0, audio_seconds=100_000 * MILLION)
TTS = Prices(input=0, output=0, characters=15 * USD)
GEMINI = Prices(input=2 * USD, cached_input=USD // 5, output=12 * USD, tiers=(
    Tier(200_000, Prices(input=4 * USD, cached_input=2 * USD // 5, output=18 * USD, request_nano=5)),
    Tier(500_000, Prices(input=8 * USD, output=20 * USD)),
))  # fmt: skip
DALL_E = Prices(input=0, output=0, images=USD // 25 * MILLION)

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
    ("a write for an hour has its own price", TokenCounts(cache_write=1_000, cache_write_1h=1_000), CLAUDE, 10_000,
     3_750_000 + 6_000_000),
    ("a write for an hour without a price costs what a write costs", TokenCounts(cache_write_1h=4),
     Prices(input=1_000_000, cache_write=2_000_000, output=0), 10_000, 8),
    ("and without that, what input costs", TokenCounts(cache_write_1h=4), Prices(input=1_000_000, output=0), 10_000, 4),
    ("cached audio without a price costs what cached text costs", TokenCounts(cached_audio_input=4), GPT_4O, 10_000,
     5_000),
    ("an image edited",
     TokenCounts(input=100, image_input=1_000, cached_image_input=500, image_output=4_000), GPT_IMAGE,
     10_000, 500_000 + 8_000_000 + 1_000_000 + 128_000_000),
    ("a minute of speech at $0.006", TokenCounts(audio_seconds=60), WHISPER, 10_000, 6_000_000),
    ("1,000 characters at $15 a million", TokenCounts(characters=1_000), TTS, 10_000, 15_000_000),
    ("two images at $0.04", TokenCounts(images=2), DALL_E, 10_000, 80_000_000),
    ("units take the plan, too", TokenCounts(images=2), DALL_E, 5_000, 40_000_000),
    ("an answer with 3 searches at $10 a thousand", TokenCounts(input=1_000, output=200, searches=3), CLAUDE,
     10_000, 3_000_000 + 3_000_000 + 30_000_000),
    ("a prompt as long as a tier's bound is below it", TokenCounts(input=200_000, output=1), GEMINI, 10_000,
     400_000_000 + 12_000),
    ("one token more, and all of it has the tier's prices", TokenCounts(input=200_001, output=1), GEMINI,
     10_000, 800_004_000 + 18_000 + 5),
    ("cached tokens count for it", TokenCounts(input=1, cached_input=200_000), GEMINI, 10_000, 4_000 + 80_000_005),
    ("generated ones do not", TokenCounts(input=1, output=200_000), GEMINI, 10_000, 2_000 + 2_400_000_000),
    ("the highest tier that is reached, and its own fallbacks", TokenCounts(cached_input=500_001), GEMINI, 10_000,
     4_000_008_000),
    ("a unit may cost nothing, if that is said", TokenCounts(searches=9), Prices(input=1, output=1, searches=0), 10_000,
     0),
]  # fmt: skip

counts = st.builds(TokenCounts, **dict.fromkeys(CLASSES, st.integers(0, 10**9)))
flat_prices = st.builds(
    Prices,
    input=st.integers(0, 10**12),
    output=st.integers(0, 10**12),
    request_nano=st.integers(0, 10**9),
    **{
        name: st.none() | st.integers(0, 10**12)
        for name, parent in PARENT_CLASS.items()
        if parent is not None
    },
    **dict.fromkeys(UNIT_CLASSES, st.integers(0, 10**15)),
)  # fmt: skip
bounds = st.lists(st.integers(1, 8 * 10**9), unique=True, max_size=3).map(sorted)
some_prices = flat_prices | st.builds(
    lambda base, above, others: msgspec.structs.replace(
        base, tiers=tuple(Tier(bound, other) for bound, other in zip(above, others, strict=False))
    ),
    flat_prices,
    bounds,
    st.lists(flat_prices, min_size=3, max_size=3),
)
multipliers = st.integers(0, 50_000)


@pytest.mark.parametrize(
    ("tokens", "prices", "bps", "amount"), [row[1:] for row in EXAMPLES], ids=[r[0] for r in EXAMPLES]
)
def test_worked_examples(tokens: TokenCounts, prices: Prices, bps: int, amount: int) -> None:
    assert rate(tokens, prices, bps).amount_nano == amount


@given(counts, some_prices, multipliers)
def test_the_amount_is_the_exact_one_rounded_half_up(tokens: TokenCounts, prices: Prices, bps: int) -> None:
    rated = rate(tokens, prices, bps)
    reached = [prices, *(tier.prices for tier in prices.tiers if tokens.prompt > tier.above_tokens)][-1]
    assert [line.price for line in rated.lines] == [reached.of(line.token_class) for line in rated.lines]
    exact = sum((Fraction(line.quantity * line.price, 10**6) for line in rated.lines), Fraction(reached.request_nano))
    exact *= Fraction(bps, 10_000)
    assert rated.amount_nano == int(exact + Fraction(1, 2))
    assert rated.amount_nano >= 0


@given(counts, some_prices)
def test_each_token_is_charged_exactly_once(tokens: TokenCounts, prices: Prices) -> None:
    lines = rate(tokens, prices).lines
    assert {line.token_class: line.quantity for line in lines} == {
        name: getattr(tokens, name) for name in CLASSES if getattr(tokens, name)
    }
    assert len({line.token_class for line in lines}) == len(lines)


@given(counts)
def test_totals_count_each_token_once_and_no_unit(tokens: TokenCounts) -> None:
    assert tokens.prompt == sum(getattr(tokens, name) for name in PROMPT_CLASSES)
    assert tokens.completion == sum(getattr(tokens, name) for name in COMPLETION_CLASSES)
    assert tokens.total == sum(getattr(tokens, name) for name in TOKEN_CLASSES)
    assert (
        set(CLASSES) == set(TokenCounts.__struct_fields__) == set(Prices.__struct_fields__) - {"request_nano", "tiers"}
    )


@given(st.lists(counts, max_size=5), flat_prices)
def test_batches_add_up(batch: list[TokenCounts], prices: Prices) -> None:
    """Of one tier: a batch of short prompts is no long prompt."""
    prices = msgspec.structs.replace(prices, request_nano=0)
    together = TokenCounts(**{name: sum(getattr(part, name) for part in batch) for name in CLASSES})
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
    with pytest.raises(ValueError, match="0 or more"):
        rate(tokens, GPT_4O, bps)


@pytest.mark.parametrize("unit", UNIT_CLASSES)
def test_a_unit_without_a_price_is_refused_and_never_free(unit: str) -> None:
    with pytest.raises(Unpriced, match=f"{unit} have no price"):
        rate(TokenCounts(**{unit: 1}), GPT_4O)
    assert not GPT_4O.sells([unit])
    assert rate(TokenCounts(**{unit: 0}), GPT_4O).amount_nano == 0


def test_a_model_sold_by_units_alone_sells_no_tokens() -> None:
    assert WHISPER.sells(["audio_seconds"])
    assert not WHISPER.sells(["input"])
    assert not WHISPER.sells(["audio_seconds", "output"])
    assert CLAUDE.sells(["input", "output", "searches"])
    assert Prices(input=0, output=0).sells(["input", "output"]), "a free model is sold for nothing"


@pytest.mark.parametrize(
    ("tiers", "problem"),
    [
        ((Tier(0, GPT_4O),), "expected ascending bounds from 1"),
        ((Tier(5, GPT_4O), Tier(5, GPT_4O)), "expected ascending bounds from 1"),
        ((Tier(5, GEMINI),), "has tiers of its own"),
        ((Tier(5, TTS),), "has prices for other units"),
    ],
)
def test_tiers_that_contradict_themselves_are_refused(tiers: tuple[Tier, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Prices(input=1, output=1, tiers=tiers)


def test_a_charge_says_which_tier_it_has() -> None:
    assert rate(TokenCounts(input=200_000), GEMINI).tier_above_tokens == 0
    rated = rate(TokenCounts(input=200_001), GEMINI)
    assert (rated.tier_above_tokens, rated.request_nano) == (200_000, 5)
