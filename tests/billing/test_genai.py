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
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import (
    Tier as PackageTier,
)

from tollgate_billing.catalog import genai_prices
from tollgate_common.money import NANO_PER_UNIT
from tollgate_common.rating import Prices, Tier, TokenCounts, rate

USD = NANO_PER_UNIT
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


# Below every bound, and above each of them.
SHORT = TokenCounts(input=30_003, cached_input=7_001, output=500_009)
LONG = TokenCounts(input=1_000_003, cached_input=70_001, output=500_009)


def offers(*provider_ids: str) -> dict[str, genai_prices.Offer]:
    return {offer.model: offer for offer in genai_prices.read_offers(provider_ids, NOW).offers}


@pytest.fixture
def seller(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """A provider of its own, for prices that the bundled data may no longer have tomorrow."""
    provider = Provider(id="acme", name="Acme", api_pattern="")
    monkeypatch.setattr(genai_prices, "_bundled", lambda: [provider])
    return provider


def sells(provider: Provider, prices: ModelPrice | list[ConditionalPrice], name: str = "acme-1") -> genai_prices.Offers:
    provider.models = [ModelInfo(id=name, match=ClauseEquals(name), prices=prices)]
    return genai_prices.read_offers(["acme"], NOW)


def usd(amount: str, **more: str) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(amount), **{key: Decimal(value) for key, value in more.items()})


@pytest.mark.parametrize(
    ("model", "prices"),
    [
        ("o1-mini", Prices(input=1_100_000_000, cached_input=550_000_000, output=4_400_000_000)),
        ("gpt-4o", Prices(input=2_500_000_000, cached_input=1_250_000_000, output=10 * USD)),
        (
            "gpt-5-nano",
            Prices(input=50_000_000, cached_input=5_000_000, output=400_000_000),
        ),
        ("o3", Prices(input=2 * USD, cached_input=500_000_000, output=8 * USD)),
        ("text-embedding-3-small", Prices(input=20_000_000, output=0)),
        ("tts-1", Prices(input=0, output=0, characters=15 * USD)),
        ("whisper-1", Prices(input=0, output=0, audio_seconds=100_000 * 1_000_000)),
        (
            "gpt-image-1.5",
            Prices(
                input=5 * USD,
                cached_input=1_250_000_000,
                image_input=8 * USD,
                cached_image_input=2 * USD,
                output=10 * USD,
                image_output=32 * USD,
            ),
        ),
        (
            "gpt-5.4",
            Prices(
                input=2_500_000_000,
                cached_input=250_000_000,
                output=15 * USD,
                tiers=(
                    Tier(
                        272_000,
                        Prices(input=5 * USD, cached_input=500_000_000, output=22_500_000_000),
                    ),
                ),
            ),
        ),
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
    found = offers("openai", "anthropic", "google", "mistral", "x-ai")
    assert len(found) > 300
    for tokens in SHORT, LONG:
        usage = Usage(
            input_tokens=tokens.prompt, cache_read_tokens=tokens.cached_input, output_tokens=tokens.completion
        )
        for offer in found.values():
            if not offer.versions[0][1].sells(["input"]):
                continue
            theirs = calc_price(usage, offer.model, provider_id=offer.provider, genai_request_timestamp=NOW).total_price
            exact = theirs * NANO_PER_UNIT
            assert abs(rate(tokens, offer.versions[0][1]).amount_nano - exact) <= Decimal("0.5"), offer.model


def test_most_of_what_the_great_three_sell_is_priced() -> None:
    """At least so many, and for the others a reason that a person can judge."""
    for provider, priced, left_out in (("openai", 140, 60), ("anthropic", 30, 3), ("google", 65, 25)):
        found = genai_prices.read_offers([provider], NOW)
        assert len(found.offers) >= priced
        assert len(found.left_out) <= left_out
    openai = offers("openai")
    assert {
        "gpt-5.4",
        "gpt-5.5",
        "whisper-1",
        "tts-1",
        "gpt-image-1",
        "gpt-4o-transcribe",
        "gpt-4o-mini-tts",
    } <= openai.keys()
    assert {"claude-sonnet-4-5", "claude-opus-4-5", "claude-haiku-4-5"} <= offers("anthropic").keys()
    assert {"gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-image"} <= offers("google").keys()


def test_names_are_those_that_a_client_sends() -> None:
    openai = genai_prices.read_offers(["openai"], NOW)
    names = [offer.model for offer in openai.offers]
    assert {"gpt-4o", "gpt-4o-2024-11-20", "gpt-5.1", "gpt-4.1-nano", "o4-mini"} <= set(names)
    assert len(names) == len(set(names))
    assert not set(names) & openai.left_out.keys()
    # Prefixes, others' spellings, other endpoints.
    unwanted = re.compile(r"[:/]|-$|^gpt-\d-\d(-|$)|gpt-35|dall-e|realtime|moderation|^davinci$|^text-davinci|live")
    assert [name for name in names if unwanted.search(name)] == []
    assert openai.left_out["gpt-4o-audio-preview"] == "the price of its audio tokens is not in the data"
    assert openai.left_out["gpt-oss-20b"] == "the price is that of another seller"


def test_a_model_is_its_makers_whoever_else_sells_it() -> None:
    found = genai_prices.read_offers(["anthropic", "google"], NOW)
    assert not [offer for offer in found.offers if offer.provider == "google" and offer.model.startswith("claude")]


def test_an_unknown_provider_is_an_error() -> None:
    with pytest.raises(KeyError, match="acme"):
        genai_prices.read_offers(["acme"], NOW)


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        (
            [
                ConditionalPrice(prices=usd("1")),
                ConditionalPrice(TimeOfDateConstraint(time(1), time(2)), prices=usd("2")),
            ],
            "its price depends on the time of day",
        ),
        ([ConditionalPrice(StartDateConstraint(date(2027, 1, 1)), prices=usd("1"))], "its price is not in force yet"),
        (
            [
                ConditionalPrice(prices=usd("1")),
                ConditionalPrice(StartDateConstraint(date(2027, 1, 1)), prices=usd("2")),
                ConditionalPrice(StartDateConstraint(date(2026, 1, 1)), prices=usd("3")),
            ],
            "its prices are not in the order of their start dates",
        ),
        (usd("1", input_video_mtok="2"), "it is also charged by input_video_mtok"),
        (usd("1", cache_read_mtok="0.1", cache_text_read_mtok="0.2"), "cache_text_read_mtok differs from"),
        (usd("1", input_audio_hours="0.1", audio_hours="0.2"), "audio_hours differs from input_audio_hours"),
        (usd("1", output_mtok="2"), "the price of its audio tokens is not in the data"),
        (ModelPrice(), "it has no price for input tokens"),
    ],
)
def test_an_inexact_price_is_left_out(
    seller: Provider, prices: ModelPrice | list[ConditionalPrice], reason: str
) -> None:
    name = "acme-audio" if "audio tokens" in reason else "acme-1"
    found = sells(seller, prices, name)
    assert found.offers == []
    assert found.left_out[name].startswith(reason)


