"""Upper bounds in tokens and money, and a stream's reservation that grows."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.purse import PAYER, Purse, tariff
from tollgate_common.rating import TOKEN_CLASSES, Prices, Tier, TokenCounts
from tollgate_edge.credit.cost_bounds import CONTEXT_TOKENS, IMAGE_TOKENS, CostBound, Size, max_unit_prices, size_of
from tollgate_edge.credit.leases.state import Reservation
from tollgate_edge.credit.reservation import PREFERRED_TOKENS, OutputReservation, reserve_stream, reserve_whole
from tollgate_edge.http.errors import CreditSpent
from tollgate_edge.http.json_body import limited_body, parse_chat
from tollgate_edge.usage.token_counting import count_prompt

PRICES = st.builds(
    Prices,
    input=st.integers(0, 10**12),
    output=st.integers(0, 10**12),
    cached_input=st.none() | st.integers(0, 10**12),
    cache_write=st.none() | st.integers(0, 10**12),
    reasoning=st.none() | st.integers(0, 10**12),
    audio_output=st.none() | st.integers(0, 10**12),
    request_nano=st.integers(0, 10**9),
    tiers=st.just(())
    | st.integers(1, 10**6).map(lambda above: (Tier(above, Prices(input=10**12, output=10**12, request_nano=10**9)),)),
)
TOKENS = st.builds(TokenCounts, **dict.fromkeys(TOKEN_CLASSES, st.integers(0, 10**6)))
# One nano-unit for each token generated, half of one for each sent.
CHEAP = Prices(input=500_000, output=1_000_000)
TEXT = b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'


@given(prices=PRICES, tokens=TOKENS, multiplier_bps=st.integers(0, 30_000))
def test_a_quote_bounds_every_charge(prices: Prices, tokens: TokenCounts, multiplier_bps: int) -> None:
    priced = tariff(prices, multiplier_bps)
    quote = CostBound(priced)
    assert priced.amount_nano(tokens) <= quote.nano(tokens.prompt, tokens.completion)
    affordable = quote.affordable_tokens(quote.nano(tokens.prompt, tokens.completion), tokens.prompt)
    if max_unit_prices(prices).output and multiplier_bps:
        spent = quote.nano(tokens.prompt, affordable)
        assert spent <= quote.nano(tokens.prompt, tokens.completion)


def test_the_dearest_price_may_be_that_of_a_tier() -> None:
    long = Tier(200_000, Prices(input=8, output=3, request_nano=2))
    assert max_unit_prices(Prices(input=4, output=8, request_nano=1, tiers=(long,))) == (8, 8, 2)


def test_the_dearest_price_may_be_that_of_writing_a_cache() -> None:
    assert max_unit_prices(Prices(input=4, cached_input=1, cache_write=5, output=8, reasoning=9)) == (5, 9, 0)


@given(text=st.text(max_size=300), count=st.integers(1, 4))
def test_a_body_has_no_more_tokens_than_bytes(text: str, count: int) -> None:
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": text}] * count})
    size = size_of(body, parse_chat(body)[1], None)
    assert count_prompt(body) <= size.prompt_tokens
    assert size[1:4] == (1, None, CONTEXT_TOKENS)


def test_an_image_costs_more_than_its_address() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": [part, part]}]})
    assert size_of(body, parse_chat(body)[1], None).prompt_tokens == len(body) + 2 * IMAGE_TOKENS
    assert size_of(body, parse_chat(body)[1], 1_000).prompt_tokens == 1_000, "no prompt is larger than its model"


def test_a_name_that_is_spelt_with_escapes_is_found() -> None:
    part = rb'{"type":"image\u005furl","\u0069mage_\u0075RL":{"url":"https://example.com/a.png"}}'.replace(b"RL", b"rl")
    body = b'{"model":"m","messages":[{"role":"user","content":[%b,%b]}]}' % (part, part)
    assert size_of(body, parse_chat(body)[1], None).prompt_tokens == len(body) + 2 * IMAGE_TOKENS


def test_a_document_has_as_many_pages_as_fit_into_the_model() -> None:
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": [part]}]})
    assert size_of(body, parse_chat(body)[1], 500_000).prompt_tokens == 500_000
    assert size_of(body, parse_chat(body)[1], None).prompt_tokens == len(body) + CONTEXT_TOKENS


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, CONTEXT_TOKENS),
        ({"n": 3}, 3 * CONTEXT_TOKENS),
        ({"max_tokens": 7, "n": 2}, 14),
        ({"max_tokens": 7, "max_completion_tokens": 9}, 9),
        ({"max_tokens": 9, "max_completion_tokens": 7}, 9),
        ({"max_tokens": 10**9}, CONTEXT_TOKENS),
    ],
)
def test_the_longest_answer(limits: dict[str, int], expected: int) -> None:
    body = msgspec.json.encode({"model": "m", "messages": [{}], **limits})
    size = size_of(body, parse_chat(body)[1], None)
    assert size.within(None).output_tokens == size.within(10**6).output_tokens == expected
    # Whoever asks for more than a model is known to give may know better.
    assert size.within(8).output_tokens == (expected if size.limit_tokens else 8 * limits.get("n", 1))
    assert size.within(8).prompt_tokens == size.prompt_tokens


async def test_a_stream_grows_by_steps_until_the_credit_is_spent() -> None:
    purse = Purse(25)
    allowance = await reserve_stream(purse, PAYER, tariff(CHEAP), Size(0, 1, None, 1_000), 10)
    assert allowance.covered_tokens == 10
    assert allowance.take(TEXT * 10)
    assert not allowance.take(TEXT)
    await allowance.extend(lambda: 11)
    assert allowance.covered_tokens == 20
    assert allowance.take(TEXT * 9)
    # Ten more cannot be had, but the four that came can.
    assert not allowance.take(TEXT * 4)
    await allowance.extend(lambda: 24)
    assert (allowance.covered_tokens, purse.nano) == (24, 1)
    assert not allowance.take(TEXT * 3)
    with pytest.raises(CreditSpent):
        await allowance.extend(lambda: 27)
    assert allowance.covered_part(TEXT * 3) == b""
    assert allowance.reservation.nano == 24


async def test_only_what_is_covered_of_a_large_piece_is_handed_on() -> None:
    allowance = await reserve_stream(Purse(10), PAYER, tariff(CHEAP), Size(0, 1, None, 1_000), 10)
    assert not allowance.take(TEXT * 30)
    with pytest.raises(CreditSpent):
        await allowance.extend(lambda: 30)
    assert allowance.covered_part(TEXT * 30) == TEXT * 10


async def test_what_was_estimated_is_counted_before_it_is_too_dear() -> None:
    allowance = await reserve_stream(Purse(12), PAYER, tariff(CHEAP), Size(0, 1, None, 1_000), 10)
    large = TEXT.replace(b"word", b"word" * 1_000)
    assert allowance.take(TEXT)
    assert not allowance.take(large)
    await allowance.extend(lambda: 9)
    assert allowance.covered_tokens == 10
    # The second large event may have as many tokens as the first.
    assert not allowance.take(large)
    await allowance.extend(lambda: 11)
    assert allowance.covered_tokens == 11


async def test_beyond_a_clients_own_limit_a_stream_goes_on_as_one_without() -> None:
    allowance = await reserve_stream(Purse(22), PAYER, tariff(CHEAP), Size(0, 2, 6, 1_000), 5)
    assert allowance.covered_tokens == 10
    assert not allowance.take(TEXT * 11)
    await allowance.extend(lambda: 11)
    assert allowance.covered_tokens == 12
    # Roles, reasons and the usage are events too.
    assert not allowance.take(TEXT * 40)
    await allowance.extend(lambda: 11)
    assert allowance.covered_tokens == 12
    assert allowance.take(TEXT)
    # The provider does not keep to the limit.
    assert not allowance.take(TEXT)
    await allowance.extend(lambda: 14)
    assert allowance.covered_tokens == 22
    assert not allowance.take(TEXT * 9)
    with pytest.raises(CreditSpent):
        await allowance.extend(lambda: 23)


async def test_what_is_reserved_as_a_whole_is_not_counted() -> None:
    allowance = await reserve_whole(Purse(60), PAYER, tariff(CHEAP), Size(0, 1, 60, 60), 10)
    assert allowance.take(b"\n\n" * 1_000)


def test_large_events_hold_several_tokens() -> None:
    reservation = Reservation(PAYER, None, 0)
    size = Size(0, 1, None, 1_000)
    allowance = OutputReservation(
        Purse(0), CostBound(tariff(CHEAP)), size, reservation, covered_tokens=1, step_tokens=1
    )
    allowance.take(TEXT)
    allowance.take(TEXT.replace(b"word", b"word" * 101))
    assert allowance.covered_tokens == 101


@pytest.mark.parametrize(
    ("nano", "limit_tokens"), [(10**9, None), (PREFERRED_TOKENS + 100, PREFERRED_TOKENS + 50), (200, 150)]
)
async def test_an_answer_without_a_limit_gets_what_credit_affords(nano: int, limit_tokens: int | None) -> None:
    allowance = await reserve_whole(Purse(nano), PAYER, tariff(CHEAP), Size(100, 1, None, 100_000), 10)
    assert allowance.limit_tokens == limit_tokens


async def test_an_answer_with_a_limit_is_reserved_as_a_whole() -> None:
    size = Size(100, 2, 60, 1_000)
    allowance = await reserve_whole(Purse(170), PAYER, tariff(CHEAP), size, 10)
    assert (allowance.reservation.nano, allowance.limit_tokens) == (170, None)
    with pytest.raises(CreditSpent, match=r"may cost up to \$0\.00000017, and your account has \$0\.000000169"):
        await reserve_whole(Purse(169), PAYER, tariff(CHEAP), size, 10)


def test_a_limit_is_written_into_the_body() -> None:
    body = b'{"model": "m", "max_tokens": null, "messages": [{"content": 1.0}]}'
    limited = msgspec.json.decode(limited_body(body, 99))
    assert limited == {"model": "m", "messages": [{"content": 1.0}], "max_completion_tokens": 99}
