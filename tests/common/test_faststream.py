"""What the FastStream adapter guarantees, on the real broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition

from tollgate_common.errors import Poison, Retryable
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaAdmin, KafkaConsumer
from tollgate_common.kafka.consumer import Batches
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.faststream import FastStreamConsumer
from tollgate_common.kafka.producer import create_producer
from tollgate_common.topics import Topic, create_topics
from waiting import PATIENCE_S, until

pytestmark = pytest.mark.engines

PARTITIONS = 2


class World:
    def __init__(self, brokers: Brokers, prefix: str) -> None:
        self.brokers, self.prefix = brokers, prefix
        self.topic, self.group = Topic.CREDITS.named(prefix), f"{prefix}.readers"
        self.handled: list[bytes | None] = []

    async def send(self, *values: bytes | None, partition: int = 0, **options: Any) -> None:
        async with create_producer(self.brokers) as producer:
            for value in values:
                await producer.send_and_wait(self.topic, value, b"key", partition=partition, **options)

    async def handle(self, batches: Batches) -> None:
        self.handled += [record.value for records in batches.values() for record in records]

    def consumer(
        self, handle: Callable[[Batches], Awaitable[None]] | None = None, **options: Any
    ) -> FastStreamConsumer:
        return FastStreamConsumer(self.brokers, self.group, [self.topic], handle or self.handle, **options)

    async def committed(self) -> dict[int, int]:
        admin = KafkaAdmin(**self.brokers.options)
        async with admin:
            offsets = await admin.list_consumer_group_offsets(self.group)
        return {partition.partition: found.offset for partition, found in offsets.items()}

    async def has_committed(self, expected: dict[int, int]) -> bool:
        return await self.committed() == expected


@pytest.fixture
async def world(brokers: Brokers, topic_prefix: str) -> World:
    await create_topics(brokers, topic_prefix, partitions=PARTITIONS, replication=1)
    return World(brokers, topic_prefix)


@asynccontextmanager
async def running(consumer: FastStreamConsumer) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(consumer.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("max_records", [1, 100])
async def test_offsets_are_committed_for_each_partition_after_the_handler(world: World, max_records: int) -> None:
    await world.send(b"a", b"b", partition=0, headers=[("bad", b"\xff\xfe")])
    await world.send(b"c", partition=1)
    release = asyncio.Event()

    async def handle(batches: Batches) -> None:
        await release.wait()
        await world.handle(batches)

    consumer = world.consumer(handle, max_records=max_records)
    async with running(consumer) as task:
        await until(lambda: consumer._busy_since is not None, working=[task])
        assert await world.committed() == {}
        assert consumer.waiting_for() is None
        release.set()
        await until(lambda: world.has_committed({0: 2, 1: 1}), working=[task])
    assert sorted(filter(None, world.handled)) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("max_records", [1, 100])
async def test_a_transient_error_makes_the_partition_wait(world: World, max_records: int) -> None:
    await world.send(b"a", b"b")
    failures = 2

    async def handle(batches: Batches) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise Retryable("the store is unavailable")
        await world.handle(batches)

    async with running(world.consumer(handle, max_records=max_records)) as task:
        await until(lambda: world.has_committed({0: 2}), working=[task])
    assert world.handled == [b"a", b"b"]


@pytest.mark.parametrize("max_records", [1, 100])
async def test_any_other_error_ends_the_consumer_without_a_commit(world: World, max_records: int) -> None:
    await world.send(b"a", b"b")

    async def handle(_batches: Batches) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await asyncio.wait_for(world.consumer(handle, max_records=max_records).run(), PATIENCE_S)
    assert await world.committed() == {}
    async with running(world.consumer(max_records=max_records)) as task:
        await until(lambda: world.handled == [b"a", b"b"], working=[task])


async def test_poison_goes_to_the_dead_letters(world: World) -> None:
    await world.send(b"bad", None, b"good")

    async def handle(batches: Batches) -> None:
        for records in batches.values():
            if records[0].value != b"good":
                raise Poison(f"{records[0].value!r} is not good")
        await world.handle(batches)

    async with create_producer(world.brokers) as producer:
        dead_letters = DeadLetters(producer, world.prefix, world.group)
        async with running(world.consumer(handle, dead_letters=dead_letters)) as task:
            await until(lambda: world.has_committed({0: 3}), working=[task])
    assert world.handled == [b"good"]
    partition = TopicPartition(Topic.CREDITS.dead_letters(world.prefix), 0)
    async with KafkaConsumer(**world.brokers.options) as reader:
        reader.assign([partition])
        reader.seek(partition, 0)
        letters = [await asyncio.wait_for(reader.getone(), PATIENCE_S) for _ in range(2)]
    assert [letter.value for letter in letters] == [b"bad", None]
    assert [dict(letter.headers)["reason"] for letter in letters] == [b"b'bad' is not good", b"None is not good"]


async def test_poison_without_dead_letters_ends_the_consumer(world: World) -> None:
    await world.send(b"bad")

    async def handle(_batches: Batches) -> None:
        raise Poison("bad")

    with pytest.raises(Poison, match="bad"):
        await asyncio.wait_for(world.consumer(handle).run(), PATIENCE_S)
    assert await world.committed() == {}


async def test_a_handler_that_stores_its_position_is_resumed_there(world: World) -> None:
    await world.send(b"a", b"b", b"c")
    failures = 1

    async def resume_at(partition: TopicPartition) -> int:
        nonlocal failures
        if failures:
            failures -= 1
            raise Retryable("the store is unavailable")
        return 1 if partition.partition == 0 else 0

    async with running(world.consumer(resume_at=resume_at, max_records=100)) as task:
        await until(lambda: len(world.handled) == 2, working=[task])
        await world.send(b"d", partition=1)
        await until(lambda: len(world.handled) == 3, working=[task])
    assert world.handled == [b"b", b"c", b"d"]
    assert await world.committed() == {}


async def test_an_unreadable_position_ends_the_consumer(world: World) -> None:
    async def resume_at(_partition: TopicPartition) -> int:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await asyncio.wait_for(world.consumer(resume_at=resume_at).run(), PATIENCE_S)


async def test_a_rebalance_waits_for_the_batch(world: World) -> None:
    """Otherwise the next owner would start at the offset before the batch, and handle it a second time."""
    await world.send(b"a", partition=0)
    await world.send(b"b", partition=1)
    entered, release = asyncio.Event(), asyncio.Event()

    async def handle(batches: Batches) -> None:
        entered.set()
        await release.wait()
        await world.handle(batches)

    async with running(world.consumer(handle, max_records=100)) as first:
        await asyncio.wait_for(entered.wait(), PATIENCE_S)
        second = world.consumer(max_records=100)
        async with running(second) as other:
            await asyncio.sleep(1.0)
            assert second.waiting_for() is not None
            release.set()
            await until(lambda: second.waiting_for() is None, working=[first, other])
            await until(lambda: len(world.handled) >= 2, working=[first, other])
            await until(lambda: world.has_committed({0: 1, 1: 1}), working=[first, other])
    assert sorted(filter(None, world.handled)) == [b"a", b"b"]
