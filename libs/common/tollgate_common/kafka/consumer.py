"""The one place that subscribes to topics with manual commits.

Guarantee: a record is handed to the handler only while this process holds its partition, and after the handler said
where to resume; a rebalance waits for the batch in flight. What is committed, and when, is the handler's decision.
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

from tollgate_common.errors import Damaged, Fenced
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.kafka.records import Record, lighten
from tollgate_common.private_api import require

require(AIOKafkaConsumer, "_coordinator")
require(GroupCoordinator, "_do_commit_offsets", "generation")
require(OffsetCommitRequest, "DEFAULT_GENERATION_ID")

log = logging.getLogger(__name__)

Batches = Mapping[TopicPartition, Sequence[Record]]

# A member that died is noticed after this; a longer pause than this makes a zombie, which every sink must fence.
SESSION_TIMEOUT_MS = 10_000
# A rebalance waits for a living member's batch, or for the partition that it is recovering, and expels it after this.
# aiokafka's default is the session's time-out: a busy machine then expels its members again and again. It stays below
# the 40 s that aiokafka waits for any answer.
REBALANCE_TIMEOUT_MS = 30_000
# A sink builds a batch without a pause, while no heartbeat leaves: also on a machine that is ten times too slow, this
# many take less than the group waits for. More would make it expel the member, again and again.
MAX_RECORDS = 10_000
# How long the broker may keep a fetch that finds nothing, and the bytes that one which gathers need not wait for.
IDLE_WAIT_MS, GATHERED_BYTES = 100, 64 << 10
STALE_AFTER_S = 30.0
READ_WITHIN_S = 60.0


class Handler(Protocol):
    async def assigned(self, partition: TopicPartition) -> int:
        """The offset at which to resume, once whatever a predecessor left behind has been finished."""

    async def handle(self, batches: Batches) -> None:
        """Make the effect of the records durable."""

    def revoked(self, partitions: set[TopicPartition]) -> None:
        """Forget what is known of these partitions: another instance may change it from now on."""


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
            brokers: how Kafka is reached.
            group: the consumer group; each of its members gets a share of the partitions.
            topics: full names.
            linger_s: the least time between two batches, unless the first is full; what arrives meanwhile is handled
                together.
            gather_ms: how long the broker gathers what it sends, unless there is much. Without it, and without a pause
                between batches, it sends each event by itself, at its own expense and this member's.
            max_records: the most records of one batch.
            session_timeout_ms: how long the group waits for a member that has gone silent.
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
            # Where to start is the handler's word; to guess would skip or repeat.
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
        """None while this member makes progress, otherwise what it waits for: the readiness of a consumer."""
        if not self._assignment_is_settled.is_set():
            return "a partition assignment from Kafka"
        if self._to_take:
            return f"recovery of {len(self._to_take)} partitions"
        silent_s = time.monotonic() - self._last_turn
        return f"its own loop, silent for {silent_s:.0f} s" if silent_s > STALE_AFTER_S else None

    def lag(self) -> dict[TopicPartition, int]:
        """Records of each held partition that the broker told of and this member has not handled."""
        return {
            partition: max(0, (self._kafka.highwater(partition) or position) - position)
            for partition, position in self._positions.items()
        }

    async def run(self, handler: Handler) -> None:
        """Consume until cancelled.

        Raises:
            whatever the handler raises: the process ends with it, and its successor resumes.
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
                        # More is waiting.
                        pause_s = 0.0
                except Fenced as error:
                    # The group has moved on while this batch was on its way, and the new owners recover what was
                    # declared. The listener, which waits for this turn to end, lets go of the partitions.
                    log.warning("batch dropped after a rebalance: %s", error)
                    self._assignment_is_settled.clear()
                self._last_turn = time.monotonic()
                await asyncio.sleep(max(0.0, started + pause_s - self._last_turn))
        finally:
            await self._kafka.stop()

    async def _turn(self, handler: Handler) -> int:
        """Take a batch; returns how many records it had."""
        assignment = await self._take(handler)
        # Outside the lock: while a rebalance is under way this waits for it, and the rebalance waits for the lock.
        batches = await self._read()
        async with self._busy:
            # What was read under an assignment that has ended since is read again under the next.
            if batches and assignment == self._assignments:
                await handler.handle(batches)
                self._positions |= {partition: records[-1].offset + 1 for partition, records in batches.items()}
        return sum(map(len, batches.values()))

    async def _read(self) -> Batches:
        try:
            batches: Batches = await self._kafka.getmany(timeout_ms=200, max_records=self._max_records)
        except NoOffsetForPartitionError:
            # Of a partition that was assigned meanwhile and that nobody has ever committed; it is to be taken next.
            if not self._to_take:
                raise
            return {}
        return batches

    async def _take(self, handler: Handler) -> int:
        """Recover what is newly assigned; returns which assignment that was.

        A rebalance may come between two partitions: it need not wait for all of them.
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
        # Before the first await, or records arrive ahead of the seek.
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
            raise Fenced(f"commit refused: {error}") from error

    async def read_range(self, partition: TopicPartition, start: int, end: int) -> list[Record]:
        """All records of `[start, end)` of a partition, read apart from the group: a rebalance can come at any time.

        Raises:
            Damaged: they are not there any more, or did not arrive in time.
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
            raise Damaged(f"{partition}: declared records {start} to {end} cannot be read: {error!r}") from error
        finally:
            await reader.stop()
        return records

    async def committed(self, partition: TopicPartition) -> int | None:
        """The offset that the group has committed; None if it never has."""
        offset = await self._kafka.committed(partition)
        return None if offset is None else int(offset)

    async def beginning(self, partition: TopicPartition) -> int:
        offsets = await self._kafka.beginning_offsets([partition])
        return int(offsets[partition])


def reject_commits_without_generation(kafka: KafkaConsumer) -> None:
    """Make the commit of a member that the group has expelled fail here.

    aiokafka sends it without a generation, as if there were no group, and Kafka takes such a commit whenever the group
    has no member at that moment: a member that slept would move the offset of those who came and went meanwhile back.
    """
    coordinator = kafka._coordinator  # noqa: SLF001 - the generation is read where the request is made, or nowhere
    send = coordinator._do_commit_offsets  # noqa: SLF001 - likewise

    async def send_as_member(assignment: Any, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        # Between this and the making of the request nothing is awaited, so the heartbeat cannot come between.
        if coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID:
            raise UnknownMemberIdError
        await send(assignment, offsets)

    coordinator._do_commit_offsets = send_as_member  # noqa: SLF001 - likewise


def heartbeat_interval_ms(session_timeout_ms: int) -> int:
    """Some may be late or lost before the group gives a member up."""
    return session_timeout_ms // 5
