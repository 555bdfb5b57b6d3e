"""Binds `requests.v1` to when each key was used last.

Guarantee: a key's `last_used_at` is at most a little more than a minute behind its newest request, once the log has
been read. Crash window: between the write and the commit; the records are read again, and the newest moment stays.
Nothing is decided by it: it tells a person whether a key is still in use.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import psycopg
from aiokafka.errors import KafkaError

from tollgate_accounts.keys import store
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.consumer import MAX_RECORDS, Batches
from tollgate_common.kafka.faststream import FastStreamConsumer
from tollgate_common.postgres.connection import Pool
from tollgate_common.retries import retry
from tollgate_common.topics import Topic

# A key that is used all the time is one write in this time, not one for each request.
WRITTEN_EVERY = timedelta(minutes=1)
LINGER_S = 2.0
# In one write; a batch may hold more keys than one statement should lock.
KEYS_OF_A_WRITE = 1000


class _Request(msgspec.Struct):
    key_id: UUID


class _Event(msgspec.Struct):
    """As much of an event of a request as is needed here; heartbeats have no request."""

    at: datetime
    request: _Request | None = None


_decoder = msgspec.json.Decoder(_Event)


class LastUse:
    """Records when each key was used last; see the module for its guarantee."""

    def __init__(self, brokers: Brokers, prefix: str, pool: Pool) -> None:
        self._brokers = brokers
        self._prefix = prefix
        self._pool = pool

    async def run(self) -> None:
        """Consume until canceled. Wait while Kafka is unavailable, because sign-in does not depend on it."""
        await retry(self._consume, "last use of keys", KafkaError)

    async def _consume(self) -> None:
        consumer = FastStreamConsumer(
            self._brokers,
            f"{self._prefix}.accounts.last-use",
            [Topic.REQUESTS.named(self._prefix)],
            self.handle,
            transient=(psycopg.OperationalError,),
            linger_s=LINGER_S,
            max_records=MAX_RECORDS,
        )
        await consumer.run()

    async def handle(self, batches: Batches) -> None:
        used = newest_uses(batches)
        ids = sorted(used)
        for start in range(0, len(ids), KEYS_OF_A_WRITE):
            part = {key_id: used[key_id] for key_id in ids[start : start + KEYS_OF_A_WRITE]}
            async with self._pool.connection() as connection:
                await store.mark_used(connection, part, WRITTEN_EVERY)


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
