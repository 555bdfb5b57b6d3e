"""A sink: consumes topics into one ClickHouse table, each event exactly once.

Guarantee: at-least-once delivery, exactly-once effect, whichever process is killed. Crash windows, in the order of a
cycle:

* After *declare* (one commit: "done up to s, next is [s, e)"), before the insert: the successor reads the declaration,
  builds the same block from the same offsets and the same state, and inserts it under the same token.
* After the insert, before the next commit: the successor finds the rows of [s, e) in the table and continues.
* A paused instance resumes: its commit has an old generation and is rejected; its insert has a known token or an
  expired deadline.

`tollgate_common.clickhouse.insert_state` decides the next step of a block. docs/exactly-once.md describes the rules,
and what each of them prevents.
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
from tollgate_common.errors import Fenced, InconsistentState
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

# The table rejects an insert that is executed later than this after its declaration (`CONSTRAINT fresh`).
INSERT_WITHIN = timedelta(seconds=120)
# Shorter than `INSERT_WITHIN`, so that the outcome of the last attempt is known before the deadline.
INSERT_TIMEOUT_S = 30
# An insert that began in time may run until its timeout, and the engine's clock may be slow.
OVER_AFTER = timedelta(seconds=INSERT_TIMEOUT_S + 10)
# Interval between two counts of rows that may still appear.
POLL_S = 0.5

ROWS = Counter("tollgate_sink_rows", "Rows that a sink has inserted.", ["table"])
DUPLICATES = Counter("tollgate_sink_duplicates", "Events that a sink dropped as duplicates.", ["table"])

SQL = Statements("tollgate_common")

# Columns that the sink adds to each row, so that it can recover its state from the table.
SINK_COLUMNS = ("topic", "partition", "offset", "boot_id", "seq", "block_month", "insert_by")


class Sink(Generic[EventT]):
    """Handler of a `Consumer`: declares and inserts blocks, and recovers the declared block of a predecessor."""

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

    # --- normal operation --------------------------------------------------------------------------------

    async def handle(self, batches: Batches) -> None:
        month = month_of(self._now())
        blocks = []
        for records in batches.values():
            declared = Declaration(records[0].offset, records[-1].offset + 1, month)
            blocks.append(await self._build(declared, records))
        await self._declare(blocks)
        results = await asyncio.gather(
            *(self._store(block, in_doubt=False) for block in blocks), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        await self._finish(blocks)

    async def _build(self, declared: Declaration, records: Sequence[Record]) -> Block:
        state = await self._state_before(TopicPartition(records[0].topic, records[0].partition), records)
        return await build_block(declared, records, state, self._table)

    async def _declare(self, blocks: Sequence[Block]) -> None:
        # Measured from before the commit, so that a process that pauses right after it does not get a later deadline.
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
            block.update.apply()
            DUPLICATES.labels(self._table.name).inc(block.duplicates)
            ROWS.labels(self._table.name).inc(len(block.offsets))

    async def _store(self, block: Block, *, in_doubt: bool) -> None:
        """Insert a block until the table has its rows. `in_doubt` if a predecessor may have inserted it.

        Raises:
            Fenced: another member has taken over the partition.
            InconsistentState: the table has a part of the block, although an insert is atomic.
        """
        for record, poison in block.poison:
            await self._dead_letters.send(record, poison)
        state = InsertState(block.declared, len(block.offsets), in_doubt)
        delays = backoff()
        while (step := state.next_step(late=self._is_late(block.partition))) is not Step.DONE:
            block = block._replace(declared=state.declared)
            try:
                state = await self._do(step, state, block)
            except (ClickHouseError, OSError) as error:
                if isinstance(error, ClickHouseUsage):
                    raise
                log.warning("%s of %s %s failed: %s", step.name, block.partition, block.declared.text(), error)
                state = state.after_error()
                await asyncio.sleep(next(delays))

    async def _do(self, step: Step, state: InsertState, block: Block) -> InsertState:
        match step:
            case Step.INSERT:
                reach(CrashPoint.BEFORE_INSERT)
                await self._insert(block)
                reach(CrashPoint.AFTER_INSERT)
                return state.after_response()
            case Step.READ_BACK:
                is_final = self._now() > self._deadlines[block.partition] + OVER_AFTER
                return state.after_count(await self._count(block), is_final=is_final)
            case Step.WAIT:
                await asyncio.sleep(POLL_S)
                return state.after_wait()
            case _:
                again = state.redeclared()
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
                # A field that an event's type lacks is NULL in the batch, and the column's default in the table.
                "input_format_null_as_default": 1,
            },
        )

    def _arrow(self, block: Block) -> pa.Table:
        """Return a block's rows with the sink's own columns."""
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
        log.info("%s: recovering the declared block %s", partition, declared.text())
        records = await self._consumer.read_range(partition, declared.start, declared.end)
        block = await self._build(declared, records)
        await self._declare([block])
        await self._store(block, in_doubt=True)
        await self._finish([block])
        return declared.end

    async def _refuse_rows_beyond(
        self, partition: TopicPartition, committed: OffsetAndMetadata | None, declared: Declaration | None
    ) -> None:
        """Check that the table has no rows at or after the end of the declared range.

        Raises:
            InconsistentState: it has some, because the group's offset was lost or reset. To continue would store their
                events again, in blocks with other bounds.
            Fenced: a successor has inserted them.
        """
        end = declared.end if declared else committed.offset if committed else 0
        found = await self._query("sink_count_block", partition, start=end, end=1 << 62)
        if not found[0][0]:
            return
        # A successor commits its declaration before it inserts.
        if await self._committed(partition) != committed:
            raise Fenced(f"{partition} has been taken over")
        raise InconsistentState(
            f"{self._table.name} has {found[0][0]} rows of {partition} at or after offset {end}, but the committed "
            f"offset of group {self._consumer.group} is {committed.offset if committed else 'missing'}: "
            "it was lost or reset"
        )

    async def _committed(self, partition: TopicPartition) -> OffsetAndMetadata | None:
        # The consumer's committed() does not return the metadata, which holds the declaration.
        admin = KafkaAdmin(**self._brokers.options)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self._consumer.group, partitions=[partition])
        finally:
            await admin.close()
        found = offsets.get(partition)
        return None if found is None or found.offset < 0 else found

    async def _state_before(self, partition: TopicPartition, records: Sequence[Record]) -> SequenceState:
        """Return the sequence state before these records.

        Old boots are forgotten by the time of the records, not by the clock. With the clock, records that waited for
        days would meet a state without their boots, and a replay could find another state than the first attempt.
        """
        if partition in self._states:
            self._states[partition].forget_older_than(sent_at(records[0]))
        else:
            self._states[partition] = await self._recover_state(partition, records[0])
        return self._states[partition]

    async def _recover_state(self, partition: TopicPartition, first: Record) -> SequenceState:
        """Recover the high-water mark and the gaps of each boot from the table's rows before a record."""
        before, floor = first.offset, remembered_from(sent_at(first))
        boots = await self._query("sink_boots", partition, before=before, floor=floor)
        gaps: dict[str, list[tuple[int, int]]] = {}
        if any(count != high for _, high, count in boots):
            for boot_id, start, end in await self._query("sink_gaps", partition, before=before, floor=floor):
                gaps.setdefault(boot_id, []).append((start, end))
        states = {boot_id: BootSequence(high, tuple(gaps.get(boot_id, ()))) for boot_id, high, _ in boots}
        for boot_id, high, count in boots:
            if high - states[boot_id].missing != count:
                raise InconsistentState(
                    f"{self._table.name}: boot {boot_id} on {partition} has {count} rows below "
                    f"seq {high}; expected {high - states[boot_id].missing}"
                )
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
    """Return the table's partition key, such as 202611. All rows of a block have the same, so a block is one part."""
    return moment.year * 100 + moment.month
