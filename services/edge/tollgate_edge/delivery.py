"""Sending events to Kafka: whole batches, and an answer for each whether all replicas have it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from tollgate_common.producer import create_producer
from tollgate_edge.spool import Entry

# How long a producer may take to connect, and to let go.
CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0
_POLL_S = 0.05


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
    # Nobody will ask for its result any more; without this, a failure would be reported as forgotten.
    future.add_done_callback(lambda late: late.cancelled() or late.exception())
    return False


async def abandon(producer: AIOKafkaProducer) -> None:
    """Let go of a producer that may not be able to deliver, together with what it still holds.

    Its own `stop` waits until everything is delivered, which may be never, and it has no public call for less.
    """
    sender, batches = producer._sender, producer._message_accumulator  # noqa: SLF001 - see above
    with suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await _end_sending(producer.client, sender.sender_task)
            for batch in [*batches._pending_batches, *(one for some in batches._batches.values() for one in some)]:  # noqa: SLF001 - see above
                batch.done_noack()
            await producer.stop()


async def _end_sending(client: AIOKafkaClient, task: asyncio.Task[None] | None) -> None:
    """End the task that sends: told to, it waits for its requests in flight, and they for connections and metadata."""
    if task is None or task.done():
        return
    task.cancel()
    await client.close()
    while not task.done():
        metadata = client._md_update_fut  # noqa: SLF001 - see `abandon`; nobody else will fulfil it once it is closed
        if metadata is not None and not metadata.done():
            metadata.set_result(False)
        await asyncio.wait({task}, timeout=_POLL_S)
