"""The consumer that subscribes to topics with manual commits.

Guarantee: the handler gets a record only while this process holds its partition, and after the handler has returned
where to resume. A rebalance waits for the batch in flight. The handler decides what to commit, and when.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    UnknownMemberIdError,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.structs import OffsetAndMetadata

from tollgate_common.errors import Fenced, InconsistentState
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.kafka.records import Record, lighten
from tollgate_common.private_api import require

require(AIOKafkaConsumer, "_coordinator")
require(GroupCoordinator, "_do_commit_offsets", "generation")
require(OffsetCommitRequest, "DEFAULT_GENERATION_ID")

log = logging.getLogger(__name__)

Batches = Mapping[TopicPartition, Sequence[Record]]

# The group notices a dead member after this. A member that pauses longer is a zombie, which every sink must fence.
SESSION_TIMEOUT_MS = 10_000
# A rebalance waits this long for a member's batch or recovery, and then expels the member. With aiokafka's default, the
# session timeout, a busy machine expels its members repeatedly. It must be below aiokafka's request timeout of 40 s.
REBALANCE_TIMEOUT_MS = 30_000
# A sink sends no heartbeat while it builds a batch. Even on a machine that is ten times slower, a batch of this size
# takes less than the session timeout. With larger batches, the group would expel the member repeatedly.
MAX_RECORDS = 10_000
# Maximum wait of the broker for a record; and the bytes at which it responds at once, with `gather_ms`.
IDLE_WAIT_MS, GATHERED_BYTES = 100, 64 << 10
STALE_AFTER_S = 30.0
READ_WITHIN_S = 60.0


class Handler(Protocol):
    async def assigned(self, partition: TopicPartition) -> int:
        """Complete the unfinished work of a predecessor, and return the offset at which to resume."""

    async def handle(self, batches: Batches) -> None:
        """Make the effect of the records durable."""

    def revoked(self, partitions: set[TopicPartition]) -> None:
        """Discard the state of these partitions, because another instance may change it from now on."""


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is not typed
    """One member of a consumer group."""

    def __init__(
        self,
        brokers: Brokers,
        group: str,
        topics: Sequence[str],
        *,
        linger_s: float = 0.0,
        gather_ms: int = 0,
        max_records: int = MAX_RECORDS,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> None:
        """Build the member; `run` joins the group.

        Args:
            brokers: how to connect to Kafka.
            group: the consumer group; each member gets a share of the partitions.
            topics: full names.
            linger_s: minimum time between two batches, unless the first is full. Records that arrive meanwhile become
                one batch.
            gather_ms: how long the broker collects records before it responds, unless there are many. Without it, and
                without a linger, the broker sends each record in its own response, which costs both sides CPU time.
            max_records: maximum number of records in a batch.
            session_timeout_ms: how long the group waits for a member that sends no heartbeat.
        """
        self.group = group
        self._brokers = brokers
        self._topics = list(topics)
        self._linger_s = linger_s
        self._max_records = max_records
        self._kafka = KafkaConsumer(
            **brokers.options,
            group_id=group,
            enable_auto_commit=False,
            # The handler decides where to resume. Any default would skip or repeat records.
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=heartbeat_interval_ms(session_timeout_ms),
            rebalance_timeout_ms=max(REBALANCE_TIMEOUT_MS, session_timeout_ms),
            max_partition_fetch_bytes=8 << 20,
            fetch_min_bytes=GATHERED_BYTES if gather_ms else 1,
            fetch_max_wait_ms=gather_ms or IDLE_WAIT_MS,
        )
        self._busy = asyncio.Lock()
        self._assignment_is_settled = asyncio.Event()
        self._assignments = 0
        self._to_take: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._last_turn = time.monotonic()

    def waiting_for(self) -> str | None:
        """None while this member makes progress, otherwise what it waits for."""
        if not self._assignment_is_settled.is_set():
            return "a partition assignment from Kafka"
        if self._to_take:
            return f"recovery of {len(self._to_take)} partitions"
        silent_s = time.monotonic() - self._last_turn
        return f"its own loop, silent for {silent_s:.0f} s" if silent_s > STALE_AFTER_S else None

    def lag(self) -> dict[TopicPartition, int]:
        """Return the number of records of each held partition that this member has not handled."""
        return {
            partition: max(0, (self._kafka.highwater(partition) or position) - position)
            for partition, position in self._positions.items()
        }

    async def run(self, handler: Handler) -> None:
        """Consume until canceled.

        Raises:
            Exception: any error of the handler. It ends the process, and the next process resumes.
        """
        self._handler = handler
        self._kafka.subscribe(self._topics, listener=self)
        try:
            await self._kafka.start()
            reject_commits_without_generation(self._kafka)
            lighten(self._kafka)
            while True:
                await self._assignment_is_settled.wait()
                started = time.monotonic()
                pause_s = self._linger_s
                try:
                    if await self._turn(handler) >= self._max_records:
                        # More records are pending.
                        pause_s = 0.0
                except Fenced as error:
                    # The group rebalanced during this batch, and the new owners recover the declared blocks. The
                    # listener waits for the end of this turn, and then releases the partitions.
                    log.warning("batch dropped after a rebalance: %s", error)
                    self._assignment_is_settled.clear()
                self._last_turn = time.monotonic()
                await asyncio.sleep(max(0.0, started + pause_s - self._last_turn))
        finally:
            await self._kafka.stop()

    async def _turn(self, handler: Handler) -> int:
        """Handle a batch. Return the number of its records."""
        assignment = await self._take(handler)
        # Outside the lock: this waits for a running rebalance, and the rebalance waits for the lock.
        batches = await self._read()
        async with self._busy:
            # Records that were read under an earlier assignment are read again under the current one.
            if batches and assignment == self._assignments:
                await handler.handle(batches)
                self._positions |= {partition: records[-1].offset + 1 for partition, records in batches.items()}
        return sum(map(len, batches.values()))

    async def _read(self) -> Batches:
        try:
            batches: Batches = await self._kafka.getmany(timeout_ms=200, max_records=self._max_records)
        except NoOffsetForPartitionError:
            # Raised for a newly assigned partition without a committed offset, which is recovered next.
            if not self._to_take:
                raise
            return {}
        return batches

    async def _take(self, handler: Handler) -> int:
        """Recover newly assigned partitions. Return the number of the assignment.

        A rebalance may start between two partitions, so it does not wait for all of them.
        """
        while True:
            async with self._busy:
                if not self._to_take:
                    return self._assignments
                partition = min(self._to_take)
                offset = await handler.assigned(partition)
                self._kafka.seek(partition, offset)
                self._kafka.resume(partition)
                self._positions[partition] = offset
                self._to_take.discard(partition)

    async def on_partitions_revoked(self, _revoked: set[TopicPartition]) -> None:
        self._assignment_is_settled.clear()
        async with self._busy:
            self._assignments += 1
            self._handler.revoked(set(self._positions))
            self._positions.clear()
            self._to_take.clear()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        # Before the first await, because records could otherwise arrive before the seek.
        self._kafka.pause(*assigned)
        self._to_take = set(assigned)
        self._assignment_is_settled.set()

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Commit explicit offsets with the group's generation.

        Raises:
            Fenced: the group has rebalanced since.
        """
        try:
            await self._kafka.commit(dict(offsets))
        except (CommitFailedError, IllegalStateError) as error:
            raise Fenced(f"commit rejected: {error}") from error

    async def read_range(self, partition: TopicPartition, start: int, end: int) -> list[Record]:
        """Read all records of `[start, end)` of a partition, outside the group, so a rebalance does not disturb it.

        Raises:
            InconsistentState: the records are deleted, or did not arrive in time.
        """
        reader = KafkaConsumer(**self._brokers.options, auto_offset_reset="none", isolation_level="read_committed")
        records: list[Record] = []
        try:
            await reader.start()
            reader.assign([partition])
            reader.seek(partition, start)
            async with asyncio.timeout(READ_WITHIN_S):
                while await reader.position(partition) < end:
                    batches = await reader.getmany(partition, timeout_ms=500)
                    records.extend(record for record in batches.get(partition, ()) if record.offset < end)
        except (OffsetOutOfRangeError, TimeoutError) as error:
            raise InconsistentState(
                f"{partition}: declared records {start} to {end} cannot be read: {error!r}"
            ) from error
        finally:
            await reader.stop()
        return records

    async def committed(self, partition: TopicPartition) -> int | None:
        """Return the offset that the group has committed, or None."""
        offset = await self._kafka.committed(partition)
        return None if offset is None else int(offset)

    async def beginning(self, partition: TopicPartition) -> int:
        offsets = await self._kafka.beginning_offsets([partition])
        return int(offsets[partition])


def reject_commits_without_generation(kafka: KafkaConsumer) -> None:
    """Reject the commit of a member that the group has expelled.

    aiokafka sends such a commit without a generation, and Kafka accepts it if the group has no member at that moment.
    A member that was paused would then reset the offsets of members that came and went meanwhile.
    """
    coordinator = kafka._coordinator  # noqa: SLF001 - the generation is read only where the request is built
    send = coordinator._do_commit_offsets  # noqa: SLF001 - likewise

    async def send_as_member(assignment: Any, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        # Nothing is awaited between this check and the request, so no heartbeat can change the generation in between.
        if coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID:
            raise UnknownMemberIdError
        await send(assignment, offsets)

    coordinator._do_commit_offsets = send_as_member  # noqa: SLF001 - likewise


def heartbeat_interval_ms(session_timeout_ms: int) -> int:
    """Return the heartbeat interval. Several heartbeats may be lost before the group expels a member."""
    return session_timeout_ms // 5
