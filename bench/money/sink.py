"""Rows a second from usage.v1 to durable rows of `charges`, beside the engine's own INSERT … SELECT of the same rows.

The service's own consumer, sink and rating, on a topic that is full before it starts: what is measured is the CPU of
this process, from the fetch to the commit, so that a busy machine tells nearly the same as an idle one. The engine, a
process of its own, then copies the rows from table to table: what storing them costs at least.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from bench.money.figures import Figure
from clickhouse_connect.driver.asyncclient import AsyncClient

from billing.traffic import PARTITIONS, Edge
from engines.run import find_engines
from engines.stores import clickhouse_database, delete_topics, postgres_database, unique_name
from tollgate_billing import handlers, store
from tollgate_billing.catalogue import Catalogue
from tollgate_billing.consumers import create_consumer, create_handler
from tollgate_common import clickhouse, postgres
from tollgate_common.clock import utc_now
from tollgate_common.dead_letters import DeadLetters
from tollgate_common.events import ModelRecord, PriceVersion, TokensUsed, encode
from tollgate_common.postgres import Pool
from tollgate_common.producer import create_producer
from tollgate_common.topics import Topic, create_topics
from tollgate_local.engines import EngineAddresses

ACCOUNTS = [f"account-{number}" for number in range(50)]
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-5.4")
POLL_S = 0.1
ROWS = 300_000
GOAL = 150_000


@dataclass(frozen=True)
class World:
    bootstrap: str
    prefix: str
    pool: Pool
    client: AsyncClient
    producer: AIOKafkaProducer


@asynccontextmanager
async def created(engines: EngineAddresses) -> AsyncIterator[World]:
    """Empty stores and topics of their own, dropped after."""
    bootstrap, prefix = engines.kafka_bootstrap, unique_name()
    async with AsyncExitStack() as stack:
        await create_topics(bootstrap, prefix, PARTITIONS, 1)
        stack.push_async_callback(delete_topics, bootstrap, prefix)
        url = stack.enter_context(clickhouse_database(engines.clickhouse_url)).url
        dsn = stack.enter_context(postgres_database(engines.postgres_dsn))
        await clickhouse.migrate(url, "tollgate_billing")
        await postgres.migrate(dsn, "tollgate_common", "tollgate_billing")
        pool = await stack.enter_async_context(postgres.create_pool(dsn))
        await handlers.seed(pool, ["openai"], utc_now())
        client = await clickhouse.connect(url, timeout_s=600)
        stack.push_async_callback(client.close)
        producer = await stack.enter_async_context(create_producer(bootstrap))
        yield World(bootstrap, prefix, pool, client, producer)


async def fill(world: World, rows: int) -> None:
    """Requests of several accounts and models, in the order of their seqs."""
    async with world.pool.connection() as connection:
        stored = await store.models(connection, *MODELS)
    models = [
        ModelRecord(
            model=name,
            provider=model.provider,
            versions=tuple(
                PriceVersion(price_version=one.price_version, valid_from=one.valid_from, prices=one.prices)
                for one in model.versions
            ),
        )
        for name, model in stored.items()
    ]
    edge = Edge(world.producer, world.prefix)
    used = (edge.used(ACCOUNTS[number % len(ACCOUNTS)], models[number % len(models)]) for number in range(rows))
    by_partition: dict[int, list[bytes]] = {number: [] for number in range(PARTITIONS)}
    for event in used:
        by_partition[event.stamp.partition].append(_with_cost(event))
    for partition, values in by_partition.items():
        await _send(world.producer, Topic.USAGE.named(world.prefix), partition, values)


def _with_cost(event: TokensUsed) -> bytes:
    """As an edge sends it: with its lease and the provider's cost."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return encode(
        TokensUsed(**fields | {"lease_id": event.request.request_id, "provider_cost_nano": event.amount_nano})
    )


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, values: Sequence[bytes]) -> None:
    batch = producer.create_batch()
    for value in values:
        if batch.append(key=None, value=value, timestamp=None) is None:
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=None, value=value, timestamp=None)
    await (await producer.send_batch(batch, topic, partition=partition))


async def drain(world: World, rows: int) -> tuple[float, float]:
    """Seconds of CPU and of the clock until every event is a durable row."""
    consumer = create_consumer(world.bootstrap, world.prefix)
    letters = DeadLetters(world.producer, world.prefix, consumer.group)
    handler = create_handler(world.bootstrap, consumer, world.client, letters, Catalogue(world.pool))
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    task = asyncio.create_task(consumer.run(handler))
    while await _count(world.client, "charges") < rows:
        if task.done():
            task.result()
        await asyncio.sleep(POLL_S)
    measured = time.process_time() - cpu_s, time.perf_counter() - wall_s
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return measured


async def copy(client: AsyncClient, rows: int) -> float:
    """Seconds that the engine takes for the same rows, by itself, into a table like the first."""
    await client.command("CREATE TABLE charges_again AS charges")
    began = time.perf_counter()
    await client.command("INSERT INTO charges_again SELECT * FROM charges", settings={"max_insert_threads": 1})
    copied_s = time.perf_counter() - began
    assert await _count(client, "charges_again") == rows
    return copied_s


async def _count(client: AsyncClient, table: str) -> int:
    found = await client.query("SELECT count() FROM {table:Identifier}", parameters={"table": table})
    return int(found.result_rows[0][0])


async def measure() -> list[Figure]:
    async with created(find_engines()) as world:
        await fill(world, ROWS)
        cpu_s, wall_s = await drain(world, ROWS)
        copied_s = await copy(world.client, ROWS)
    return [
        Figure("charge rows through the sink, decoding and rating included", ROWS / cpu_s, "a CPU second", GOAL),
        Figure("… as it ran, one pause a second included", ROWS / wall_s, "a second"),
        Figure("… the engine's own INSERT … SELECT of the same rows", ROWS / copied_s, "a second"),
    ]
