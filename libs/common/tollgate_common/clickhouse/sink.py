"""Topics → one ClickHouse table, each event exactly once.

Guarantee: at-least-once delivery, exactly-once effect, whatever is killed. Crash windows, in the order of a cycle:

* after *declare* (one commit: "done up to s, next is [s, e)"), before the insert: the successor reads the declaration,
  builds the same block from the same offsets and the same state, and inserts it under the same token;
* after the insert, before the next commit: the successor finds the rows of [s, e) in the table and goes on;
* a paused instance wakes up: its commit carries an old generation and is refused, its insert carries a token that is
  known or a deadline that has passed.

What a block needs next is decided by `tollgate_common.clickhouse.insert_state`; the rules, and the traces that each
closes, stand in docs/exactly-once.md.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic

import numpy as np
import pyarrow as pa
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.exceptions import ProgrammingError as ClickHouseUsage
from prometheus_client import Counter

from tollgate_common.clickhouse.blocks import Block, EventT, Table, build_block
from tollgate_common.clickhouse.client import MAX_BLOCK_ROWS
from tollgate_common.clickhouse.columns import moment, name, names, number
from tollgate_common.clickhouse.insert_state import Declaration, InsertState, Step
from tollgate_common.clock import utc_now
from tollgate_common.crash_points import CrashPoint, reach
from tollgate_common.errors import Damaged, Fenced
from tollgate_common.ids import new_id
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaAdmin
from tollgate_common.kafka.consumer import Batches, Consumer
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.records import Record, sent_at
from tollgate_common.retries import backoff
from tollgate_common.sequence import BootSequence, SequenceState, remembered_from
from tollgate_common.statements import Statements

log = logging.getLogger(__name__)

# An insert may land this long after its declaration and no later: the table refuses it (`CONSTRAINT fresh`).
INSERT_WITHIN = timedelta(seconds=120)
# Below the above, so that the outcome of the last attempt is known before the deadline.
INSERT_TIMEOUT_S = 30
# An insert that began in time may run for its time-out, and the engine's clock may be slow.
OVER_AFTER = timedelta(seconds=INSERT_TIMEOUT_S + 10)
# Between two looks for rows that may still appear.
POLL_S = 0.5

ROWS = Counter("tollgate_sink_rows", "Rows that a sink has made durable.", ["table"])
DUPLICATES = Counter("tollgate_sink_duplicates", "Events that a sink dropped because it had seen them.", ["table"])

SQL = Statements("tollgate_common")

# What the sink adds to each row, so that its own state can be read back from the table.
SINK_COLUMNS = ("topic", "partition", "offset", "boot_id", "seq", "block_month", "insert_by")


class Sink(Generic[EventT]):
    """Handler of a `Consumer`: declares, inserts, and recovers what a predecessor declared."""

    def __init__(
        self,
        *,
        brokers: Brokers,
        consumer: Consumer,
        clickhouse: AsyncClient,
        table: Table[EventT],
        dead_letters: DeadLetters,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._brokers = brokers
        self._consumer = consumer
        self._clickhouse = clickhouse
        self._table = table
        self._dead_letters = dead_letters
        self._now = now
        self._states: dict[TopicPartition, SequenceState] = {}
        self._deadlines: dict[TopicPartition, datetime] = {}

    async def run(self) -> None:
        await self._consumer.run(self)

    def revoked(self, partitions: set[TopicPartition]) -> None:
        for partition in partitions:
            self._states.pop(partition, None)

    # --- a batch in the normal course ---------------------------------------------------------------------------------

    async def handle(self, batches: Batches) -> None:
        month = month_of(self._now())
        blocks = []
        for records in batches.values():
            declared = Declaration(records[0].offset, records[-1].offset + 1, month)
            blocks.append(await self._build(declared, records))
        await self._declare(blocks)
        results = await asyncio.gather(*(self._land(block, in_doubt=False) for block in blocks), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        await self._finish(blocks)

    async def _build(self, declared: Declaration, records: Sequence[Record]) -> Block:
        state = await self._state_before(TopicPartition(records[0].topic, records[0].partition), records)
        return await build_block(declared, records, state, self._table)

    async def _declare(self, blocks: Sequence[Block]) -> None:
        # From before the commit: a process that sleeps right after it must not wake up with time that has passed.
        deadline = self._now() + INSERT_WITHIN
        reach(CrashPoint.BEFORE_DECLARE)
        await self._consumer.commit(
            {block.partition: OffsetAndMetadata(block.declared.start, block.declared.text()) for block in blocks}
        )
        reach(CrashPoint.AFTER_DECLARE)
        for block in blocks:
            self._deadlines[block.partition] = deadline

    async def _finish(self, blocks: Sequence[Block]) -> None:
        reach(CrashPoint.BEFORE_COMMIT)
        await self._consumer.commit({block.partition: OffsetAndMetadata(block.declared.end, "") for block in blocks})
        reach(CrashPoint.AFTER_COMMIT)
        for block in blocks:
            block.draft.apply()
            DUPLICATES.labels(self._table.name).inc(block.duplicates)
            ROWS.labels(self._table.name).inc(len(block.offsets))

    async def _land(self, block: Block, *, in_doubt: bool) -> None:
        """Insert until the rows are there; `in_doubt` if a predecessor may have tried.

        Raises:
            Fenced: the group has moved on.
            Damaged: part of a block is there, which one atomic insert cannot have done.
        """
        for record, poison in block.poison:
            await self._dead_letters.send(record, poison)
        landing = InsertState(block.declared, len(block.offsets), in_doubt)
        delays = backoff()
        while (step := landing.next_step(late=self._is_late(block.partition))) is not Step.DONE:
            block = block._replace(declared=landing.declared)
            try:
                landing = await self._do(step, landing, block)
            except (ClickHouseError, OSError) as error:
                if isinstance(error, ClickHouseUsage):
                    raise
                log.warning("%s of %s %s failed: %s", step.name, block.partition, block.declared.text(), error)
                landing = landing.failed()
                await asyncio.sleep(next(delays))

    async def _do(self, step: Step, landing: InsertState, block: Block) -> InsertState:
        match step:
            case Step.INSERT:
                reach(CrashPoint.BEFORE_INSERT)
                await self._insert(block)
                reach(CrashPoint.AFTER_INSERT)
                return landing.answered()
            case Step.READ_BACK:
                is_final = self._now() > self._deadlines[block.partition] + OVER_AFTER
                return landing.looked(await self._count(block), is_final=is_final)
            case Step.WAIT:
                await asyncio.sleep(POLL_S)
                return landing.waited()
            case _:
                again = landing.declared_again()
                await self._declare([block._replace(declared=again.declared)])
                return again

    def _is_late(self, partition: TopicPartition) -> bool:
        return self._now() + timedelta(seconds=INSERT_TIMEOUT_S) > self._deadlines[partition]

    async def _insert(self, block: Block) -> None:
        await self._clickhouse.insert_arrow(
            self._table.name,
            self._arrow(block),
            settings={
                "query_id": new_id(),
                "insert_deduplication_token": block.declared.deduplication_token(*block.partition),
                "async_insert": 0,
                "max_execution_time": INSERT_TIMEOUT_S,
                "min_insert_block_size_rows": MAX_BLOCK_ROWS * 2,
                "min_insert_block_size_bytes": 4 << 30,
                # What an event's kind does not have is NULL in the batch, and the column's default in the table.
                "input_format_null_as_default": 1,
            },
        )

    def _arrow(self, block: Block) -> pa.Table:
        """A block's rows with the sink's own columns."""
        assert block.rows is not None
        size = len(block.offsets)
        columns = (
            name(block.partition.topic, size),
            number(block.partition.partition, size, np.uint16),
            pa.array(block.offsets, type=pa.uint64()),
            names(block.boot_ids),
            pa.array(block.seqs, type=pa.uint64()),
            number(block.declared.month, size, np.uint32),
            moment(self._deadlines[block.partition], size),
        )
        table = pa.Table.from_batches([block.rows])
        for column, array in zip(SINK_COLUMNS, columns, strict=True):
            table = table.append_column(column, array)
        return table

    async def _count(self, block: Block) -> int:
        found = await self._query(
            "sink_count_block", block.partition, start=block.declared.start, end=block.declared.end
        )
        return int(found[0][0])

    # --- recovery -----------------------------------------------------------------------------------------------------

    async def assigned(self, partition: TopicPartition) -> int:
        self._states.pop(partition, None)
        committed = await self._committed(partition)
        declared = Declaration.parse(committed.metadata) if committed and committed.metadata else None
        await self._refuse_rows_beyond(partition, committed, declared)
        if committed is None:
            return await self._consumer.beginning(partition)
        if declared is None:
            return int(committed.offset)
        log.info("%s: finishing the declared block %s", partition, declared.text())
        records = await self._consumer.read_range(partition, declared.start, declared.end)
        block = await self._build(declared, records)
        await self._declare([block])
        await self._land(block, in_doubt=True)
        await self._finish([block])
        return declared.end

    async def _refuse_rows_beyond(
        self, partition: TopicPartition, committed: OffsetAndMetadata | None, declared: Declaration | None
    ) -> None:
        """No row stands beyond what is declared, unless the group's offset was lost or set back.

        Raises:
            Damaged: it was; to go on would store those events again, in blocks of other bounds.
            Fenced: they are a successor's.
        """
        end = declared.end if declared else committed.offset if committed else 0
        found = await self._query("sink_count_block", partition, start=end, end=1 << 62)
        if not found[0][0]:
            return
        # A successor commits before it inserts.
        if await self._committed(partition) != committed:
            raise Fenced(f"{partition} has been taken over")
        raise Damaged(
            f"{self._table.name} has {found[0][0]} rows of {partition} from offset {end} on, but the committed offset "
            f"of group {self._consumer.group} is {committed.offset if committed else 'gone'}: it was lost or set back"
        )

    async def _committed(self, partition: TopicPartition) -> OffsetAndMetadata | None:
        # The consumer's own committed() hides the metadata, where the declaration stands.
        admin = KafkaAdmin(**self._brokers.options)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self._consumer.group, partitions=[partition])
        finally:
            await admin.close()
        found = offsets.get(partition)
        return None if found is None or found.offset < 0 else found

    async def _state_before(self, partition: TopicPartition, records: Sequence[Record]) -> SequenceState:
        """What has been seen below these records, of the boots that their own time does not rule out.

        Not by the clock: records that have waited for days would meet a state that has forgotten their boots, and a
        replay could find another state than the first attempt.
        """
        if partition in self._states:
            self._states[partition].forget_older_than(sent_at(records[0]))
        else:
            self._states[partition] = await self._recover_state(partition, records[0])
        return self._states[partition]

    async def _recover_state(self, partition: TopicPartition, first: Record) -> SequenceState:
        """What the table's own rows below a record say of each boot: its high-water mark and its gaps."""
        before, floor = first.offset, remembered_from(sent_at(first))
        boots = await self._query("sink_boots", partition, before=before, floor=floor)
        gaps: dict[str, list[tuple[int, int]]] = {}
        if any(count != high for _, high, count in boots):
            for boot_id, start, end in await self._query("sink_gaps", partition, before=before, floor=floor):
                gaps.setdefault(boot_id, []).append((start, end))
        states = {boot_id: BootSequence(high, tuple(gaps.get(boot_id, ()))) for boot_id, high, _ in boots}
        for boot_id, high, count in boots:
            if high - states[boot_id].missing != count:
                raise Damaged(f"{self._table.name}: boot {boot_id} on {partition} has {count} rows for {high} seqs")
        return SequenceState(states)

    async def _query(
        self, statement: str, partition: TopicPartition, **parameters: int | str
    ) -> Sequence[Sequence[Any]]:
        result = await self._clickhouse.query(
            SQL[statement],
            parameters={"table": self._table.name, "topic": partition.topic, "partition": partition.partition}
            | parameters,
        )
        return result.result_rows


def month_of(moment: datetime) -> int:
    """`202611`: the partition key of the table, so that one block is one part."""
    return moment.year * 100 + moment.month
