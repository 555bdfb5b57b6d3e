"""usage.v1 → the ledger: the hot path, in batches, exactly once.

Guarantee: at-least-once delivery, exactly-once effect, whichever process is killed. A batch of a partition is one
transaction: the fence on its offset, the sequence state, the postings, the account rows and the outbox. Crash windows:

* Before PostgreSQL's commit: nothing has happened, and the successor reads the same records again.
* After it, before Kafka's commit: the successor resumes at PostgreSQL's `next`. Kafka's offset only shows the lag.
* The response of the commit is lost: the batch is posted again, and the fence finds it already committed.
* A paused instance resumes: its successor has raised the partition's epoch, so its batch rolls back. If it resumes
  while it takes the partition over, it fences its successor. That process ends, and its restart rebalances the group.
"""

import asyncio
import logging
from collections.abc import Sequence

import psycopg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import Counter

from tollgate_balance.ledger.validation import check_usage
from tollgate_balance.usage import store as positions
from tollgate_balance.usage.handlers import UsageBatch, Used, post_usage
from tollgate_balance.usage.store import Position
from tollgate_common.clock import utc_now
from tollgate_common.crash_points import CrashPoint, reach
from tollgate_common.errors import Fenced, InconsistentState, Poison
from tollgate_common.events import TokensUsed, decode_usage
from tollgate_common.kafka.consumer import Batches, Consumer
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.records import Record, sent_at
from tollgate_common.postgres.connection import Pool
from tollgate_common.retries import retry
from tollgate_common.sequence import SequenceState, SequenceUpdate

log = logging.getLogger(__name__)

POSTED = Counter("tollgate_balance_usage_posted", "Usage events posted to the ledger.")
DUPLICATES = Counter("tollgate_balance_usage_duplicates", "Usage events dropped as duplicates.")


class UsageConsumer:
    """Handler of a `Consumer` of usage.v1; see the module for its guarantee."""

    def __init__(self, consumer: Consumer, pool: Pool, dead_letters: DeadLetters) -> None:
        self._consumer = consumer
        self._pool = pool
        self._dead_letters = dead_letters
        self._positions: dict[TopicPartition, Position] = {}
        self._states: dict[TopicPartition, SequenceState] = {}

    async def run(self) -> None:
        await self._consumer.run(self)

    async def assigned(self, partition: TopicPartition) -> int:
        beginning = await self._consumer.beginning(partition)

        async def take_over() -> Position:
            async with self._pool.connection() as connection:
                position = await positions.take_over(connection, partition, beginning)
                # Read after the fence, so that no other transaction can change it.
                boots = await positions.read_sequences(connection, partition, utc_now())
            self._states[partition] = SequenceState(boots)
            return position

        position = await retry(take_over, f"taking over {partition}", psycopg.OperationalError)
        if position.next < beginning:
            raise InconsistentState(
                f"{partition}: records {position.next} to {beginning} were deleted by Kafka before they were posted"
            )
        self._positions[partition] = position
        return position.next

    def revoked(self, partitions: set[TopicPartition]) -> None:
        for partition in partitions:
            self._positions.pop(partition, None)
            self._states.pop(partition, None)

    async def handle(self, batches: Batches) -> None:
        results = await asyncio.gather(
            *(self._post(partition, records) for partition, records in batches.items()), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        reach(CrashPoint.BEFORE_SHOW_LAG)
        await self._show_lag(batches)
        reach(CrashPoint.AFTER_SHOW_LAG)

    async def _post(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        update = self._states[partition].begin_update()
        usage = await self._admit(records, update)
        batch = UsageBatch(partition, self._positions[partition], records[-1].offset + 1, usage, update.changed)
        try:
            self._positions[partition] = await retry(
                lambda: post_usage(self._pool, batch),
                f"posting {len(usage)} charges of {partition}",
                psycopg.OperationalError,
            )
        except Fenced:
            await self._check_membership(partition)
            raise
        update.apply()
        self._states[partition].forget_older_than(sent_at(records[-1]))
        POSTED.inc(len(usage))

    async def _check_membership(self, partition: TopicPartition) -> None:
        """Ask the group which member holds a partition from which the ledger has fenced this consumer.

        Raises:
            Fenced: another member holds it, as expected.
            InconsistentState: this member holds it. An expelled member took it over late, and no rebalance follows.
        """
        await self._consumer.commit({partition: OffsetAndMetadata(self._positions[partition].next, "")})
        raise InconsistentState(
            f"{partition} was taken over by a consumer that does not hold it; restarting takes it over again"
        )

    async def _admit(self, records: Sequence[Record], update: SequenceUpdate) -> list[Used]:
        """Return the new events that have an amount. Send records that can never be processed to the dead letters."""
        usage = []
        for record in records:
            try:
                event = decode_usage(record.value or b"")
                check_usage(event, record.partition)
                is_new = update.admit(event.stamp, sent_at(record))
            except Poison as poison:
                await self._dead_letters.send(record, poison)
                continue
            if not is_new:
                DUPLICATES.inc()
            elif isinstance(event, TokensUsed) and event.amount_nano:
                usage.append(Used(record.offset, event))
        return usage

    async def _show_lag(self, batches: Batches) -> None:
        """Commit PostgreSQL's offsets to Kafka, so that the group's lag is visible there."""
        offsets = {partition: OffsetAndMetadata(self._positions[partition].next, "") for partition in batches}
        try:
            await self._consumer.commit(offsets)
        except KafkaError as error:
            log.warning("the group's offsets could not be committed to Kafka; the ledger is not affected: %s", error)
