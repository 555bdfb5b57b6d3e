"""The real process, killed again and again amid its load: afterwards each event has one row, and the sum is exact."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import httpx
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from billing.traffic import PARTITIONS, Edge, charged
from engines.stores import ClickHouseDatabase
from tollgate_common import apikey, clickhouse
from tollgate_common.compacted import CompactedTopic
from tollgate_common.events import KeyRecord, ModelRecord, UsageEvent, decode_catalogue, encode
from tollgate_common.producer import create_producer
from tollgate_common.topics import Topic, create_topics
from tollgate_local.ports import free_port

pytestmark = [pytest.mark.engines, pytest.mark.chaos, pytest.mark.timeout(300)]

KILLS = 3
BATCH = 60
# Bounds the load if the process never gets that far.
MAX_EVENTS = 60_000
ACCOUNTS = ("acc-a", "acc-b", "acc-c", "acc-d")


class Process:
    """`python -m tollgate_billing.main` on stores of its own."""

    def __init__(self, bootstrap: str, prefix: str, postgres_dsn: str, clickhouse_url: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._environment = {
            **os.environ,
            "TOLLGATE_KAFKA_BOOTSTRAP": bootstrap,
            "TOLLGATE_TOPIC_PREFIX": prefix,
            "TOLLGATE_POSTGRES_DSN": postgres_dsn,
            "TOLLGATE_CLICKHOUSE_URL": clickhouse_url,
            "TOLLGATE_PORT": str(port),
            "TOLLGATE_LOG_LEVEL": "WARNING",
        }

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tollgate_billing.main", *arguments, env=self._environment
        )

    @asynccontextmanager
    async def running(self, end: signal.Signals) -> AsyncIterator[None]:
        process = await self.start()
        try:
            yield
            # Nobody ended it before us: its own death would be a failure that the restarts hide.
            assert process.returncode is None
        finally:
            process.send_signal(end)
            code = await asyncio.wait_for(process.wait(), 30)
        assert code == (0 if end is signal.SIGTERM else -end)


async def published_model(bootstrap: str, prefix: str, name: str) -> ModelRecord:
    """The model's record as an edge gets it."""
    found: asyncio.Future[ModelRecord] = asyncio.get_running_loop().create_future()

    def apply(key: str, value: bytes | None) -> None:
        if key == f"model:{name}" and value is not None and not found.done():
            record = decode_catalogue(value)
            assert isinstance(record, ModelRecord)
            found.set_result(record)

    following = asyncio.create_task(CompactedTopic(bootstrap, Topic.CATALOGUE.named(prefix), apply).run())
    try:
        return await asyncio.wait_for(found, 60)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def count_rows(client: AsyncClient) -> int:
    return int((await client.query("SELECT count() FROM charges")).result_rows[0][0])


async def until_rows(client: AsyncClient, count: int) -> None:
    for _ in range(900):
        if await count_rows(client) >= count:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"no {count} rows within 90 s")


async def until_ready(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if (await http.get("/readyz")).status_code == HTTPStatus.OK:
                    return
            await asyncio.sleep(0.1)
    raise TimeoutError("not ready within 60 s")


class Load:
    """Goes on for as long as processes come and go; each batch sends some of the events before it again."""

    def __init__(self, edge: Edge, model: ModelRecord) -> None:
        self.sent: list[UsageEvent] = []
        self._edge = edge
        self._model = model
        self._chance = random.Random(7)
        self._enough = asyncio.Event()

    async def run(self) -> None:
        while not self._enough.is_set() and len(self.sent) < MAX_EVENTS:
            account_id = self._chance.choice(ACCOUNTS)
            again = self._chance.sample(self.sent, min(len(self.sent), BATCH // 5))
            batch: list[UsageEvent] = [self._edge.used(account_id, self._model) for _ in range(BATCH)]
            batch += [self._edge.lease_closed(account_id), self._edge.void(account_id)]
            self.sent += batch
            await self._edge.send(*batch, *again)
            await asyncio.sleep(self._chance.uniform(0, 0.4))

    def end(self) -> None:
        self._enough.set()


async def test_killed_amid_a_load_it_charges_every_event_once(
    kafka_bootstrap: str, topic_prefix: str, postgres_dsn: str, clickhouse_database: ClickHouseDatabase
) -> None:
    await create_topics(kafka_bootstrap, topic_prefix, PARTITIONS, 1)
    billing = Process(kafka_bootstrap, topic_prefix, postgres_dsn, clickhouse_database.url)
    assert await (await billing.start("migrate")).wait() == 0
    key = apikey.generate()
    moments = random.Random()
    record = KeyRecord(key_id="key", account_id="acc-a", name="test", plan="standard")
    client = await clickhouse.connect(clickhouse_database.url)
    producer = create_producer(kafka_bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(Topic.KEYS.named(topic_prefix), encode(record), key.hash.encode())
        async with billing.running(end=signal.SIGTERM):
            model = await published_model(kafka_bootstrap, topic_prefix, "gpt-4o-mini")
        load = Load(Edge(producer, topic_prefix), model)
        loading = asyncio.create_task(load.run())
        for _ in range(KILLS):
            before = await count_rows(client)
            async with billing.running(end=signal.SIGKILL):
                await until_rows(client, before + 3 * BATCH)
                # Anywhere in a cycle of declaring, inserting and committing.
                await asyncio.sleep(moments.uniform(0, 1.2))
        load.end()
        await loading
        async with billing.running(end=signal.SIGTERM):
            await until_rows(client, len(load.sent))
            await compare(client, load.sent)
            await until_ready(billing.url)
            await compare_charges(billing.url, key.text, load.sent)
    finally:
        await producer.stop()
        await client.close()


async def compare(client: AsyncClient, sent: Sequence[UsageEvent]) -> None:
    stored = await client.query("SELECT boot_id, partition, seq, amount_nano FROM charges ORDER BY ALL")
    amounts = {event.stamp: event.amount_nano for event in charged(sent)}
    assert [tuple(row) for row in stored.result_rows] == sorted(
        (event.stamp.boot_id, event.stamp.partition, event.stamp.seq, amounts.get(event.stamp, 0)) for event in sent
    )
    total = await client.query("SELECT sum(amount_nano) FROM charges")
    assert total.result_rows[0][0] == sum(amounts.values())


async def compare_charges(url: str, key: str, sent: Sequence[UsageEvent]) -> None:
    """What the account is told, page by page, adds up to what it used."""
    found: dict[str, int] = {}
    cursor = None
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}) as http:
        for _ in range(MAX_EVENTS):
            parameters = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
            page = (await http.get("/v1/charges", params=parameters)).raise_for_status().json()
            found |= {charge["request_id"]: charge["amount_nano"] for charge in page["data"]}
            cursor = page["next_cursor"]
            if cursor is None:
                break
    assert found == {
        event.request.request_id: event.amount_nano for event in charged(sent) if event.request.account_id == "acc-a"
    }
