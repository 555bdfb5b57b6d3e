"""Sending events to Kafka: whole batches, and an answer for each whether all replicas have it."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from tollgate_common.producer import create_producer
from tollgate_common.topics import Topic
from tollgate_edge.spool import Entry

log = logging.getLogger(__name__)

# How long a producer may take to connect, and to let go.
CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0
_POLL_S = 0.05


class _Batch(NamedTuple):
    """Events of one partition that are on their way."""

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
    except BaseException:
        await producer.stop()
        raise
    return producer


async def send_all(
    producer: AIOKafkaProducer, prefix: str, entries: Sequence[Entry], timeout_s: float
) -> Sequence[Entry]:
    """Send the events, each to its stamped partition. Returns those that were not acknowledged in time, in order.

    They may arrive nevertheless, later. The producer is of no more use then: `abandon` it.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    unsent: Sequence[Entry] = entries
    while unsent:
        # One batch a partition at a time: none may arrive before an earlier one that fails.
        failed, unsent = await _send_round(producer, prefix, unsent, deadline)
        if failed:
            left = {id(entry) for entry in (*failed, *unsent)}
            return [entry for entry in entries if id(entry) in left]
    return ()


async def _send_round(
    producer: AIOKafkaProducer, prefix: str, entries: Sequence[Entry], deadline: float
) -> tuple[list[Entry], list[Entry]]:
    """Send what fits into one batch a partition. Returns the events that failed, and those that did not fit."""
    groups: dict[tuple[Topic, int], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.topic, entry.partition), []).append(entry)
    sent: list[_Batch] = []
    unsent: list[Entry] = []
    try:
        async with asyncio.timeout_at(deadline):
            for (topic, partition), group in groups.items():
                builder = producer.create_batch()
                fitting = _fill(builder, group)
                future = await producer.send_batch(builder, topic.named(prefix), partition=partition)
                sent.append(_Batch(group[:fitting], future))
                unsent += group[fitting:]
            await asyncio.wait([batch.future for batch in sent])
    except (KafkaError, TimeoutError) as error:
        log.warning("Kafka did not take events: %r", error)
    arrived = [batch for batch in sent if _is_acknowledged(batch.future)]
    if len(arrived) == len(groups) and not unsent:
        return [], []
    acknowledged = {id(entry) for batch in arrived for entry in batch.entries}
    acknowledged.update(map(id, unsent))
    return [entry for entry in entries if id(entry) not in acknowledged], unsent


def _fill(builder: BatchBuilder, group: Sequence[Entry]) -> int:
    """Put in as many events as fit, at least one. Returns their number."""
    for number, entry in enumerate(group):
        if builder.append(timestamp=None, key=entry.key, value=entry.value) is None:
            return number
    builder.close()
    return len(group)


def _is_acknowledged(future: asyncio.Future[object]) -> bool:
    if not future.done():
        # Nobody will ask for its result any more; without this, a failure would be reported as forgotten.
        future.add_done_callback(lambda late: late.cancelled() or late.exception())
        return False
    if future.cancelled():
        return False
    error = future.exception()
    if error is not None:
        log.warning("Kafka refused events: %r", error)
    return error is None


async def abandon(producer: AIOKafkaProducer) -> None:
    """Let go of a producer that may not be able to deliver, together with what it still holds.

    Its own `stop` waits until everything is delivered, which may be never, and it has no public call for less.
    """
    sender, batches = producer._sender, producer._message_accumulator  # noqa: SLF001 - see above
    with suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await _end_sending(producer.client, sender.sender_task)
            # Those to be tried again too: its callbacks look for each batch that ends among the pending ones.
            pending = batches._pending_batches  # noqa: SLF001 - see above
            pending.update(batch for waiting in batches._batches.values() for batch in waiting)  # noqa: SLF001 - see above
            for batch in tuple(pending):
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
