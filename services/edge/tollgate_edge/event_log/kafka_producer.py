"""Sends events to Kafka in whole batches, and reports for each batch whether all replicas have it.

It uses aiokafka's connections, but not its producer; the reasons are in
docs/decisions/0017-send-edge-events-with-a-producer-of-our-own.md. Guarantee: it is idempotent, so a batch that is sent
again is appended once, and no batch of a partition leaves before the one before it is acknowledged.
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

# How long a producer may take to connect, and to let go.
CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0
# For a single request, in milliseconds; callers set a time-out of their own for all of them.
REQUEST_TIMEOUT_MS = 30_000
# Between two attempts after a retriable error. Short: requests wait for the acknowledgement.
FIRST_DELAY_S, MAX_DELAY_S = 0.02, 0.2
MAX_BATCH_BYTES = 256 << 10
# To compress fewer costs more time, here and at the broker, than it saves.
MIN_COMPRESSED = 8
_ALL_REPLICAS = -1
_MAGIC, _UNCOMPRESSED, _ZSTD = 2, 0, 4
_SEQUENCES = 1 << 31


class _Batch:
    """Events of one partition. Its bytes stay the same however often it is sent: by them the broker knows it again."""

    __slots__ = ("data", "entries", "is_acknowledged", "partition")

    def __init__(self, partition: TopicPartition, entries: Sequence[Entry], data: bytes) -> None:
        self.partition = partition
        self.entries = entries
        self.data = data
        self.is_acknowledged = False


class Producer:
    """Of no more use once `send` left something unacknowledged: close it, and start another."""

    def __init__(self, client: AIOKafkaClient, producer_id: int, epoch: int) -> None:
        """Send over the client's connections; `connect` makes one of these."""
        self._client = client
        self._producer_id = producer_id
        self._epoch = epoch
        # The next record's number, by which the broker knows what it already has.
        self._sequences: defaultdict[TopicPartition, int] = defaultdict(int)

    @classmethod
    async def connect(cls, brokers: Brokers) -> Self:
        """A producer that is known to the brokers.

        Raises:
            KafkaError, TimeoutError: there is no Kafka that answers.
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
        """How many partitions a topic has.

        Raises:
            KafkaError: there is no such topic, or no right to it.
        """
        await self._client.add_topic(topic)
        numbers = self._client.cluster.partitions_for_topic(topic)
        if topic in self._client.cluster.unauthorized_topics:
            raise TopicAuthorizationFailedError(topic)
        if not numbers:
            raise UnknownTopicOrPartitionError(topic)
        return len(numbers)

    async def send(self, prefix: str, entries: Sequence[Entry], timeout_s: float) -> Sequence[Entry]:
        """Send the events, each to its stamped partition. Returns those that were not acknowledged in time, in order.

        They may arrive nevertheless, later.
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
            log.warning("Kafka did not take events: %r", error)
            arrived = {batch.partition: len(batch.entries) for batch in batches if batch.is_acknowledged}
            left = {id(entry) for key, group in waiting.items() for entry in group[arrived.get(key, 0) :]}
            return [entry for entry in entries if id(entry) in left]
        return ()

    def _next_batch(self, partition: TopicPartition, entries: Sequence[Entry]) -> _Batch:
        """As many of the events as fit, one at least."""
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
        """Return when all are acknowledged.

        Raises:
            KafkaError: one never will be.
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
                # Of none yet, or of a topic that this client has not heard of.
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
        """One request. What was refused for the moment is left unacknowledged."""
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
            log.warning("Kafka's node %s did not answer: %r", leader, error)
            return
        codes = {(topic, number): code for topic, partitions in answer.topics for number, code, *_ in partitions}
        for batch in batches:
            error_type = for_code(codes[batch.partition])
            if error_type in {NoError, DuplicateSequenceNumber}:
                batch.is_acknowledged = True
            elif error_type.retriable:
                log.warning("Kafka refused events of %s for the moment: %s", batch.partition, error_type.__name__)
            else:
                raise error_type(f"{batch.partition}")


async def _introduce(client: AIOKafkaClient) -> tuple[int, int]:
    """The id and the epoch by which the brokers know this producer.

    Raises:
        KafkaError: they do not give one.
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
        # It has just started, for example.
        await asyncio.sleep(next(delays))


async def _let_go(client: AIOKafkaClient) -> None:
    """Close the connections, without waiting for a broker that hangs to read what is left."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await client.close()
