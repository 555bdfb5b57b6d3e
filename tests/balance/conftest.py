from collections.abc import AsyncIterator

import pytest

from balance.world import PARTITIONS, BalanceDatabase, World, open_pool
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres.connection import Pool
from tollgate_common.topics import create_topics


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[Pool]:
    """A migrated database."""
    pool = await open_pool(postgres_dsn)
    yield pool
    await pool.close()


@pytest.fixture
def books(postgres_dsn: str, pool: Pool) -> BalanceDatabase:
    return BalanceDatabase(postgres_dsn, pool)


@pytest.fixture
async def world(brokers: Brokers, topic_prefix: str, postgres_dsn: str, pool: Pool) -> AsyncIterator[World]:
    await create_topics(brokers, topic_prefix, PARTITIONS, 1)
    producer = create_producer(brokers)
    await producer.start()
    yield World(postgres_dsn, pool, brokers, topic_prefix, producer)
    await producer.stop()
