"""The recorder: stamps every event of this process, gathers events into flushes, and tells when each is durable.

Guarantee: the events of this boot are numbered densely per topic and partition, in the order in which they are made
durable. Crash window: between stamp and durability; the event is lost, but so is the answer that waited for it, and
its seq is never used again.

One flush is on its way at a time, and the next starts when it is durable: it carries what has gathered meanwhile, so
that flushes grow with the load and nobody waits for a timer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tollgate_common.clock import utc_now
from tollgate_common.events import EdgeHeartbeat, StampedEvent, encode
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic, partition_for
from tollgate_edge.event_log import EventLog
from tollgate_edge.spool import Entry

log = logging.getLogger(__name__)

TOPICS = (Topic.REQUESTS, Topic.USAGE)
HEARTBEAT_S = 5.0
CLOSE_TIMEOUT_S = 15.0


class Flush:
    """Events that become durable together."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def durable(self) -> None:
        """Wait until they are. The cancellation of one who waits does not reach the others."""
        await asyncio.shield(self._done)

    def set_durable(self) -> None:
        self._done.set_result(None)


class Recorder:
    def __init__(self, event_log: EventLog, *, boot_id: str, edge: str) -> None:
        """Build it; `run` connects and makes it work.

        Args:
            event_log: where events become durable.
            boot_id: drawn anew by each process; it names this process's count of events.
            edge: the name of this edge in heartbeats.
        """
        self._log = event_log
        self._boot_id = boot_id
        self._edge = edge
        # Per topic and partition, the seq of the next event, and that after the last durable one.
        self._next_seqs: dict[Topic, list[int]] = {}
        self._durable_seqs: dict[Topic, list[int]] = {}
        self._gathering = Flush()
        self._has_gathered = asyncio.Event()
        self._is_connected = asyncio.Event()

    async def connected(self) -> None:
        """Wait until events can be stamped."""
        await self._is_connected.wait()

    def refusal(self) -> str | None:
        """None while requests may be taken, otherwise why they could not be recorded."""
        return self._log.refusal() if self._next_seqs else "it has not reached its event log yet"

    def record(self, topic: Topic, account_id: str, build: Callable[[Stamp], StampedEvent]) -> Flush:
        """Stamp an event and send it on its way, with the flush that is returned.

        Args:
            topic: one of `TOPICS`.
            account_id: the message's key; it decides the partition.
            build: makes the event with its stamp; if it raises, the seq is not used.
        """
        seqs = self._next_seqs[topic]
        partition = partition_for(account_id, len(seqs))
        seq = seqs[partition]
        value = encode(build(Stamp(self._boot_id, partition, seq)))
        seqs[partition] = seq + 1
        self._gathering.entries.append(Entry(topic, partition, seq, account_id.encode(), value))
        self._has_gathered.set()
        return self._gathering

    async def run(self, until_idle: Callable[[], Awaitable[None]]) -> None:
        """Work until cancelled; then wait for `until_idle`, make the last events durable, and let go of everything.

        Raises:
            whatever ends a worker: this process can then no longer record.
        """
        tasks: list[asyncio.Task[None]] = []
        try:
            counts = await self._log.connect(TOPICS)
            self._durable_seqs = {topic: [0] * count for topic, count in counts.items()}
            self._next_seqs = {topic: [0] * count for topic, count in counts.items()}
            self._is_connected.set()
            works = (self._flush_always, self._beat_always, self._log.recover_always, self._log.adopt_always)
            tasks += [asyncio.create_task(work()) for work in works]
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            await until_idle()
            await self._close(tasks)

    async def _flush_always(self) -> None:
        while True:
            await self._has_gathered.wait()
            self._has_gathered.clear()
            flush, self._gathering = self._gathering, Flush()
            await self._log.store(flush.entries)
            for entry in flush.entries:
                self._durable_seqs[entry.topic][entry.partition] = entry.seq + 1
            flush.set_durable()

    async def _beat_always(self) -> None:
        while True:
            await self._beat().durable()
            await asyncio.sleep(HEARTBEAT_S)

    def _beat(self) -> Flush:
        sent = {topic.value: tuple(seqs) for topic, seqs in self._durable_seqs.items()}
        return self.record(
            Topic.REQUESTS,
            self._boot_id,
            lambda stamp: EdgeHeartbeat(stamp=stamp, at=utc_now(), edge=self._edge, sent=sent),
        )

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        try:
            if self._next_seqs:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    # The first stands behind every other event: when it is durable, so are they. The second says so.
                    await self._beat().durable()
                    await self._beat().durable()
        except TimeoutError:
            log.exception(
                "the last events, %d or more, could neither be sent nor spooled", len(self._gathering.entries)
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._log.close()
