"""Rows per second from usage.v1 to durable rows of `charges`, the cost of each part, and the engine's cost of a copy.

It runs the service's consumer, sink and rating on a topic that is filled before.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from bench import sinks
from bench.engine import own_engine, until_up
from bench.money.figures import Figure
from clickhouse_connect.driver.asyncclient import AsyncClient

from billing.traffic import PARTITIONS, Edge
from engines.run import find_engines
from engines.stores import delete_topics, postgres_database, unique_name
from tollgate_billing.catalog import handlers, store
from tollgate_billing.catalog.rating import Catalog
from tollgate_billing.charges.consumer import charges_table
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.clock import utc_now
from tollgate_common.events import ModelRecord, PriceVersion, TokensUsed, encode
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.connection import Pool
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.topics import Topic, create_topics
from tollgate_local.engines import EngineAddresses

ACCOUNTS = [f"account-{number}" for number in range(50)]
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-5.4")
ROWS = 300_000


@dataclass(frozen=True)
class World:
    brokers: Brokers
    prefix: str
    pool: Pool
    client: AsyncClient
    engine: psutil.Process
    producer: KafkaProducer


@asynccontextmanager
async def created(engines: EngineAddresses) -> AsyncIterator[World]:
    """Create empty stores and topics, and drop them afterwards."""
    brokers, prefix = Brokers(engines.kafka_bootstrap), unique_name()
    async with AsyncExitStack() as stack:
        await create_topics(brokers, prefix, PARTITIONS, 1)
        stack.push_async_callback(delete_topics, brokers, prefix)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url, engine = stack.enter_context(own_engine(Path(folder)))
        dsn = stack.enter_context(postgres_database(engines.postgres_dsn))
        await until_up(url, "tollgate_billing")
        await migrate_postgres(dsn, "tollgate_common", "tollgate_billing")
        pool = await stack.enter_async_context(postgres.create_pool(dsn))
        await handlers.seed(pool, ["openai"], utc_now())
        client = await clickhouse.connect(url, timeout_s=600)
        stack.push_async_callback(client.close)
        producer = await stack.enter_async_context(create_producer(brokers))
        yield World(brokers, prefix, pool, client, engine, producer)


async def fill(world: World, rows: int) -> None:
    """Fill the topic with requests of several accounts and models, in the order of their sequence numbers."""
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
        await sinks.send(world.producer, Topic.USAGE.named(world.prefix), partition, values)


def _with_cost(event: TokensUsed) -> bytes:
    """Add the lease and the provider's cost, as an edge does."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return encode(
        TokensUsed(**fields | {"lease_id": event.request.request_id, "provider_cost_nano": event.amount_nano})
    )


async def measure() -> list[Figure]:
    async with created(find_engines()) as world:
        await fill(world, ROWS)
        costs = await sinks.costs(
            brokers=world.brokers,
            topics=[Topic.USAGE.named(world.prefix)],
            table=charges_table(Catalog(world.pool)),
            client=world.client,
            engine=world.engine,
            producer=world.producer,
            rows=ROWS,
        )
    sinks.show("charges", costs)
    block, copy, single = costs.block, costs.copy, costs.single
    return [
        Figure("charge rows through the sink, all of it included", ROWS / block.here_s, "a CPU second", sinks.GOAL),
        Figure("… as it ran", ROWS / block.wall_s, "a second"),
        Figure("… the engine's own INSERT … SELECT of the same rows", ROWS / copy.engine_s, "a CPU second"),
        Figure("… one message at a time", single.rows / single.here_s, "a CPU second"),
    ]
