"""A compacted topic as a cache in memory: read from its beginning, then followed.

Guarantee: `apply` sees every key's newest value, and never an older one after it: a record whose version is lower than
the one seen is ignored. Crash window: none, the cache starts anew with its process.
"""

import asyncio
import logging
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from tollgate_common.errors import Poison
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.records import Record
from tollgate_common.topics import find_partitions

log = logging.getLogger(__name__)

VERSION_HEADER = "version"
# How long a broker holds back an answer that has nothing new: a record ends the wait at once.
FETCH_WAIT_MS = 500
# How often the reader looks whether it has caught up, and wakes once it has, for nothing: records wake it.
CATCH_UP_WAIT_MS, FOLLOW_WAIT_MS = 200, 10_000


class CompactedTopic:
    def __init__(self, brokers: Brokers, topic: str, apply: Callable[[str, bytes | None], None]) -> None:
        """Build the reader; `run` starts it.

        Args:
            brokers: how Kafka is reached.
            topic: full name.
            apply: takes a key and its newest value, or None when the key is gone; raises Poison if it cannot.
        """
        self._brokers = brokers
        self._topic = topic
        self._apply = apply
        self._versions: dict[str, int] = {}
        self._caught_up = False
        self._kafka = AIOKafkaConsumer(
            **brokers.options,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    def waiting_for(self) -> str | None:
        return None if self._caught_up else f"the whole of {self._topic}"

    async def run(self) -> None:
        """Follow the topic until cancelled.

        Raises:
            Retryable: the topic does not exist, or may not be seen.
        """
        try:
            await self._kafka.start()
            partitions = await self._assign()
            ends = await self._kafka.end_offsets(partitions)
            while not _is_cancelled():
                wait_ms = FOLLOW_WAIT_MS if self._caught_up else CATCH_UP_WAIT_MS
                batches = await self._kafka.getmany(timeout_ms=wait_ms)
                for records in batches.values():
                    for record in records:
                        self._take(record)
                if not self._caught_up:
                    positions = [await self._kafka.position(partition) for partition in partitions]
                    self._caught_up = all(
                        position >= ends[partition] for partition, position in zip(partitions, positions, strict=True)
                    )
        finally:
            await self._kafka.stop()

    async def _assign(self) -> list[TopicPartition]:
        partitions = (await find_partitions(self._brokers, self._topic))[self._topic]
        self._kafka.assign(partitions)
        await self._kafka.seek_to_beginning(*partitions)
        return partitions

    def _take(self, record: Record) -> None:
        key = (record.key or b"").decode(errors="replace")
        headers = dict(record.headers)
        version = int(headers.get(VERSION_HEADER, b"0"))
        if version < self._versions.get(key, 0):
            log.warning("%s: version %d of a key came after %d; ignored", self._topic, version, self._versions[key])
            return
        self._versions[key] = version
        try:
            # A tombstone is None; some clients write it as an empty value.
            self._apply(key, record.value or None)
        except Poison:
            # One bad record must not take every edge down; its key keeps its last good value, and someone is told.
            log.exception("%s: record at offset %d ignored", self._topic, record.offset)


def _is_cancelled() -> bool:
    """Whether this task was cancelled and went on: until Python 3.12 `asyncio.wait_for`, which the client uses, loses a
    cancellation that comes just as what it waits for is done."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
