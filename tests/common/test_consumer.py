"""What a member of a consumer group may commit, on the real broker."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from tollgate_common.errors import Fenced
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaAdmin, KafkaConsumer
from tollgate_common.kafka.consumer import Batches, Consumer
from tollgate_common.kafka.producer import create_producer
from tollgate_common.kafka.records import Record, lighten
from tollgate_common.topics import Topic, create_topics
from waiting import PATIENCE_S

pytestmark = pytest.mark.engines


class Sleeper:
    """A handler that is paused in the middle of its first batch, and commits it when it wakes up."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.fell_asleep, self.woke_up = asyncio.Event(), asyncio.Event()
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def assigned(self, _partition: TopicPartition) -> int:
        return 0

    async def handle(self, batches: Batches) -> None:
        self.fell_asleep.set()
        await self.woke_up.wait()
        try:
            await self._consumer.commit({partition: OffsetAndMetadata(1, "") for partition in batches})
        except Fenced as error:
            self.outcome.set_result(str(error))
            raise
        self.outcome.set_result("accepted")

    def revoked(self, partitions: set[TopicPartition]) -> None:
        pass


async def test_an_expelled_member_cannot_commit_to_a_group_that_nobody_is_in(
    brokers: Brokers, topic_prefix: str
) -> None:
    """Its successors came, committed and went while it slept; without a generation the broker would take its commit."""
    await create_topics(brokers, topic_prefix, partitions=1, replication=1)
    topic, group = Topic.USAGE.named(topic_prefix), f"{topic_prefix}.sleepers"
    async with create_producer(brokers) as producer:
        await producer.send_and_wait(topic, b"x")
    consumer = Consumer(brokers, group, [topic])
    sleeper = Sleeper(consumer)
    running = asyncio.create_task(consumer.run(sleeper))
    try:
        await asyncio.wait_for(sleeper.fell_asleep.wait(), PATIENCE_S)
        # What its heartbeat does when the broker no longer knows it, or when it has not polled for minutes.
        await consumer._kafka._coordinator._maybe_leave_group()
        await successor_commits(brokers, group, topic, 7)
        sleeper.woke_up.set()
        assert "commit rejected" in await asyncio.wait_for(sleeper.outcome, PATIENCE_S)
        assert await committed(brokers, group, TopicPartition(topic, 0)) == 7
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Idler:
    """A handler that never commits, as one of a partition that no record ever comes to."""

    def __init__(self) -> None:
        self.assignments = 0

    async def assigned(self, _partition: TopicPartition) -> int:
        self.assignments += 1
        return 0

    async def handle(self, _batches: Batches) -> None:
        raise AssertionError("there are no records")

    def revoked(self, partitions: set[TopicPartition]) -> None:
        pass


async def test_members_come_and_go_before_anything_was_committed(brokers: Brokers, topic_prefix: str) -> None:
    """Each rebalance meets a member that is just reading, and the client then knows no offset of a partition."""
    await create_topics(brokers, topic_prefix, partitions=4, replication=1)
    topic, group = Topic.USAGE.named(topic_prefix), f"{topic_prefix}.idlers"
    idler = Idler()
    running = asyncio.create_task(Consumer(brokers, group, [topic]).run(idler))
    try:
        for _ in range(4):
            before = idler.assignments
            other = KafkaConsumer(topic, **brokers.options, group_id=group, enable_auto_commit=False)
            async with other:
                while not other.assignment():
                    await asyncio.sleep(0.02)
            async with asyncio.timeout(PATIENCE_S):
                while idler.assignments < before + 4 and not running.done():
                    await asyncio.sleep(0.02)
            assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Collector:
    """A handler that takes note of its batches."""

    def __init__(self, records: int) -> None:
        self._left = records
        self.sizes: list[int] = []
        self.done = asyncio.Event()

    async def assigned(self, _partition: TopicPartition) -> int:
        return 0

    async def handle(self, batches: Batches) -> None:
        self.sizes.append(sum(map(len, batches.values())))
        self._left -= self.sizes[-1]
        if self._left <= 0:
            self.done.set()

    def revoked(self, partitions: set[TopicPartition]) -> None:
        pass


async def test_a_full_batch_is_followed_by_the_next_without_a_pause(brokers: Brokers, topic_prefix: str) -> None:
    await create_topics(brokers, topic_prefix, partitions=1, replication=1)
    topic = Topic.USAGE.named(topic_prefix)
    async with create_producer(brokers) as producer:
        for number in range(20):
            await producer.send(topic, b"%d" % number)
        await producer.flush()
    collector = Collector(20)
    consumer = Consumer(brokers, f"{topic_prefix}.collectors", [topic], linger_s=3_600, max_records=5)
    running = asyncio.create_task(consumer.run(collector))
    try:
        await asyncio.wait_for(collector.done.wait(), PATIENCE_S)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert collector.sizes == [5, 5, 5, 5]


async def test_records_are_light(brokers: Brokers, topic_prefix: str) -> None:
    """`lighten` knows aiokafka's insides, which may change."""
    await create_topics(brokers, topic_prefix, partitions=1, replication=1)
    topic = Topic.USAGE.named(topic_prefix)
    async with create_producer(brokers) as producer:
        sent = [
            await producer.send_and_wait(topic, b"value", b"key", headers=[("name", b"x")]),
            await producer.send_and_wait(topic, None, b"key"),
        ]
    async with KafkaConsumer(**brokers.options) as kafka:
        lighten(kafka)
        kafka.assign([TopicPartition(topic, 0)])
        kafka.seek(TopicPartition(topic, 0), 0)
        found = await kafka.getmany(timeout_ms=30_000)
    assert found[TopicPartition(topic, 0)] == [
        Record(topic, 0, 0, sent[0].timestamp, b"key", b"value", (("name", b"x"),)),
        Record(topic, 0, 1, sent[1].timestamp, b"key", None),
    ]


async def successor_commits(brokers: Brokers, group: str, topic: str, offset: int) -> None:
    successor = KafkaConsumer(topic, **brokers.options, group_id=group, enable_auto_commit=False)
    async with successor:
        await successor.commit({TopicPartition(topic, 0): offset})


async def committed(brokers: Brokers, group: str, partition: TopicPartition) -> int:
    admin = KafkaAdmin(**brokers.options)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return int(offsets[partition].offset)
