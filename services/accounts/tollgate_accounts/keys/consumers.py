"""Binds `requests.v1` to when each key was used last.

Guarantee: a key's `last_used_at` is at most a little more than a minute behind its newest request, once the log has
been read. Crash window: between the write and the commit; the records are read again, and the newest moment stays.
Nothing is decided by it: it tells a person whether a key is still in use.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import psycopg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from tollgate_accounts.keys import store
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.consumer import Batches, Consumer
from tollgate_common.postgres.connection import Pool
from tollgate_common.topics import Topic

# A key that is used all the time is one write in this time, not one for each request.
WRITTEN_EVERY = timedelta(minutes=1)
LINGER_S = 2.0
RETRY_DELAY_S = 1.0
# In one write; a batch may hold more keys than one statement should lock.
KEYS_OF_A_WRITE = 1000


class _Request(msgspec.Struct):
    key_id: UUID


class _Event(msgspec.Struct):
    """As much of an event of a request as is needed here; heartbeats have no request."""

    at: datetime
    request: _Request | None = None


log = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(_Event)


class LastUse:
    def __init__(self, brokers: Brokers, prefix: str, pool: Pool) -> None:
        self._brokers = brokers
        self._prefix = prefix
        self._pool = pool

    async def run(self) -> None:
        """Consume until cancelled; a lost store is waited for, because nobody's sign-in depends on it."""
        while True:
            self._consumer = Consumer(
                self._brokers,
                f"{self._prefix}.accounts.last-use",
                [Topic.REQUESTS.named(self._prefix)],
                linger_s=LINGER_S,
            )
            try:
                await self._consumer.run(self)
            except (psycopg.OperationalError, KafkaError) as error:
                log.warning("last use of keys waits for its stores: %s", error)
            await asyncio.sleep(RETRY_DELAY_S)

    async def assigned(self, partition: TopicPartition) -> int:
        # The log keeps a week: what was committed may be gone by now.
        beginning = await self._consumer.beginning(partition)
        return max(beginning, await self._consumer.committed(partition) or 0)

    async def handle(self, batches: Batches) -> None:
        used = newest_uses(batches)
        ids = sorted(used)
        for start in range(0, len(ids), KEYS_OF_A_WRITE):
            part = {key_id: used[key_id] for key_id in ids[start : start + KEYS_OF_A_WRITE]}
            async with self._pool.connection() as connection:
                await store.mark_used(connection, part, WRITTEN_EVERY)
        await self._consumer.commit(
            {partition: OffsetAndMetadata(records[-1].offset + 1, "") for partition, records in batches.items()}
        )

    def revoked(self, partitions: set[TopicPartition]) -> None:
        """Nothing is known of a partition but its offset."""


def newest_uses(batches: Batches) -> Mapping[str, datetime]:
    """The newest moment of each key; what is no event of a request is the business of those who count it."""
    used: dict[str, datetime] = {}
    for records in batches.values():
        for record in records:
            try:
                event = _decoder.decode(record.value or b"")
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if event.request is not None:
                key_id = str(event.request.key_id)
                used[key_id] = max(event.at, used.get(key_id, event.at))
    return used
