"""Outbox and compacted-topic cache together, on the real engines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from tollgate_common.errors import Retryable
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.kafka.compacted import VERSION_HEADER, CompactedTopic
from tollgate_common.kafka.producer import create_producer
from tollgate_common.kafka.records import Record
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres import outbox
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.postgres.outbox import Message, Publisher
from tollgate_common.topics import Topic, create_topics
from waiting import PATIENCE_S, until

pytestmark = pytest.mark.engines


class World:
    def __init__(self, brokers: Brokers, prefix: str, dsn: str) -> None:
        self.brokers, self.prefix, self.dsn = brokers, prefix, dsn
        self.cache: dict[str, bytes | None] = {}

    async def add(self, *messages: Message) -> None:
        async with await postgres.connect(self.dsn) as connection, connection.transaction():
            for message in messages:
                await outbox.add(connection, message)

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        async with running(Publisher(self.brokers, self.dsn, self.prefix, "test").run()):
            yield

    @asynccontextmanager
    async def caching(self) -> AsyncIterator[CompactedTopic]:
        def apply(key: str, value: bytes | None) -> None:
            self.cache[key] = value

        topic = CompactedTopic(self.brokers, Topic.KEYS.named(self.prefix), apply)
        async with running(topic.run()):
            await until(lambda: topic.waiting_for() is None)
            yield topic

    async def read(self, topic: Topic) -> list[Record]:
        """All records of a topic with one partition."""
        reader = KafkaConsumer(**self.brokers.options, isolation_level="read_committed")
        await reader.start()
        try:
            partition = TopicPartition(topic.named(self.prefix), 0)
            reader.assign([partition])
            await reader.seek_to_beginning(partition)
            [end] = (await reader.end_offsets([partition])).values()
            found: list[Record] = []
            async with asyncio.timeout(PATIENCE_S):
                while await reader.position(partition) < end:
                    found += (await reader.getmany(partition, timeout_ms=200)).get(partition, ())
            return found
        finally:
            await reader.stop()

    async def values(self, topic: Topic) -> list[bytes | None]:
        return [record.value for record in await self.read(topic)]

    async def outbox_is_empty(self) -> bool:
        async with await postgres.connect(self.dsn) as connection:
            row = await (await connection.execute("SELECT count(*) AS count FROM outbox")).fetchone()
        return row is not None and row["count"] == 0


@asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def key(name: str, version: int, payload: bytes | None) -> Message:
    return Message(Topic.KEYS, name, version, payload)


@pytest.fixture
async def world(brokers: Brokers, topic_prefix: str, postgres_dsn: str) -> World:
    await create_topics(brokers, topic_prefix, 1, 1)
    await migrate_postgres(postgres_dsn, "tollgate_common")
    return World(brokers, topic_prefix, postgres_dsn)


async def test_what_is_committed_reaches_the_cache(world: World) -> None:
    await world.add(key("a", 1, b"one"), key("b", 1, b"uno"))
    async with world.publishing(), world.caching():
        await until(lambda: world.cache == {"a": b"one", "b": b"uno"})
        await world.add(key("a", 2, None))
        await until(lambda: world.cache == {"a": None, "b": b"uno"})
    assert await world.outbox_is_empty()


async def test_what_is_rolled_back_reaches_nobody(world: World) -> None:
    async with await postgres.connect(world.dsn) as connection, connection.transaction(force_rollback=True):
        await outbox.add(connection, key("never", 1, b"x"))
    await world.add(key("marker", 1, b"x"))
    async with world.publishing(), world.caching():
        await until(lambda: "marker" in world.cache)
    assert "never" not in world.cache


async def test_an_older_version_is_ignored(world: World) -> None:
    """A publisher that dies between Kafka's commit and its delete sends again; the cache must not go back."""
    await world.add(key("a", 2, None), key("a", 1, b"revoked since"), key("marker", 1, b"x"))
    async with world.publishing(), world.caching():
        await until(lambda: "marker" in world.cache)
    assert world.cache["a"] is None


async def test_only_the_newest_of_a_key_that_waits_is_published(world: World) -> None:
    """Of a compacted topic; of the others every message counts."""
    credit = [Message(Topic.CREDITS, "a", version, b"%d" % version) for version in (1, 2)]
    await world.add(key("a", 1, b"one"), key("b", 1, b"uno"), *credit, key("a", 3, b"three"), key("a", 2, b"two"))
    async with world.publishing(), world.caching():
        await until(lambda: "a" in world.cache)
    assert await world.values(Topic.KEYS) == [b"three", b"uno"]
    assert await world.values(Topic.CREDITS) == [b"1", b"2"]
    assert await world.outbox_is_empty()


async def test_a_zombie_publisher_cannot_write(world: World) -> None:
    zombie = create_producer(world.brokers, transactional_id=f"{world.prefix}.outbox.test")
    await zombie.start()
    try:
        await world.add(key("a", 1, b"x"))
        async with world.publishing(), world.caching():
            await until(lambda: "a" in world.cache)
        with pytest.raises(KafkaError):
            async with zombie.transaction():
                await zombie.send_and_wait(Topic.KEYS.named(world.prefix), b"stale", b"a")
    finally:
        await zombie.stop()
    world.cache.clear()
    async with world.caching():
        assert world.cache == {"a": b"x"}


async def test_of_two_publishers_one_works_and_the_other_takes_over(world: World) -> None:
    async with world.caching():
        async with world.publishing():
            await world.add(key("a", 1, b"x"))
            await until(lambda: "a" in world.cache)
            waiting = asyncio.ensure_future(Publisher(world.brokers, world.dsn, world.prefix, "test").run())
            await world.add(key("b", 1, b"x"))
            await until(lambda: "b" in world.cache)
        await world.add(key("c", 1, b"x"))
        await until(lambda: "c" in world.cache)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_messages_carry_their_version(world: World) -> None:
    await world.add(key("a", 7, b"x"))
    async with world.publishing(), world.caching():
        await until(lambda: "a" in world.cache)
    [message] = await world.read(Topic.KEYS)
    assert dict(message.headers)[VERSION_HEADER] == b"7"


async def test_a_topic_that_does_not_exist_is_named(brokers: Brokers, topic_prefix: str) -> None:
    missing = CompactedTopic(brokers, f"{topic_prefix}.keys.v1", lambda _key, _value: None)
    with pytest.raises(Retryable, match=r"keys\.v1 does not exist; create it"):
        await asyncio.wait_for(missing.run(), PATIENCE_S)
