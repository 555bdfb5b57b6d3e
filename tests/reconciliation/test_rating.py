"""The SQL of `reconciliation_misrated.sql` agrees with `rating.rate` to the last nano-unit."""

import random
from collections.abc import AsyncIterator

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from msgspec.structs import replace

from engines.stores import ClickHouseDatabase
from tollgate_billing.catalog import handlers, store
from tollgate_billing.catalog.store import NewPrice
from tollgate_billing.reconciliation.charge_source import ChargeReconciliationSource
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.clickhouse.migrations import migrate_clickhouse
from tollgate_common.clock import utc_now
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.connection import Pool
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.rating import CLASSES, QUANTITY_COLUMNS, UNIT_CLASSES, Prices, Tier, TokenCounts, Unpriced, rate
from tollgate_common.reconciliation.source import Range

pytestmark = pytest.mark.engines

CHARGES = 2_000
TOPIC = "t.usage.v1"


@pytest.fixture
async def client(clickhouse_database: ClickHouseDatabase) -> AsyncIterator[AsyncClient]:
    await migrate_clickhouse(clickhouse_database.url, "tollgate_billing")
    connected = await clickhouse.connect(clickhouse_database.url)
    yield connected
    await connected.close()


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[Pool]:
    await migrate_postgres(postgres_dsn, "tollgate_common", "tollgate_billing")
    async with postgres.create_pool(postgres_dsn) as opened:
        yield opened


async def catalog(pool: Pool, chance: random.Random) -> dict[str, Prices]:
    """Models with prices of every kind: free, with and without prices of single classes, one for the request, tiers."""
    await handlers.seed(pool, ["openai"], utc_now())
    async with pool.connection() as connection, connection.transaction():
        for number in range(12):
            new = NewPrice(f"model-{number}", "openai", None, utc_now(), "test", some_prices(chance, number % 4))
            await store.add_model(connection, new)
            await store.add_price(connection, new)
        return await store.all_prices(connection)


def some_prices(chance: random.Random, tiers: int) -> Prices:
    names = ["input", "output", *chance.sample(CLASSES, chance.randrange(12)), "request_nano"]
    bounds = sorted(chance.sample(range(1, 3 * 10**7), tiers))
    base, *longer = (
        Prices(**{name: chance.choice((0, 1, 15, 2_500_000_000, chance.randrange(10**12))) for name in names}, tiers=())
        for _ in range(tiers + 1)
    )
    return replace(base, tiers=tuple(map(Tier, bounds, longer)))


async def test_the_engine_rates_as_the_function_does(client: AsyncClient, pool: Pool) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    prices = await catalog(pool, chance)
    columns = [
        "topic", "partition", "offset", "boot_id", "seq", "block_month", "insert_by", "kind", "request_id",
        "price_version", "plan_version", "amount_nano", *(QUANTITY_COLUMNS[name] for name in CLASSES),
    ]  # fmt: skip
    rows, expected_nano = [], []
    for offset in range(CHARGES):
        version = chance.choice(list(prices))
        tokens = TokenCounts(
            **{
                name: chance.choice((0, 1, chance.randrange(10**7)))
                for name in CLASSES
                if prices[version].sells([name])
            }
        )
        amount_nano = rate(tokens, prices[version]).amount_nano
        expected_nano.append(amount_nano)
        counts = [getattr(tokens, name) for name in CLASSES]
        place = [TOPIC, 0, offset, "boot", offset, 202611, utc_now().replace(year=2100)]
        rows.append([*place, "charge", f"request-{offset}", version, "standard@1", amount_nano, *counts])
    await client.insert("charges", rows, column_names=columns)
    books = ChargeReconciliationSource(client, pool, Brokers("nowhere:9092"), "t", "t.billing")
    everything = [Range(partition=0, start=0, end=CHARGES, step=CHARGES)]
    assert {rate(TokenCounts(*row[12:]), prices[row[9]]).tier_above_tokens > 0 for row in rows} == {False, True}
    assert (await books.rate_again(everything)).charges == 0

    await client.command(
        "ALTER TABLE charges UPDATE amount_nano = amount_nano + 1 WHERE 1", settings={"mutations_sync": 2}
    )
    found = await books.rate_again(everything)
    assert (found.charges, found.difference_nano) == (CHARGES, CHARGES)
    assert [charge.rated_nano for charge in found.listed] == expected_nano[: len(found.listed)]


@pytest.mark.parametrize("unit", UNIT_CLASSES)
async def test_a_unit_without_a_price_is_rated_by_neither(client: AsyncClient, pool: Pool, unit: str) -> None:
    await handlers.seed(pool, ["openai"], utc_now())
    async with pool.connection() as connection:
        version, prices = next(iter((await store.all_prices(connection)).items()))
    with pytest.raises(Unpriced):
        rate(TokenCounts(**{unit: 1}), prices)
    place = [TOPIC, 0, 0, "boot", 0, 202611, utc_now().replace(year=2100)]
    columns = [
        "topic", "partition", "offset", "boot_id", "seq", "block_month", "insert_by", "kind", "request_id",
        "price_version", "plan_version", "amount_nano", unit,
    ]  # fmt: skip
    await client.insert("charges", [[*place, "charge", "r", version, "standard@1", 0, 1]], column_names=columns)
    found = await ChargeReconciliationSource(client, pool, Brokers("nowhere:9092"), "t", "t.billing").rate_again(
        [Range(partition=0, start=0, end=1, step=1)]
    )
    assert (found.charges, found.listed[0].rated_nano, found.difference_nano) == (1, None, 0)