def test_a_price_with_too_many_places_is_an_error(seller: Provider) -> None:
    with pytest.raises(ValueError, match="expected at most nine"):
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
        cache_text_read_mtok="3",
        requests_kcount="9",
        cache_write_1h_mtok="10",
        cache_audio_read_mtok="11",
        cache_image_read_mtok="12",
        output_image_mtok="13",
        input_mchars="14",
        audio_hours="0.36",
        web_searches_kcount="15",
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
        cache_write_1h=10 * NANO_PER_UNIT,
        cached_audio_input=11 * NANO_PER_UNIT,
        cached_image_input=12 * NANO_PER_UNIT,
        image_output=13 * NANO_PER_UNIT,
        characters=14 * NANO_PER_UNIT,
        audio_seconds=NANO_PER_UNIT // 10_000 * 1_000_000,
    )


def test_a_fee_for_searching_the_web_is_no_price_of_a_ranking() -> None:
    """Otherwise every chat model that can search would be offered on `/v1/rerank`."""
    assert not [name for name, offer in offers("openai").items() if offer.versions[0][1].sells(["searches"])]


def test_tiers_hold_whole_sets_of_prices(seller: Provider) -> None:
    price = ModelPrice(
        input_mtok=TieredPrices(Decimal(1), [PackageTier(1_000, Decimal(2)), PackageTier(9_000, Decimal(4))]),
        output_mtok=TieredPrices(Decimal(3), [PackageTier(9_000, Decimal(6))]),
        web_searches_kcount=Decimal(10),
    )
    ((_, found),) = sells(seller, price).offers[0].versions
    assert found == Prices(
        input=USD,
        output=3 * USD,
        tiers=(
            Tier(1_000, Prices(input=2 * USD, output=3 * USD)),
            Tier(9_000, Prices(input=4 * USD, output=6 * USD)),
        ),
    )
