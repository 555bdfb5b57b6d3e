"""What was believed when: corrections by new versions, and the order in which everyone hears of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.test_catalogue import NOW, outbox_records
from tollgate_billing.catalog import genai_prices, handlers, store
from tollgate_billing.catalog.handlers import PlanCommand, PriceCommand
from tollgate_billing.catalog.handlers.prices import TierCommand
from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem
from tollgate_common.events import ModelRecord, PlanRecord, PlanVersion, PriceVersion
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.postgres.connection import Pool
from tollgate_common.rating import Prices
from tollgate_edge.pricing.catalog import Catalog as EdgeCatalog
from tollgate_edge.pricing.catalog import Tariff

pytestmark = pytest.mark.engines

MODEL = "gpt-4o"
FREE = PlanVersion(plan_version="standard@1", valid_from=NOW, multiplier_bps=10_000)


def setting(price: int, valid_from: datetime | None = None, **changes: Any) -> PriceCommand:
    command = PriceCommand(MODEL, "openai", valid_from, {"input": price, "output": price}, None, False, False)
    return command._replace(**changes)


async def believed(pool: Pool, at: datetime, as_of: datetime) -> int | None:
    found = await handlers.prices_believed(pool, MODEL, at, as_of)
    return found[0].versions[0].prices.input if found else None


async def test_what_was_believed_at_one_time_about_another(pool: Pool) -> None:
    await handlers.seed(pool, ["openai"], utc_now())
    scheduled = utc_now() + timedelta(days=10)
    await handlers.add_price(pool, setting(10, scheduled), utc_now())
    before = utc_now()
    wrong_since = utc_now() - timedelta(days=3)
    await handlers.add_price(pool, setting(7, wrong_since, is_correction=True), utc_now())
    between = utc_now()
    await handlers.add_price(pool, setting(11, scheduled, is_correction=True), utc_now())
    after = utc_now()

    assert await believed(pool, wrong_since, before) is None, "nothing was known of that time"
    assert await believed(pool, wrong_since, between) == 7
    assert await believed(pool, wrong_since - timedelta(seconds=1), after) is None
    # The seeded price began at this midnight, so it holds now, and the correction before it does not.
    assert await believed(pool, after, after) == 2_500_000_000
    assert await believed(pool, scheduled, between) == 10
    assert await believed(pool, scheduled, after) == 11
    async with pool.connection() as connection:
        versions = (await store.models(connection, MODEL))[MODEL].versions
    assert [version.prices.input for version in versions] == [7, 2_500_000_000, 10, 11], "nothing was edited"
    assert [version.is_correction for version in versions] == [True, False, False, True]


async def test_a_correction_of_what_holds_now_is_what_edges_charge_from_then_on(pool: Pool) -> None:
    await handlers.seed(pool, ["openai"], utc_now())
    async with pool.connection() as connection:
        seeded = (await store.models(connection, MODEL))[MODEL].versions[0]
    corrected = await handlers.add_price(pool, setting(9, seeded.valid_from, is_correction=True), utc_now())
    again = await handlers.add_price(pool, setting(8, seeded.valid_from, is_correction=True), utc_now())
    _, record = (await outbox_records(pool))[f"model:{MODEL}"][-1]
    assert isinstance(record, ModelRecord)
    assert [version.price_version for version in record.versions][-1] == again.price_version
    edge = EdgeCatalog(Brokers("nowhere:9092"), "t")
    edge._plans["standard"] = PlanRecord(plan="standard", versions=(FREE,))
    tariff = edge.tariff(record, "standard", utc_now())
    assert isinstance(tariff, Tariff)
    assert tariff.price.prices.input == 8
    # Charges that name the versions before can still be explained.
    async with pool.connection() as connection:
        prices = await store.all_prices(connection)
    assert [prices[name].input for name in (seeded.price_version, corrected.price_version)] == [2_500_000_000, 9]


async def test_price_cost_and_tiers_are_set_apart(pool: Pool) -> None:
    await handlers.seed(pool, ["openai"], utc_now())
    first = await handlers.add_price(pool, setting(5, tiers=[TierCommand(1_000, {"input": 6})]), utc_now())
    assert first.prices == Prices(input=5, output=5, tiers=first.prices.tiers)
    assert [(tier.above_tokens, tier.prices) for tier in first.prices.tiers] == [(1_000, Prices(input=6, output=5))]
    assert first.cost is not None, "the imported cost stays"
    assert first.cost.input == 2_500_000_000
    later = utc_now() + timedelta(days=1)
    cost = {"input": 2, "output": 3}
    second = await handlers.add_price(pool, setting(5, later, cost=cost), utc_now())
    assert second.cost == Prices(input=2, output=3)
    third = await handlers.add_price(pool, setting(5, later + timedelta(days=1), keeps_cost=False), utc_now())
    assert third.cost is None


async def test_a_dry_run_tells_what_an_import_would_do_and_does_nothing(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await handlers.seed(pool, ["openai"], utc_now())
    old = await outbox_records(pool)
    dearer = Prices(input=9, output=9)
    offers = [
        genai_prices.Offer(MODEL, "openai", 1, ((utc_now(), dearer),)),
        genai_prices.Offer("a", "openai", 1, ((NOW, dearer),)),
    ]
    monkeypatch.setattr(genai_prices, "read_offers", lambda _providers, _now: genai_prices.Offers(offers, {"b": "why"}))
    told = await handlers.import_prices(pool, ["openai"], utc_now(), dry_run=True)
    assert [(price.model, price.prices) for price in told.added] == [(MODEL, dearer), ("a", dearer)]
    assert told.before[MODEL].input == 2_500_000_000
    assert "a" not in told.before
    assert await outbox_records(pool) == old
    done = await handlers.import_prices(pool, ["openai"], utc_now())
    assert [price.price_version for price in done.added] == [price.price_version for price in told.added]
    assert (await outbox_records(pool)).keys() - old.keys() == {"model:a"}


async def test_a_plan_is_added_scheduled_corrected_and_retired(pool: Pool) -> None:
    await handlers.seed(pool, ["openai"], utc_now())
    await handlers.add_plan(pool, PlanCommand("gold", 9_000), utc_now())
    later = utc_now() + timedelta(days=1)
    await handlers.schedule_multiplier(pool, PlanCommand("gold", 8_000, later), utc_now())
    await handlers.schedule_multiplier(pool, PlanCommand("gold", 8_500, later, is_correction=True), utc_now())
    plan = await handlers.retire_plan(pool, "gold", later + timedelta(days=1), utc_now())
    steps = [(version.plan_version, version.multiplier_bps) for version in plan.versions]
    assert steps == [("gold@1", 9_000), ("gold@2", 8_000), ("gold@3", 8_500)]
    _, record = (await outbox_records(pool))["plan:gold"][-1]
    assert isinstance(record, PlanRecord)
    edge = EdgeCatalog(Brokers("nowhere:9092"), "t")
    edge._plans["gold"] = record
    price = ModelRecord(
        model="m",
        provider="p",
        versions=(PriceVersion(price_version="m@1", valid_from=NOW, prices=Prices(input=1, output=1)),),
    )
    for at, bps in ((later - timedelta(hours=1), 9_000), (later, 8_500)):
        tariff = edge.tariff(price, "gold", at)
        assert tariff is not None
        assert tariff.plan.multiplier_bps == bps
    assert edge.tariff(price, "gold", later + timedelta(days=1)) is None, "a retired plan sells nothing"
    with pytest.raises(Problem, match="retired since"):
        await handlers.schedule_multiplier(pool, PlanCommand("gold", 1, later + timedelta(days=2)), utc_now())
    assert [found.plan for found in await handlers.list_plans(pool)] == ["gold", "standard"]
    assert plan.retired_at is not None
    assert plan.retired_at.tzinfo is UTC
