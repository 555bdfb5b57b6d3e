"""The real process, killed again and again amid its load: afterwards every event has exactly one row."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.asyncclient import AsyncClient

from analytics.traffic import PARTITIONS, Sent, groups_of, produce, recount, seeded, traffic
from engines.stores import ClickHouseDatabase
from tollgate_common.auth import api_key as apikey
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.clock import utc_now
from tollgate_common.events import KeyRecord, encode
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.producer import create_producer
from tollgate_common.topics import Topic, create_topics
from tollgate_local.ports import free_port
from waiting import PATIENCE_S, until

pytestmark = [pytest.mark.engines, pytest.mark.chaos]

KILLS = 2


class Process:
    """`python -m tollgate_analytics.main`, and the load that runs beside it."""

    def __init__(self, brokers: Brokers, prefix: str, clickhouse_url: str) -> None:
        self.port = free_port()
        self.environment = {
            **os.environ,
            "TOLLGATE_KAFKA_BOOTSTRAP": brokers.bootstrap,
            "TOLLGATE_TOPIC_PREFIX": prefix,
            "TOLLGATE_CLICKHOUSE_URL": clickhouse_url,
            "TOLLGATE_PORT": str(self.port),
        }

    async def run(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tollgate_analytics.main", *arguments, env=self.environment
        )

    @asynccontextmanager
    async def running(self, end: signal.Signals) -> AsyncIterator[None]:
        process = await self.run()
        try:
            yield
            # Nobody ended it before us: its own death would be a failure that the restarts hide.
            assert process.returncode is None
        finally:
            process.send_signal(end)
            code = await asyncio.wait_for(process.wait(), PATIENCE_S)
        assert code == (0 if end is signal.SIGTERM else -end)


async def until_rows(client: AsyncClient, count: int) -> None:
    async def are_there() -> bool:
        return bool((await client.query("SELECT count() FROM request_events")).result_rows[0][0] >= count)

    await until(are_there, f"{count} rows")


async def until_ready(http: httpx.AsyncClient) -> None:
    async def is_ready() -> bool:
        with suppress(httpx.TransportError):
            return (await http.get("/readyz")).is_success
        return False

    await until(is_ready, "ready")


async def load(producer: AIOKafkaProducer, prefix: str, sent: Sequence[Sent]) -> None:
    """A steady load of several seconds, in which each batch sends some of the events before it again."""
    chance, size = seeded(32), 100
    for start in range(0, len(sent), size):
        again = chance.sample(sent[:start], min(start, 20))
        await produce(producer, prefix, [*sent[start : start + size], *again])
        await asyncio.sleep(0.2)


async def test_killed_amid_a_load_every_event_has_one_row(
    brokers: Brokers, topic_prefix: str, clickhouse_database: ClickHouseDatabase
) -> None:
    await create_topics(brokers, topic_prefix, PARTITIONS, 1)
    analytics = Process(brokers, topic_prefix, clickhouse_database.url)
    assert await (await analytics.run("migrate")).wait() == 0
    sent = traffic(seed=31, requests=1_500, accounts=("acc-a", "acc-d"))
    key = apikey.generate()
    record = KeyRecord(key_id="acc-a-key-0", account_id="acc-a", name="laptop", plan="standard")
    client = await clickhouse.connect(clickhouse_database.url)
    producer = create_producer(brokers)
    await producer.start()
    try:
        await producer.send_and_wait(Topic.KEYS.named(topic_prefix), encode(record), key.hash.encode())
        loading = asyncio.create_task(load(producer, topic_prefix, sent))
        for kill in range(KILLS):
            async with analytics.running(end=signal.SIGKILL):
                await until_rows(client, len(sent) * (kill + 1) // (KILLS + 1))
        await loading
        async with analytics.running(end=signal.SIGTERM):
            await until_rows(client, len(sent))
            await compare(client, sent, analytics.port, key.text)
    finally:
        await producer.stop()
        await client.close()


async def compare(client: AsyncClient, sent: Sequence[Sent], port: int, key: str) -> None:
    stored = await client.query("SELECT boot_id, topic, partition, seq FROM request_events ORDER BY ALL")
    assert [(row[0], row[1].split(".", 1)[1], row[2], row[3]) for row in stored.result_rows] == sorted(
        (event.stamp.boot_id, topic.value, event.stamp.partition, event.stamp.seq) for topic, event in sent
    )
    now = utc_now()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        await until_ready(http)
        answer = await http.get("/v1/usage", headers={"Authorization": f"Bearer {key}"})
    assert groups_of(answer.json()) == recount(sent, "acc-a", start=now - timedelta(days=30), end=now)
