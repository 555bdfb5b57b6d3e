"""What a request is charged by, and what must not be sold because it has no price."""

from datetime import UTC, datetime

import pytest

from tollgate_common.events import ModelRecord, PlanRecord, PlanVersion, PriceVersion, encode
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.pricing.catalog import Catalog, Tariff

AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
PLAN = PlanVersion(plan_version="standard@1", valid_from=AT, multiplier_bps=10_000)
CHAT = Prices(input=2_000_000, output=3_000_000)
SPEECH = Prices(input=0, output=0, characters=15_000_000)


def tariff(prices: Prices) -> Tariff:
    return Tariff(PriceVersion(price_version="m@1", valid_from=AT, prices=prices), PLAN)


@pytest.fixture
async def catalog() -> Catalog:
    known = Catalog(Brokers("nowhere:9092"), "t")
    known._apply("plan:standard", encode(PlanRecord(plan="standard", versions=(PLAN,))))
    for name, prices in (("chat", CHAT), ("speech", SPEECH)):
        record = ModelRecord(model=name, provider="openai", versions=(tariff(prices).price,))
        known._apply(f"model:{name}", encode(record))
    return known


@pytest.mark.parametrize(
    ("model", "uses", "is_sold"),
    [
        ("chat", ("input", "output"), True),
        ("chat", ("images",), False),
        ("chat", ("input", "output", "searches"), False),
        ("speech", ("characters",), True),
        # Its tokens have no price: a chat with it would be free.
        ("speech", ("input", "output"), False),
    ],
)
async def test_model_without_required_price_has_no_tariff(
    catalog: Catalog, model: str, uses: tuple[str, ...], is_sold: bool
) -> None:
    assert (catalog.tariff(catalog.models[model], "standard", AT, uses) is not None) == is_sold


async def test_text_classes_are_required_by_default(catalog: Catalog) -> None:
    assert catalog.tariff(catalog.models["chat"], "standard", AT) is not None
    assert catalog.tariff(catalog.models["speech"], "standard", AT) is None


def test_unpriced_unit_is_logged_and_rest_is_charged(caplog: pytest.LogCaptureFixture) -> None:
    used = TokenCounts(input=1, output=1, searches=2)
    assert tariff(CHAT).amount_nano(used) == 5
    assert "price version m@1 cannot rate reported usage: searches have no price" in caplog.text


def test_provider_cost_ignores_plan() -> None:
    used = TokenCounts(input=2, output=1)
    half = PlanVersion(plan_version="half@1", valid_from=AT, multiplier_bps=5_000)
    cost = Prices(input=1_000_000, output=1_000_000)
    known = PriceVersion(price_version="m@1", valid_from=AT, prices=CHAT, cost=cost)
    assert Tariff(known, half).provider_cost_nano(used) == 3
    assert Tariff(known, half).provider_cost_nano(TokenCounts(searches=1)) is None
    assert tariff(CHAT).provider_cost_nano(used) is None
