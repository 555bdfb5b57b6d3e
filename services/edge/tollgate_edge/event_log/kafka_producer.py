"""A producer that sends events to Kafka in whole batches, and reports for each batch whether all replicas have it.

It uses aiokafka's connections, but not its producer; see
docs/decisions/0017-send-edge-events-with-a-producer-of-our-own.md for the reasons. Guarantee: it is idempotent, so a
resent batch is appended once, and no batch of a partition is sent before the previous one is acknowledged.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    DuplicateSequenceNumber,
    KafkaError,
    NodeNotReadyError,
    NoError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tollgate_common.kafka.brokers import Brokers
from tollgate_common.retries import backoff
from tollgate_edge.event_log.spool import Entry

log = logging.getLogger(__name__)

# Timeouts to connect and to close.
CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0
# Timeout of a single request. Callers set their own timeout for all requests of a call.
REQUEST_TIMEOUT_MS = 30_000
# Between two attempts after a retriable error. Short: requests wait for the acknowledgement.
FIRST_DELAY_S, MAX_DELAY_S = 0.02, 0.2
MAX_BATCH_BYTES = 256 << 10
# Minimum number of events to compress. For fewer, compression costs more time than it saves.
MIN_COMPRESSED = 8
_ALL_REPLICAS = -1
_MAGIC, _UNCOMPRESSED, _ZSTD = 2, 0, 4
_SEQUENCES = 1 << 31


class _Batch:
    """Events of one partition. A resent batch has the same bytes, by which the broker recognizes it."""

    __slots__ = ("data", "entries", "is_acknowledged", "partition")

    def __init__(self, partition: TopicPartition, entries: Sequence[Entry], data: bytes) -> None:
        self.partition = partition
        self.entries = entries
        self.data = data
        self.is_acknowledged = False


class Producer:
    """An idempotent producer. After `send` has returned unacknowledged events, close it and connect a new one."""

    def __init__(self, client: AIOKafkaClient, producer_id: int, epoch: int) -> None:
        """Use the client's connections. `connect` builds a producer."""
        self._client = client
        self._producer_id = producer_id
        self._epoch = epoch
        # The sequence number of the next record, by which the broker detects duplicates.
        self._sequences: defaultdict[TopicPartition, int] = defaultdict(int)

    @classmethod
    async def connect(cls, brokers: Brokers) -> Self:
        """Connect, and get a producer id from the brokers.

        Raises:
            KafkaError, TimeoutError: Kafka is unavailable.
        """
        client = AIOKafkaClient(**brokers.options, request_timeout_ms=REQUEST_TIMEOUT_MS)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.bootstrap()
                return cls(client, *await _introduce(client))
        except BaseException:
            await _let_go(client)
            raise

    async def close(self) -> None:
        await _let_go(self._client)

    async def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic.

        Raises:
            KafkaError: the topic does not exist, or access to it is denied.
        """
        await self._client.add_topic(topic)
        numbers = self._client.cluster.partitions_for_topic(topic)
        if topic in self._client.cluster.unauthorized_topics:
            raise TopicAuthorizationFailedError(topic)
        if not numbers:
            raise UnknownTopicOrPartitionError(topic)
        return len(numbers)

    async def send(self, prefix: str, entries: Sequence[Entry], timeout_s: float) -> Sequence[Entry]:
        """Send each event to its stamped partition. Return those that were not acknowledged in time, in order.

        Such events may still arrive later.
        """
        waiting: dict[TopicPartition, list[Entry]] = defaultdict(list)
        for entry in entries:
            waiting[TopicPartition(entry.topic.named(prefix), entry.partition)].append(entry)
        batches: list[_Batch] = []
        try:
            async with asyncio.timeout(timeout_s):
                while waiting:
                    batches = [self._next_batch(partition, group) for partition, group in waiting.items()]
                    await self._deliver(batches)
                    sent = {batch.partition: len(batch.entries) for batch in batches}
                    waiting = {key: rest for key, group in waiting.items() if (rest := group[sent[key] :])}
        except (KafkaError, TimeoutError) as error:
            log.warning("sending events to Kafka failed: %r", error)
            arrived = {batch.partition: len(batch.entries) for batch in batches if batch.is_acknowledged}
            left = {id(entry) for key, group in waiting.items() for entry in group[arrived.get(key, 0) :]}
            return [entry for entry in entries if id(entry) in left]
        return ()

    def _next_batch(self, partition: TopicPartition, entries: Sequence[Entry]) -> _Batch:
        """Return a batch of as many of the events as fit, at least one."""
        builder = DefaultRecordBatchBuilder(
            _MAGIC,
            _ZSTD if len(entries) >= MIN_COMPRESSED else _UNCOMPRESSED,
            is_transactional=0,
            producer_id=self._producer_id,
            producer_epoch=self._epoch,
            base_sequence=self._sequences[partition],
            batch_size=MAX_BATCH_BYTES,
        )
        number = 0
        for entry in entries:
            if builder.append(number, None, entry.key, entry.value, []) is None:
                break
            number += 1
        self._sequences[partition] = (self._sequences[partition] + number) % _SEQUENCES
        return _Batch(partition, entries[:number], builder.build())

    async def _deliver(self, batches: Sequence[_Batch]) -> None:
        """Send the batches until all are acknowledged.

        Raises:
            KafkaError: Kafka rejects a batch permanently.
        """
        delays = backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            await self._ask_leaders(batches)
            batches = [batch for batch in batches if not batch.is_acknowledged]
            if not batches:
                return
            await asyncio.sleep(next(delays))
            await self._client.force_metadata_update()

    async def _ask_leaders(self, batches: Sequence[_Batch]) -> None:
        led: defaultdict[int, list[_Batch]] = defaultdict(list)
        for batch in batches:
            leader = self._client.cluster.leader_for_partition(batch.partition)
            if leader is None or leader < 0:
                # The partition has no leader yet, or this client has no metadata of the topic.
                self._client.add_topic(batch.partition.topic)
            else:
                led[leader].append(batch)
        if len(led) == 1:
            ((leader, group),) = led.items()
            await self._produce(leader, group)
            return
        ended = await asyncio.gather(*(self._produce(*one) for one in led.items()), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    async def _produce(self, leader: int, batches: Sequence[_Batch]) -> None:
        """Send one request. A batch that Kafka rejects with a retriable error stays unacknowledged."""
        topics: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for batch in batches:
            topics[batch.partition.topic].append((batch.partition.partition, batch.data))
        request = ProduceRequest(
            required_acks=_ALL_REPLICAS, timeout=REQUEST_TIMEOUT_MS, topics=list(topics.items()), transactional_id=None
        )
        try:
            answer = await self._client.send(leader, request)
        except KafkaError as error:
            if not (error.retriable or isinstance(error, NodeNotReadyError)):
                raise
            log.warning("Kafka's node %s did not respond: %r", leader, error)
            return
        codes = {(topic, number): code for topic, partitions in answer.topics for number, code, *_ in partitions}
        for batch in batches:
            error_type = for_code(codes[batch.partition])
            if error_type in {NoError, DuplicateSequenceNumber}:
                batch.is_acknowledged = True
            elif error_type.retriable:
                log.warning("Kafka rejected events of %s; they are retried: %s", batch.partition, error_type.__name__)
            else:
                raise error_type(f"{batch.partition}")


async def _introduce(client: AIOKafkaClient) -> tuple[int, int]:
    """Get a producer id and its epoch from the brokers.

    Raises:
        KafkaError: the brokers reject the request.
    """
    request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=REQUEST_TIMEOUT_MS)
    delays = backoff(FIRST_DELAY_S, MAX_DELAY_S)
    while True:
        answer = await client.send(client.get_random_node(), request)
        error_type = for_code(answer.error_code)
        if error_type is NoError:
            return answer.producer_id, answer.producer_epoch
        if not error_type.retriable:
            raise error_type
        # For example, because the broker has just started.
        await asyncio.sleep(next(delays))


async def _let_go(client: AIOKafkaClient) -> None:
    """Close the connections. Do not wait longer for a broker that does not read."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await client.close()
