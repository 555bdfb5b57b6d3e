"""The analytics service in this process, on stores of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from fastapi import FastAPI
from pydantic import SecretStr

from analytics.traffic import PARTITIONS, Sent, produce
from engines.stores import ClickHouseDatabase
from tollgate_analytics.api.app import build_app
from tollgate_analytics.api.dependencies import Services
from tollgate_analytics.ingest.consumer import create_consumer, create_sink, measure_freshness
from tollgate_analytics.live.tail import LiveTail
from tollgate_analytics.query.operator_reports import Balances
from tollgate_analytics.query.price_book import PriceBook
from tollgate_analytics.query.store import LIMITS, Store
from tollgate_analytics.rollup.usage_hours import find_rolled_up_until, insert_sums
from tollgate_common.auth import api_key as apikey
from tollgate_common.auth.callers import customers, operators
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.clickhouse.migrations import migrate_clickhouse
from tollgate_common.events import KeyRecord, encode
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.kafka.producer import create_producer
from tollgate_common.topics import Topic, create_topics
from waiting import until

OPERATOR_TOKEN = "operators-" + "x" * 32


@dataclass
class Analytics:
    http: httpx.AsyncClient
    clickhouse: AsyncClient
    producer: KafkaProducer
    prefix: str
    workers: Sequence[asyncio.Task[None]]
    tail: LiveTail
    brokers: Brokers
    app: FastAPI

    async def send(self, sent: Sequence[Sent]) -> None:
        await produce(self.producer, self.prefix, sent)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        await until(condition, working=self.workers)

    async def until_rows(self, count: int) -> None:
        """Wait until the table has that many rows; whatever comes too much fails the test's own comparison."""

        async def there() -> bool:
            return await self.scalar("SELECT count() FROM request_events") >= count

        await self.until(there)

    async def until_status(self, status: int, path: str, headers: dict[str, str]) -> None:
        async def answered() -> bool:
            return (await self.http.get(path, headers=headers)).status_code == status

        await self.until(answered)

    async def scalar(self, sql: str) -> int:
        return int((await self.clickhouse.query(sql)).result_rows[0][0])

    async def add_key(self, account_id: str, key_id: str, name: str) -> tuple[str, dict[str, str]]:
        """A new key as accounts publishes it: its hash, and the header that uses it."""
        key = apikey.generate()
        record = KeyRecord(key_id=key_id, account_id=account_id, name=name, plan="standard")
        return key.hash, await self.add_record(record, key)

    async def add_record(self, record: KeyRecord, key: apikey.NewKey | None = None) -> dict[str, str]:
        """Publish a key's record; the header that uses it."""
        key = key or apikey.generate()
        await self.publish_key(key.hash, encode(record))
        headers = {"Authorization": f"Bearer {key.text}"}
        await self.until_status(200, "/v1/freshness", headers)
        return headers

    async def publish_key(self, key_hash: str, value: bytes | None) -> None:
        await self.producer.send_and_wait(Topic.KEYS.named(self.prefix), value, key_hash.encode())


async def roll_up_all(analytics: Analytics) -> datetime:
    """Roll up all that is there: more cannot come below the newest deadline."""
    found = await analytics.clickhouse.query("SELECT max(insert_by) FROM request_events")
    until: datetime = found.result_rows[0][0].replace(tzinfo=UTC) + timedelta(milliseconds=1)
    await insert_sums(analytics.clickhouse, await find_rolled_up_until(analytics.clickhouse), until)
    return until


@pytest.fixture
async def analytics(
    brokers: Brokers,
    topic_prefix: str,
    clickhouse_database: ClickHouseDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Analytics]:
    # A test must not fail because the machine is slow.
    monkeypatch.setattr("tollgate_analytics.query.store.LIMITS", {**LIMITS, "max_execution_time": 100})
    await create_topics(brokers, topic_prefix, PARTITIONS, 1)
    await migrate_clickhouse(clickhouse_database.url, "tollgate_analytics")
    client = await clickhouse.connect(clickhouse_database.url)
    producer = create_producer(brokers)
    await producer.start()
    keys = KeyDirectory(brokers, topic_prefix)
    consumer = create_consumer(brokers, topic_prefix)
    sink = create_sink(brokers, topic_prefix, consumer, client, producer)
    workers = [asyncio.create_task(sink.run()), asyncio.create_task(keys.topic.run())]
    tail = LiveTail(brokers, topic_prefix)
    workers.append(asyncio.create_task(tail.run()))
    prices = PriceBook(brokers, topic_prefix)
    workers.append(asyncio.create_task(prices.topic.run()))
    balances = Balances(brokers, topic_prefix)
    app = build_app(
        Services(
            store=Store(client),
            keys=keys,
            prices=prices,
            consumer=consumer,
            tail=tail,
            balances=balances,
            find_customer=customers(keys),
            check_operator=operators(SecretStr(OPERATOR_TOKEN)),
        )
    )
    workers.append(asyncio.create_task(balances.topic.run()))
    workers.append(asyncio.create_task(measure_freshness(consumer, Store(client).newest)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://analytics") as http:
        world = Analytics(http, client, producer, topic_prefix, workers, tail, brokers, app)
        await world.until_status(200, "/readyz", {})
        yield world
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await producer.stop()
    await client.close()
