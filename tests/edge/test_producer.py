"""Each event arrives once and in order, however often it had to be sent, on the real broker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from aiokafka.protocol.produce import ProduceRequest

from tollgate_common.kafka.brokers import Brokers
from tollgate_common.topics import Topic, create_topics
from tollgate_edge.event_log.kafka_producer import MAX_BATCH_BYTES, MIN_COMPRESSED, Producer
from tollgate_edge.event_log.spool import Entry
from waiting import PATIENCE_S

pytestmark = pytest.mark.engines


@pytest.fixture
async def producer(brokers: Brokers, topic_prefix: str) -> AsyncIterator[Producer]:
    await create_topics(brokers, topic_prefix, partitions=2, replication=1)
    for partition in (0, 1):
        # Answered once it is led: what comes sooner is refused for the moment, and the tests count requests.
        assert not await arrived(brokers, topic_prefix, partition)
    connected = await Producer.connect(brokers)
    yield connected
    await connected.close()


def entries(count: int, *, size: int = 600, partition: int = 0) -> list[Entry]:
    return [Entry(Topic.USAGE, partition, seq, b"account", b"%d " % seq + b"x" * size) for seq in range(count)]


async def arrived(brokers: Brokers, prefix: str, partition: int = 0) -> list[bytes]:
    consumer = AIOKafkaConsumer(**brokers.options, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        place = TopicPartition(Topic.USAGE.named(prefix), partition)
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        values: list[bytes] = []
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(place, timeout_ms=1000)).values():
                values += [record.value for record in records]
        return values
    finally:
        await consumer.stop()


@pytest.mark.parametrize("count", [1, MIN_COMPRESSED - 1, MIN_COMPRESSED, 500])
async def test_few_events_and_many_arrive_in_order(
    producer: Producer, brokers: Brokers, topic_prefix: str, count: int
) -> None:
    for partition in (0, 1):
        sent = entries(count, partition=partition)
        assert not await producer.send(topic_prefix, sent, PATIENCE_S)
        assert await arrived(brokers, topic_prefix, partition) == [entry.value for entry in sent]


async def test_what_does_not_fit_into_one_batch_follows_in_the_next(
    producer: Producer, brokers: Brokers, topic_prefix: str
) -> None:
    sent = entries(5, size=MAX_BATCH_BYTES // 2) + entries(3, partition=1)
    assert not await producer.send(topic_prefix, sent, PATIENCE_S)
    assert await arrived(brokers, topic_prefix) == [entry.value for entry in sent[:5]]
    assert await arrived(brokers, topic_prefix, 1) == [entry.value for entry in sent[5:]]


Send = Callable[..., Awaitable[Any]]


def fail_first_answer(monkeypatch: pytest.MonkeyPatch, producer: Producer, error: KafkaError) -> list[int]:
    """Have the first produce request arrive and its answer get lost. Returns where each request will be counted."""
    send: Send = producer._client.send
    requests: list[int] = []

    async def send_and_lose(node_id: int, request: Any) -> Any:
        answer = await send(node_id, request)
        if isinstance(request, ProduceRequest):
            requests.append(node_id)
            if len(requests) == 1:
                raise error
        return answer

    monkeypatch.setattr(producer._client, "send", send_and_lose)
    return requests


async def test_a_batch_whose_acknowledgement_was_lost_is_sent_again_and_appended_once(
    producer: Producer, brokers: Brokers, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = fail_first_answer(monkeypatch, producer, KafkaConnectionError("lost"))
    sent = entries(4)
    assert not await producer.send(topic_prefix, sent, PATIENCE_S)
    assert len(requests) == 2
    assert not await producer.send(topic_prefix, sent[:1], PATIENCE_S), "and the next is in its place"
    assert await arrived(brokers, topic_prefix) == [entry.value for entry in (*sent, sent[0])]


async def test_what_no_repetition_would_mend_is_given_back_at_once(
    producer: Producer, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = fail_first_answer(monkeypatch, producer, MessageSizeTooLargeError("lost"))
    sent = entries(4)
    assert await producer.send(topic_prefix, sent, PATIENCE_S) == sent
    assert len(requests) == 1


async def test_what_the_broker_refuses_is_given_back(producer: Producer, topic_prefix: str) -> None:
    good, too_large = entries(1), entries(1, size=2 << 20, partition=1)
    assert await producer.send(topic_prefix, good + too_large, PATIENCE_S) == too_large


async def test_a_topic_that_is_not_there_is_waited_for_until_the_time_is_over(
    producer: Producer, topic_prefix: str
) -> None:
    sent = entries(1)
    assert await producer.send(f"{topic_prefix}-other", sent, 0.5) == sent
    with pytest.raises(KafkaError):
        await producer.partitions(Topic.USAGE.named(f"{topic_prefix}-other"))
