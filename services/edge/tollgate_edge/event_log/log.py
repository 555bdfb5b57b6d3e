"""The event log makes events durable: in Kafka, or in the spool while Kafka does not acknowledge them.

Guarantee: after `store` returns, the events are acknowledged by all in-sync replicas or are on this machine's disk, and
eventually reach their stamped partitions. An unacknowledged event is in the spool before any later one is sent. An
event may arrive twice, with the same stamp. Crash window: none after `store`; any process that shares the folder
replays the file of a dead process.

If Kafka does not acknowledge in time, or rejects events, the producer is closed and *all* events go to the spool, until
a new producer has replayed the whole spool in order. One bad partition therefore delays the others too: that is the
price of one file and one fsync for all.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from aiokafka.errors import KafkaError

from tollgate_common.crash_points import CrashPoint, reach
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.retries import backoff, retry
from tollgate_common.topics import Topic
from tollgate_edge.event_log.kafka_producer import Producer
from tollgate_edge.event_log.spool import Entry, Spool, adopt_orphans

log = logging.getLogger(__name__)

# Bounds how long events still go to the spool after Kafka is available again.
MAX_RETRY_DELAY_S = 1.0
# Interval of searches for files of dead processes.
ADOPTION_PERIOD_S = 30.0
REPLAY_BYTES = 1 << 20
# No request waits for a replay, so it may take longer with a slow Kafka.
REPLAY_TIMEOUT_S = 30.0
# Delay before the next look at a spool that is being written.
SETTLE_S = 0.01


class _ReplayStoppedError(Exception):
    pass


class EventLog:
    def __init__(
        self,
        brokers: Brokers,
        prefix: str,
        spool_dir: Path,
        boot_id: str,
        *,
        ack_timeout_s: float,
        spool_max_bytes: int,
        spool_max_age_s: float,
    ) -> None:
        """Open this boot's spool. `connect` and the two workers start the rest.

        Args:
            brokers: how to connect to Kafka.
            prefix: prefix of the topics' names.
            spool_dir: folder of spools, which edge processes of this machine may share.
            boot_id: boot of this process.
            ack_timeout_s: how long Kafka may take to acknowledge before events go to the spool.
            spool_max_bytes: with a larger spool, `refusal` rejects new requests.
            spool_max_age_s: with an older event in the spool, `refusal` rejects new requests.

        Raises:
            OSError: the spool cannot be created.
        """
        self._brokers = brokers
        self._prefix = prefix
        self._spool_dir = spool_dir
        self._ack_timeout_s = ack_timeout_s
        self._spool_max_bytes = spool_max_bytes
        self._spool_max_age_s = spool_max_age_s
        self._spool = Spool.create(spool_dir, boot_id)
        self._producer: Producer | None = None
        self._failed_producer: Producer | None = None
        self._needs_producer = asyncio.Event()
        self._cannot_spool = False

    async def connect(self, topics: Sequence[Topic]) -> dict[Topic, int]:
        """Connect to Kafka and return the topics' partition counts. Retry while Kafka is unavailable."""

        async def attempt() -> dict[Topic, int]:
            producer = await Producer.connect(self._brokers)
            try:
                counts = {topic: await producer.partitions(topic.named(self._prefix)) for topic in topics}
            except BaseException:
                await producer.close()
                raise
            self._producer = producer
            return counts

        return await retry(
            attempt, "connecting to Kafka and its topics", KafkaError, TimeoutError, max_delay_s=MAX_RETRY_DELAY_S
        )

    def refusal(self) -> str | None:
        """Return None while events can be made durable, otherwise why new requests are rejected."""
        if self._producer is not None:
            return None
        if self._cannot_spool:
            return "its spool cannot be written"
        if self._spool.size_bytes > self._spool_max_bytes:
            return "its spool is full"
        if self._spool.age_s() > self._spool_max_age_s:
            return "Kafka has been unavailable for too long"
        return None

    async def store(self, entries: Sequence[Entry]) -> None:
        """Make the events durable, however long that takes. Only one call may run at a time."""
        delays = backoff(max_s=MAX_RETRY_DELAY_S)
        while entries:
            # Not `retry`: the next attempt goes to Kafka if a producer has recovered meanwhile.
            if self._producer is not None:
                entries = await self._send(self._producer, entries)
                continue
            try:
                await self._append(entries)
            except OSError:
                # The events stay in memory, and requests wait for them: a response needs a durable event.
                self._cannot_spool = True
                delay_s = next(delays)
                log.exception("writing the spool failed and will be retried in %.1f s", delay_s)
                await asyncio.sleep(delay_s)
            else:
                self._cannot_spool = False
                return

    async def _send(self, producer: Producer, entries: Sequence[Entry]) -> Sequence[Entry]:
        reach(CrashPoint.BEFORE_ACKNOWLEDGE, lambda: _hold_usage(entries))
        unacknowledged = await producer.send(self._prefix, entries, self._ack_timeout_s)
        reach(CrashPoint.AFTER_ACKNOWLEDGE, lambda: _hold_usage(entries))
        if unacknowledged:
            log.warning("Kafka did not acknowledge %d events; they are written to the spool", len(unacknowledged))
            self._producer, self._failed_producer = None, producer
            self._needs_producer.set()
        return unacknowledged

    async def _append(self, entries: Sequence[Entry]) -> None:
        reach(CrashPoint.BEFORE_SPOOL, lambda: _hold_usage(entries))
        await self._spool.append(entries)
        reach(CrashPoint.AFTER_SPOOL, lambda: _hold_usage(entries))

    async def recover_always(self) -> None:
        """Worker: after a producer has failed, replay the spool with a new one, then use it."""
        while True:
            await self._needs_producer.wait()
            if self._failed_producer is not None:
                await self._failed_producer.close()
                self._failed_producer = None
            await retry(
                self._recover,
                "the replay of the spool to Kafka",
                KafkaError,
                TimeoutError,
                _ReplayStoppedError,
                max_delay_s=MAX_RETRY_DELAY_S,
            )
            self._needs_producer.clear()

    async def _recover(self) -> None:
        producer = await Producer.connect(self._brokers)
        while await self._replay(producer, self._spool):
            if self._spool.clear_if_replayed():
                self._producer = producer
                log.warning("the spool is replayed; events are sent to Kafka again")
                return
            await asyncio.sleep(SETTLE_S)
        await producer.close()
        raise _ReplayStoppedError(f"Kafka stopped acknowledging; {self._spool.size_bytes} bytes remain in the spool")

    async def adopt_always(self) -> None:
        """Worker: replay the spools of dead processes."""
        while True:
            try:
                for spool in adopt_orphans(self._spool_dir):
                    await self._replay_orphan(spool)
            except OSError:
                # It is not this process's own file, so this process continues.
                log.exception("adopting a spool in %s failed", self._spool_dir)
            await asyncio.sleep(ADOPTION_PERIOD_S)

    async def _replay_orphan(self, spool: Spool) -> None:
        with closing(spool):
            try:
                producer = await Producer.connect(self._brokers)
            except (KafkaError, TimeoutError) as error:
                log.warning("the replay of an orphaned spool of %d bytes waits for Kafka: %r", spool.size_bytes, error)
                return
            try:
                await self._replay(producer, spool)
            finally:
                await producer.close()

    async def _replay(self, producer: Producer, spool: Spool) -> bool:
        """Send the events of a spool in order. Return False if Kafka stops acknowledging."""
        while True:
            entries, end = await spool.read(REPLAY_BYTES)
            if not entries:
                return True
            if await producer.send(self._prefix, entries, REPLAY_TIMEOUT_S):
                return False
            spool.replayed(end)

    async def close(self) -> None:
        """Close the producers and the spool, after the workers have ended."""
        for producer in (self._producer, self._failed_producer):
            if producer is not None:
                await producer.close()
        self._spool.close()


def _hold_usage(entries: Sequence[Entry]) -> bool:
    return any(entry.topic is Topic.USAGE for entry in entries)
