"""The billing service in this process, on stores of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from pydantic import SecretStr

from billing.traffic import PARTITIONS, Edge
from engines.stores import ClickHouseDatabase
from tollgate_billing.app import build_app
from tollgate_billing.catalog import handlers
from tollgate_billing.catalog.rating import Catalog
from tollgate_billing.charges.consumer import create_consumer, create_handler
from tollgate_billing.charges.store import Charges
from tollgate_common.auth import api_key as apikey
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.clickhouse.migrations import migrate_clickhouse
from tollgate_common.clock import utc_now
from tollgate_common.events import CatalogueRecord, KeyRecord, ModelRecord, decode_catalogue, encode
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.kafka.compacted import CompactedTopic
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.connection import Pool
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.postgres.outbox import Publisher
from tollgate_common.topics import Topic, create_topics
from waiting import until

OPERATOR_TOKEN = "the-operators-of-this-test"
AS_OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


@dataclass
class Billing:
    """Everything that the service's process runs, and hands to look at its stores with."""

    http: httpx.AsyncClient
    brokers: Brokers
    prefix: str
    pool: Pool
    clickhouse: AsyncClient
    producer: KafkaProducer
    keys: KeyDirectory
    catalog: dict[str, CatalogueRecord]
    """catalogue.v1 as an edge knows it, by key."""
    edge: Edge
    workers: Sequence[asyncio.Task[None]]

    async def until_rows(self, count: int) -> None:
        """Wait until the table has that many rows; whatever comes too much fails the test's own comparison."""

        async def are_there() -> bool:
            return await self.scalar("SELECT count() FROM charges") >= count

        await self.until(are_there)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        await until(condition, working=self.workers)

    async def scalar(self, sql: str) -> int:
        return int((await self.clickhouse.query(sql)).result_rows[0][0])

    async def add_key(self, account_id: str) -> dict[str, str]:
        """A new key of an account as the accounts service publishes it: the header that uses it."""
        key = apikey.generate()
        record = KeyRecord(key_id=f"key of {account_id}", account_id=account_id, name="test", plan="standard")
        await self.producer.send_and_wait(Topic.KEYS.named(self.prefix), encode(record), key.hash.encode())

        async def is_known() -> bool:
            return self.keys.find(key.text) is not None

        await self.until(is_known)
        return {"Authorization": f"Bearer {key.text}"}

    async def model(self, name: str) -> ModelRecord:
        """A model's record once it is published."""

        async def is_published() -> bool:
            return f"model:{name}" in self.catalog

        await self.until(is_published)
        record = self.catalog[f"model:{name}"]
        assert isinstance(record, ModelRecord)
        return record


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[Pool]:
    """A migrated, empty catalog."""
    await migrate_postgres(postgres_dsn, "tollgate_common", "tollgate_billing")
    async with postgres.create_pool(postgres_dsn) as opened:
        yield opened


@pytest.fixture
async def billing(
    pool: Pool, postgres_dsn: str, brokers: Brokers, topic_prefix: str, clickhouse_database: ClickHouseDatabase
) -> AsyncIterator[Billing]:
    await create_topics(brokers, topic_prefix, PARTITIONS, 1)
    await migrate_clickhouse(clickhouse_database.url, "tollgate_billing")
    await handlers.seed(pool, ["openai"], utc_now())
    client = await clickhouse.connect(clickhouse_database.url)
    producer = create_producer(brokers)
    await producer.start()
    keys = KeyDirectory(brokers, topic_prefix)
    consumer = create_consumer(brokers, topic_prefix)
    dead_letters = DeadLetters(producer, topic_prefix, consumer.group)
    handler = create_handler(brokers, consumer, client, dead_letters, Catalog(pool))
    catalog: dict[str, CatalogueRecord] = {}
    workers = [
        asyncio.create_task(worker)
        for worker in (
            consumer.run(handler),
            keys.topic.run(),
            Publisher(brokers, postgres_dsn, topic_prefix, "billing").run(),
            follow(brokers, topic_prefix, catalog).run(),
        )
    ]
    app = build_app(
        pool,
        Charges(client),
        keys,
        SecretStr(OPERATOR_TOKEN),
        lambda: keys.topic.waiting_for() or consumer.waiting_for(),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://billing") as http:
        edge = Edge(producer, topic_prefix)
        world = Billing(http, brokers, topic_prefix, pool, client, producer, keys, catalog, edge, workers)

        async def is_ready() -> bool:
            return (await http.get("/readyz")).status_code == 200

        await world.until(is_ready)
        yield world
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await producer.stop()
    await client.close()


def follow(brokers: Brokers, prefix: str, records: dict[str, CatalogueRecord]) -> CompactedTopic:
    def apply(key: str, value: bytes | None) -> None:
        assert value is not None
        records[key] = decode_catalogue(value)

    return CompactedTopic(brokers, Topic.CATALOGUE.named(prefix), apply)
