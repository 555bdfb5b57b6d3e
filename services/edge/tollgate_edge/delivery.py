"""Sending events to Kafka: whole batches, and an answer for each whether all replicas have it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tollgate_common.producer import create_producer
from tollgate_edge.spool import Entry

# How long a producer may take to connect, and to let go.
CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0


class _Batch(NamedTuple):
    """One partition's batch."""

    entries: list[Entry]
    future: asyncio.Future[object]


async def connect(bootstrap: str) -> AIOKafkaProducer:
    """A started producer.

    Raises:
        KafkaError, TimeoutError: there is no Kafka that answers.
    """
    producer = create_producer(bootstrap)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await producer.start()
    except (KafkaError, TimeoutError):
        await producer.stop()
        raise
    return producer


async def send_all(producer: AIOKafkaProducer, prefix: str, entries: Sequence[Entry], timeout_s: float) -> list[Entry]:
    """Send the events, each to its stamped partition. Returns those that were not acknowledged in time, in order.

    These may arrive nevertheless, later. The producer is of no more use then: `abandon` it.
    """
    waiting: list[_Batch] = []
    groups: dict[tuple[str, int], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.topic.named(prefix), entry.partition), []).append(entry)
    with suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(timeout_s):
            for (topic, partition), group in groups.items():
                await _send_group(producer, topic, partition, group, waiting)
            await asyncio.wait([batch.future for batch in waiting])
    acknowledged = {id(entry) for batch in waiting if _is_acknowledged(batch.future) for entry in batch.entries}
    return [entry for entry in entries if id(entry) not in acknowledged]


async def _send_group(
    producer: AIOKafkaProducer, topic: str, partition: int, group: Sequence[Entry], waiting: list[_Batch]
) -> None:
    at = 0
    while at < len(group):
        builder, start = producer.create_batch(), at
        while at < len(group) and builder.append(timestamp=None, key=group[at].key, value=group[at].value) is not None:
            at += 1
        builder.close()
        future = await producer.send_batch(builder, topic, partition=partition)
        waiting.append(_Batch(list(group[start:at]), future))


def _is_acknowledged(future: asyncio.Future[object]) -> bool:
    if future.done():
        return not future.cancelled() and future.exception() is None
    # Nobody will ask for its result any more; without this, its failure would be reported as forgotten.
    future.cancel()
    return False


async def abandon(producer: AIOKafkaProducer) -> None:
    """Let go of a producer that cannot deliver, together with what it still holds."""
    # `stop` alone waits until everything is delivered, which may be never.
    producer._message_accumulator.fail_all(KafkaError("abandoned"))  # noqa: SLF001 - no public call drops batches
    with suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            # First, so that requests in flight fail at once: `stop` waits for them too.
            await producer.client.close()
            await producer.stop()
