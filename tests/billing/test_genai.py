"""What is taken from genai-prices is exact, and what cannot be is left out with a reason."""

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from tollgate_billing import genai
from tollgate_common.money import NANO_PER_UNIT
from tollgate_common.rating import Prices, TokenCounts, rate

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def offers(*provider_ids: str) -> dict[str, genai.Offer]:
    return {offer.model: offer for offer in genai.read_offers(provider_ids, NOW).offers}


@pytest.fixture
def seller(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """A provider of its own, for prices that the bundled data may no longer have tomorrow."""
    provider = Provider(id="acme", name="Acme", api_pattern="")
    monkeypatch.setattr(genai, "_bundled", lambda: [provider])
    return provider


def sells(provider: Provider, prices: ModelPrice | list[ConditionalPrice], name: str = "acme-1") -> genai.Offers:
    provider.models = [ModelInfo(id=name, match=ClauseEquals(name), prices=prices)]
    return genai.read_offers(["acme"], NOW)


def usd(amount: str, **more: str) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(amount), **{key: Decimal(value) for key, value in more.items()})


@pytest.mark.parametrize(
    ("model", "prices"),
    [
        ("gpt-4o-mini", Prices(input=150_000_000, cached_input=75_000_000, output=600_000_000)),
        ("gpt-4o", Prices(input=2_500_000_000, cached_input=1_250_000_000, output=10_000_000_000)),
        ("gpt-5-nano", Prices(input=50_000_000, cached_input=5_000_000, output=400_000_000)),
        ("o3", Prices(input=2_000_000_000, cached_input=500_000_000, output=8_000_000_000)),
        ("text-embedding-3-small", Prices(input=20_000_000, output=0)),
        (
            "gpt-audio",
            Prices(input=2_500_000_000, output=10_000_000_000, audio_input=32_000_000_000, audio_output=64_000_000_000),
        ),
    ],
)
def test_known_prices(model: str, prices: Prices) -> None:
    ((valid_from, found),) = offers("openai")[model].versions
    assert (valid_from, found) == (NOW, prices)


def test_every_offer_costs_what_the_package_itself_calculates() -> None:
    """For each model, the same tokens through `genai_prices.calc_price`, which knows nothing of our classes."""
    tokens = TokenCounts(input=1_000_003, cached_input=70_001, output=500_009)
    usage = Usage(input_tokens=tokens.prompt, cache_read_tokens=tokens.cached_input, output_tokens=tokens.completion)
    found = offers("openai", "mistral", "x-ai")
    assert len(found) > 150
    for offer in found.values():
        theirs = calc_price(usage, offer.model, provider_id=offer.provider, genai_request_timestamp=NOW).total_price
        exact = theirs * NANO_PER_UNIT
        assert abs(rate(tokens, offer.versions[0][1]).amount_nano - exact) <= Decimal("0.5"), offer.model


def test_names_are_those_that_a_client_sends() -> None:
    openai = genai.read_offers(["openai"], NOW)
    names = [offer.model for offer in openai.offers]
    assert {"gpt-4o", "gpt-4o-2024-11-20", "gpt-5.1", "gpt-4.1-nano", "o4-mini"} <= set(names)
    assert len(names) == len(set(names))
    assert not set(names) & openai.left_out.keys()
    # Prefixes, others' spellings, other endpoints.
    unwanted = re.compile(
        r"[:/]|-$|^gpt-\d-\d(-|$)|gpt-35|whisper|tts|dall-e|image|realtime|transcribe|moderation|davinci"
    )
    assert [name for name in names if unwanted.search(name)] == []
    assert openai.left_out["gpt-4o-audio-preview"] == "the price of its audio tokens is not in the data"
    assert openai.left_out["gpt-oss-20b"] == "the price is another seller's"


def test_a_model_is_its_makers_whoever_else_sells_it() -> None:
    found = genai.read_offers(["anthropic", "google"], NOW)
    assert not [offer for offer in found.offers if offer.provider == "google" and offer.model.startswith("claude")]


def test_an_unknown_provider_is_an_error() -> None:
    with pytest.raises(KeyError, match="acme"):
        genai.read_offers(["acme"], NOW)


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        (
            ModelPrice(input_mtok=TieredPrices(Decimal(1), [Tier(1_000, Decimal(2))])),
            "its price depends on the length of the prompt",
        ),
        (
            [
                ConditionalPrice(prices=usd("1")),
                ConditionalPrice(TimeOfDateConstraint(time(1), time(2)), prices=usd("2")),
            ],
            "its price depends on the time of day",
        ),
        ([ConditionalPrice(StartDateConstraint(date(2027, 1, 1)), prices=usd("1"))], "its price has not begun"),
        (
            [
                ConditionalPrice(prices=usd("1")),
                ConditionalPrice(StartDateConstraint(date(2027, 1, 1)), prices=usd("2")),
                ConditionalPrice(StartDateConstraint(date(2026, 1, 1)), prices=usd("3")),
            ],
            "its prices are not in the order of their start dates",
        ),
        (usd("1", cache_write_1h_mtok="2"), "it is also charged by cache_write_1h_mtok"),
        (usd("1", web_searches_kcount="10"), "it is also charged by web_searches_kcount"),
        (usd("1", cache_read_mtok="0.1", cache_audio_read_mtok="0.2"), "cache_audio_read_mtok differs from"),
        (ModelPrice(), "it has no price for input tokens"),
    ],
)
def test_an_inexact_price_is_left_out(
    seller: Provider, prices: ModelPrice | list[ConditionalPrice], reason: str
) -> None:
    found = sells(seller, prices)
    assert found.offers == []
    assert found.left_out["acme-1"].startswith(reason)


def test_a_price_with_too_many_places_is_an_error(seller: Provider) -> None:
    with pytest.raises(ValueError, match="more than nine decimal places"):
        sells(seller, usd("0.0000000001"))


def test_dated_prices_become_versions(seller: Provider) -> None:
    dates = [None, date(2026, 1, 1), NOW.date(), date(2026, 12, 1), date(2027, 1, 1)]
    found = sells(
        seller,
        [
            ConditionalPrice(StartDateConstraint(day) if day else None, prices=usd(str(number)))
            for number, day in enumerate(dates, start=1)
        ],
    )
    assert [(valid_from, prices.input // NANO_PER_UNIT) for valid_from, prices in found.offers[0].versions] == [
        (NOW, 3),
        (datetime(2026, 12, 1, tzinfo=UTC), 4),
        (datetime(2027, 1, 1, tzinfo=UTC), 5),
    ]


def test_every_class_and_the_request_have_their_price(seller: Provider) -> None:
    prices = usd(
        "1",
        output_mtok="2",
        cache_read_mtok="3",
        cache_write_mtok="4",
        input_audio_mtok="5",
        input_image_mtok="6",
        output_reasoning_mtok="7",
        output_audio_mtok="8",
        cache_audio_read_mtok="3",
        requests_kcount="9",
    )
    ((_, found),) = sells(seller, prices).offers[0].versions
    assert found == Prices(
        input=1 * NANO_PER_UNIT,
        output=2 * NANO_PER_UNIT,
        cached_input=3 * NANO_PER_UNIT,
        cache_write=4 * NANO_PER_UNIT,
        audio_input=5 * NANO_PER_UNIT,
        image_input=6 * NANO_PER_UNIT,
        reasoning=7 * NANO_PER_UNIT,
        audio_output=8 * NANO_PER_UNIT,
        request_nano=9 * NANO_PER_UNIT // 1000,
    )
