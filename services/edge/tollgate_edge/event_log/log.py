"""Where events are made durable: Kafka, or the spool for as long as Kafka does not acknowledge.

Guarantee: what `store` returned from is acknowledged by all in-sync replicas or is on this machine's disk, and reaches
its stamped partition in the end; an unacknowledged event is in the spool before any later one leaves. An event may
arrive twice, with the same stamp. Crash window: none after `store`; a file that a dead process left behind is replayed
by any other that shares the folder.

When Kafka does not acknowledge in time, or refuses, the producer is given up and *all* events go to the spool until a
new producer has replayed the whole of it, in order. That one bad partition holds up the good ones too is the price of
one file and one fsync for all.
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
# How often the folder is searched for files that dead processes left behind.
ADOPTION_PERIOD_S = 30.0
REPLAY_BYTES = 1 << 20
# Nobody waits for a replay; a slow Kafka must get through with it.
REPLAY_TIMEOUT_S = 30.0
# A spool that is just being written to is looked at again after this.
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
        """Open this boot's spool; `connect` and its two workers make it work.

        Args:
            brokers: how Kafka is reached.
            prefix: of the topics' names.
            spool_dir: shared with the other edge processes of this machine, or of their own.
            boot_id: of this process.
            ack_timeout_s: how long Kafka may take to acknowledge before events go to the spool.
            spool_max_bytes: above this `refusal` tells to take no more requests.
            spool_max_age_s: so it does with an older event in the spool.

        Raises:
            OSError: the spool cannot be made.
        """
        self._brokers = brokers
        self._prefix = prefix
        self._spool_dir = spool_dir
        self._ack_timeout_s = ack_timeout_s
        self._spool_max_bytes = spool_max_bytes
        self._spool_max_age_s = spool_max_age_s
        self._spool = Spool.create(spool_dir, boot_id)
        self._producer: Producer | None = None
        self._given_up: Producer | None = None
        self._needs_producer = asyncio.Event()
        self._cannot_spool = False

    async def connect(self, topics: Sequence[Topic]) -> dict[Topic, int]:
        """The topics' partition counts, once Kafka has answered."""

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
        """None while events are safe here, otherwise why no more should be made."""
        if self._producer is not None:
            return None
        if self._cannot_spool:
            return "its spool cannot be written"
        if self._spool.size_bytes > self._spool_max_bytes:
            return "its spool is full"
        if self._spool.age_s() > self._spool_max_age_s:
            return "its event log has not answered for too long"
        return None

    async def store(self, entries: Sequence[Entry]) -> None:
        """Make the events durable, however long that takes. One call at a time: the next waits for this one."""
        delays = backoff(max_s=MAX_RETRY_DELAY_S)
        while entries:
            # Not `retry`: the next attempt goes to Kafka if a producer has recovered meanwhile.
            if self._producer is not None:
                entries = await self._send(self._producer, entries)
                continue
            try:
                await self._append(entries)
            except OSError:
                # They wait in memory, and so does whoever waits for them: nothing is answered that is not recorded.
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
            log.warning("Kafka did not acknowledge %d events: they go to the spool", len(unacknowledged))
            self._producer, self._given_up = None, producer
            self._needs_producer.set()
        return unacknowledged

    async def _append(self, entries: Sequence[Entry]) -> None:
        reach(CrashPoint.BEFORE_SPOOL, lambda: _hold_usage(entries))
        await self._spool.append(entries)
        reach(CrashPoint.AFTER_SPOOL, lambda: _hold_usage(entries))

    async def recover_always(self) -> None:
        """Worker: whenever the producer was given up, replay the spool with a new one, then use that."""
        while True:
            await self._needs_producer.wait()
            if self._given_up is not None:
                await self._given_up.close()
                self._given_up = None
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
                log.warning("the spool is replayed; events go to Kafka again")
                return
            await asyncio.sleep(SETTLE_S)
        await producer.close()
        raise _ReplayStoppedError(f"Kafka stopped acknowledging; {self._spool.size_bytes} bytes remain in the spool")

    async def adopt_always(self) -> None:
        """Worker: replay what dead processes left behind."""
        while True:
            try:
                for spool in adopt_orphans(self._spool_dir):
                    await self._replay_orphan(spool)
            except OSError:
                # Not this process's own file: it can work without.
                log.exception("a spool in %s cannot be adopted", self._spool_dir)
            await asyncio.sleep(ADOPTION_PERIOD_S)

    async def _replay_orphan(self, spool: Spool) -> None:
        with closing(spool):
            try:
                producer = await Producer.connect(self._brokers)
            except (KafkaError, TimeoutError) as error:
                log.warning("an orphaned spool of %d bytes waits for Kafka: %r", spool.size_bytes, error)
                return
            try:
                await self._replay(producer, spool)
            finally:
                await producer.close()

    async def _replay(self, producer: Producer, spool: Spool) -> bool:
        """Send what is in the spool, in order. False if Kafka stopped acknowledging."""
        while True:
            entries, end = await spool.read(REPLAY_BYTES)
            if not entries:
                return True
            if await producer.send(self._prefix, entries, REPLAY_TIMEOUT_S):
                return False
            spool.replayed(end)

    async def close(self) -> None:
        """Let go of Kafka and of the spool, after the workers have ended."""
        for producer in (self._producer, self._given_up):
            if producer is not None:
                await producer.close()
        self._spool.close()


def _hold_usage(entries: Sequence[Entry]) -> bool:
    return any(entry.topic is Topic.USAGE for entry in entries)
