"""A compacted topic as a cache in memory: it is read from its beginning, then followed.

Guarantee: `apply` gets every key's newest value, and never an older one after it, because a record with a lower version
than the known one is ignored. Crash window: none; a new process reads the topic from its beginning.
"""

import asyncio
import logging
from collections.abc import Callable

from aiokafka import TopicPartition

from tollgate_common.errors import Poison
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.kafka.records import Record
from tollgate_common.topics import find_partitions

log = logging.getLogger(__name__)

VERSION_HEADER = "version"
# Maximum wait of a broker for a record before it sends an empty response.
FETCH_WAIT_MS = 500
# Intervals at which the reader wakes without a record, until it has caught up and after.
CATCH_UP_WAIT_MS, FOLLOW_WAIT_MS = 200, 10_000


class CompactedTopic:
    def __init__(self, brokers: Brokers, topic: str, apply: Callable[[str, bytes | None], None]) -> None:
        """Build the reader; `run` starts it.

        Args:
            brokers: how to connect to Kafka.
            topic: full name.
            apply: gets a key and its newest value, None if the key is deleted. Raises Poison for an invalid value.
        """
        self._brokers = brokers
        self._topic = topic
        self._apply = apply
        self._versions: dict[str, int] = {}
        self._caught_up = False
        self._kafka = KafkaConsumer(
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
        """Follow the topic until canceled.

        Raises:
            Retryable: the topic does not exist, or this client has no right to it.
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
            log.warning(
                "%s: ignored version %d of a key, which is older than version %d",
                self._topic,
                version,
                self._versions[key],
            )
            return
        self._versions[key] = version
        try:
            # A tombstone is None. Some clients write it as an empty value.
            self._apply(key, record.value or None)
        except Poison:
            # One invalid record must not stop every edge. Its key keeps the last valid value.
            log.exception("%s: ignored the invalid record at offset %d", self._topic, record.offset)


def _is_cancelled() -> bool:
    """Whether this task was canceled but continues.

    Before Python 3.12, `asyncio.wait_for`, which the client uses, loses a cancellation that arrives just as its
    awaitable completes.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
