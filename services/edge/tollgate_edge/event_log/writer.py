"""The writer stamps every event of this process, collects events into batches, and reports when each batch is durable.

Guarantee: the events of a boot are numbered densely for each topic and partition, in the order in which they become
durable. Crash window: between stamp and durability. The event is lost, but so is the response that waited for it, and
its seq is never used again.

One batch is in flight at a time. The next one is sent once that is durable, and a request awaits one of its events or
`LINGER_S` have passed since its first event. A batch costs one produce request, however few events it has, so under
load the next batch lingers a little longer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tollgate_common.clock import utc_now
from tollgate_common.events import EdgeHeartbeat, StampedEvent, encode
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic, partition_for
from tollgate_edge.event_log.log import EventLog
from tollgate_edge.event_log.spool import Entry

log = logging.getLogger(__name__)

TOPICS = (Topic.REQUESTS, Topic.USAGE)
HEARTBEAT_S = 5.0
# Maximum linger of a batch that no request is awaiting, such as an opening while the provider works.
LINGER_S = 0.005
# Minimum time between two batches, for each event of the first one. Above 4,000 events a second, batches linger for the
# maximum; below, a batch is sent as soon as the previous one is durable.
GATHER_PER_EVENT_S, MAX_GATHER_S = 0.00025, 0.008
CLOSE_TIMEOUT_S = 15.0


class Batch:
    """Events that become durable together."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._is_due = asyncio.Event()
        self._is_durable = asyncio.Event()

    def add(self, entry: Entry) -> None:
        if not self.entries:
            asyncio.get_running_loop().call_later(LINGER_S, self._is_due.set)
        self.entries.append(entry)

    async def due(self) -> None:
        """Wait until the batch must be sent."""
        await self._is_due.wait()

    async def durable(self) -> None:
        """Send the batch as soon as possible, and wait until its events are durable."""
        self._is_due.set()
        await self._is_durable.wait()

    def set_durable(self) -> None:
        self._is_durable.set()


class EventWriter:
    def __init__(self, event_log: EventLog, *, boot_id: str, edge: str) -> None:
        """Build the writer; `run` connects and starts it.

        Args:
            event_log: where events become durable.
            boot_id: the boot whose events it numbers.
            edge: name of this edge in heartbeats.
        """
        self._log = event_log
        self._boot_id = boot_id
        self._edge = edge
        # For each topic and partition: the seq of the next event, and the seq after the last durable event.
        self._next_seqs: dict[Topic, list[int]] = {}
        self._durable_seqs: dict[Topic, list[int]] = {}
        self._gathering = Batch()
        self._is_connected = asyncio.Event()

    async def connected(self) -> None:
        """Wait until events can be stamped."""
        await self._is_connected.wait()

    def refusal(self) -> str | None:
        """Return None while requests can be recorded, otherwise why they cannot."""
        return self._log.refusal() if self._next_seqs else "Kafka has not been available yet"

    def record(self, topic: Topic, account_id: str, build: Callable[[Stamp], StampedEvent]) -> Batch:
        """Stamp an event and return its batch. The batch is sent soon, or at once if a caller awaits it.

        Args:
            topic: one of `TOPICS`.
            account_id: key of the message, which determines the partition.
            build: builds the event with its stamp. If it raises, the seq is not used.
        """
        seqs = self._next_seqs[topic]
        partition = partition_for(account_id, len(seqs))
        seq = seqs[partition]
        value = encode(build(Stamp(self._boot_id, partition, seq)))
        seqs[partition] = seq + 1
        self._gathering.add(Entry(topic, partition, seq, account_id.encode(), value))
        return self._gathering

    async def run(self, until_idle: Callable[[], Awaitable[None]]) -> None:
        """Run until canceled. Then wait for `until_idle`, make the last events durable, and close everything.

        Raises:
            Exception: any error of a worker, after which this process cannot record requests.
        """
        tasks: list[asyncio.Task[None]] = []
        try:
            counts = await self._log.connect(TOPICS)
            self._durable_seqs = {topic: [0] * count for topic, count in counts.items()}
            self._next_seqs = {topic: [0] * count for topic, count in counts.items()}
            self._is_connected.set()
            works = (self._flush_loop, self._heartbeat_loop, self._log.recover_always, self._log.adopt_always)
            tasks += [asyncio.create_task(work()) for work in works]
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            await until_idle()
            await self._close(tasks)

    async def _flush_loop(self) -> None:
        loop, leaves_at_s = asyncio.get_running_loop(), 0.0
        while True:
            flush = self._gathering
            await flush.due()
            wait_s = leaves_at_s - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self._gathering = Batch()
            leaves_at_s = loop.time() + min(len(flush.entries) * GATHER_PER_EVENT_S, MAX_GATHER_S)
            await self._log.store(flush.entries)
            for entry in flush.entries:
                self._durable_seqs[entry.topic][entry.partition] = entry.seq + 1
            flush.set_durable()

    async def _heartbeat_loop(self) -> None:
        while True:
            await self._beat().durable()
            await asyncio.sleep(HEARTBEAT_S)

    def _beat(self) -> Batch:
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
                    # The first heartbeat follows every other event, so all are durable with it. The second reports it.
                    await self._beat().durable()
                    await self._beat().durable()
        except TimeoutError:
            log.exception(
                "at least %d events were lost: they could neither be sent nor spooled before the process ended",
                len(self._gathering.entries),
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._log.close()
