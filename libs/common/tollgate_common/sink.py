"""Topics → one ClickHouse table, each event exactly once.

Guarantee: at-least-once delivery, exactly-once effect, whatever is killed. Crash windows, in the order of a cycle:

* after *declare* (one commit: "done up to s, next is [s, e)"), before the insert: the successor reads the declaration,
  builds the same block from the same offsets and the same state, and inserts it under the same token;
* after the insert, before the next commit: the successor finds the rows of [s, e) in the table and goes on;
* a paused instance wakes up: its commit carries an old generation and is refused, its insert carries a token that is
  known or a deadline that has passed.

The rules and the traces that each closes stand in docs/exactly-once.md.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.exceptions import ProgrammingError as ClickHouseUsage
from prometheus_client import Counter

from tollgate_common.clickhouse import MAX_BLOCK_ROWS
from tollgate_common.clock import utc_now
from tollgate_common.consumer import Batches, Consumer, Record, sent_at
from tollgate_common.dead_letters import DeadLetters
from tollgate_common.errors import Damaged, Poison
from tollgate_common.events import StampedEvent
from tollgate_common.ids import id_floor, new_id
from tollgate_common.sequence import BOOT_HORIZON, BootSequence, Draft, SequenceState, Stamp
from tollgate_common.statements import Statements

log = logging.getLogger(__name__)

# An insert may land this long after its declaration and no later: the table refuses it (`CONSTRAINT fresh`).
INSERT_WITHIN = timedelta(seconds=120)
# Below the above, so that the outcome of the last attempt is known before the deadline.
INSERT_TIMEOUT_S = 30
RETRY_DELAY_S = 0.5
# Tokens tried for a block whose rows are missing after an OK: the engine died between its dedup log and its rename.
MAX_TOKENS = 5

ROWS = Counter("tollgate_sink_rows", "Rows that a sink has made durable.", ["table"])
DUPLICATES = Counter("tollgate_sink_duplicates", "Events that a sink dropped because it had seen them.", ["table"])

SQL = Statements("tollgate_common")
EventT = TypeVar("EventT", bound=StampedEvent)

# What the sink adds to each row, so that its own state can be read back from the table.
SINK_COLUMNS = ("topic", "partition", "offset", "boot_id", "seq", "block_month", "insert_by")


class Table(NamedTuple, Generic[EventT]):
    """A table and how an event becomes a row of it.

    `rows` makes the table's own columns of a block's events, each a list as long as the events; raising `Poison` for an
    event is the business of `decode`, which sees one message at a time.
    """

    name: str
    columns: tuple[str, ...]
    decode: Callable[[Record], EventT]
    rows: Callable[[Sequence[EventT]], Sequence[Sequence[Any]]]


class Declaration(NamedTuple):
    """The block `[start, end)` of a partition, in the month that its rows are stored under."""

    start: int
    end: int
    month: int

    def text(self) -> str:
        return f"{self.start}-{self.end}@{self.month}"

    @staticmethod
    def parse(text: str) -> "Declaration":
        span, month = text.split("@")
        start, end = span.split("-")
        return Declaration(int(start), int(end), int(month))


class Block(NamedTuple, Generic[EventT]):
    """The new events of a declared range, those that can never be handled, and the sequence state after them."""

    partition: TopicPartition
    declared: Declaration
    offsets: list[int]
    events: list[EventT]
    poison: list[tuple[Record, Poison]]
    draft: Draft


class Sink(Generic[EventT]):
    """Handler of a `Consumer`: declares, inserts, and recovers what a predecessor declared."""

    def __init__(
        self,
        *,
        bootstrap: str,
        consumer: Consumer,
        clickhouse: AsyncClient,
        table: Table[EventT],
        dead_letters: DeadLetters,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._bootstrap = bootstrap
        self._consumer = consumer
        self._clickhouse = clickhouse
        self._table = table
        self._dead_letters = dead_letters
        self._now = now
        self._states: dict[TopicPartition, SequenceState] = {}
        self._deadlines: dict[TopicPartition, datetime] = {}
        self._types: list[str] = []

    async def run(self) -> None:
        await self._consumer.run(self)

    def revoked(self, partitions: set[TopicPartition]) -> None:
        for partition in partitions:
            self._states.pop(partition, None)

    # --- a batch in the normal course ---------------------------------------------------------------------------------

    async def handle(self, batches: Batches) -> None:
        now = self._now()
        blocks = [
            self._build(partition, Declaration(records[0].offset, records[-1].offset + 1, month_of(now)), records)
            for partition, records in batches.items()
        ]
        await self._declare(blocks)
        async with asyncio.TaskGroup() as group:
            for block in blocks:
                group.create_task(self._land(block, replayed=False))
        await self._finish(blocks)

    def _build(self, partition: TopicPartition, declared: Declaration, records: Sequence[Record]) -> Block[EventT]:
        """A function of the records and of the state before them alone, so that a replay carries the same rows."""
        block: Block[EventT] = Block(partition, declared, [], [], [], self._states[partition].draft())
        for record in records:
            try:
                event = self._table.decode(record)
                check_partition(event.stamp, record)
                if block.draft.admit(event.stamp, sent_at(record)):
                    block.offsets.append(record.offset)
                    block.events.append(event)
                else:
                    DUPLICATES.labels(self._table.name).inc()
            except Poison as poison:
                block.poison.append((record, poison))
        return block

    async def _declare(self, blocks: Sequence[Block[EventT]]) -> None:
        await self._consumer.commit(
            {block.partition: OffsetAndMetadata(block.declared.start, block.declared.text()) for block in blocks}
        )
        for block in blocks:
            self._deadlines[block.partition] = self._now() + INSERT_WITHIN

    async def _finish(self, blocks: Sequence[Block[EventT]]) -> None:
        await self._consumer.commit({block.partition: OffsetAndMetadata(block.declared.end, "") for block in blocks})
        for block in blocks:
            block.draft.apply()
            self._states[block.partition].forget_older_than(self._now())
            ROWS.labels(self._table.name).inc(len(block.events))

    async def _land(self, block: Block[EventT], *, replayed: bool) -> None:
        """Insert until the rows are there.

        A plain OK to the first attempt is proof. After a failed attempt or a predecessor's, it is not: the engine may
        have died between its dedup log and the part's rename, and then drops the replay. So the rows are read back,
        and if they are missing they go under a fresh token.

        Raises:
            Fenced: the group has moved on.
            Damaged: part of a block is there, which one atomic insert cannot have done.
        """
        for record, poison in block.poison:
            await self._dead_letters.send(record, poison)
        if not block.events:
            return
        token = 0
        while True:
            try:
                if replayed and await self._is_there(block):
                    return
                await self._insert(block, token)
                if not replayed or await self._is_there(block):
                    return
                token += 1
            except (ClickHouseError, OSError) as error:
                if isinstance(error, ClickHouseUsage):
                    raise
                log.warning("insert of %s %s is tried again: %s", block.partition, block.declared.text(), error)
                await asyncio.sleep(RETRY_DELAY_S)
            replayed = True
            if token >= MAX_TOKENS:
                raise Damaged(f"{block.partition} {block.declared.text()}: inserted {token} times and still missing")
            if self._now() + timedelta(seconds=INSERT_TIMEOUT_S) > self._deadlines[block.partition]:
                await self._declare([block])

    async def _insert(self, block: Block[EventT], token: int) -> None:
        size = len(block.events)
        declared = block.declared
        await self._clickhouse.insert(
            self._table.name,
            [
                [block.partition.topic] * size,
                [block.partition.partition] * size,
                block.offsets,
                [event.stamp.boot_id for event in block.events],
                [event.stamp.seq for event in block.events],
                [declared.month] * size,
                [self._deadlines[block.partition]] * size,
                *self._table.rows(block.events),
            ],
            column_names=[*SINK_COLUMNS, *self._table.columns],
            column_type_names=await self._column_types(),
            column_oriented=True,
            settings={
                "query_id": new_id(),
                "insert_deduplication_token": f"{block.partition.topic}:{block.partition.partition}:"
                f"{declared.start}-{declared.end}" + (f"#{token}" if token else ""),
                "async_insert": 0,
                "max_execution_time": INSERT_TIMEOUT_S,
                "min_insert_block_size_rows": MAX_BLOCK_ROWS * 2,
                "min_insert_block_size_bytes": 4 << 30,
            },
        )

    async def _column_types(self) -> list[str]:
        """Asked once: the client would otherwise describe the table before each insert."""
        if not self._types:
            described = await self._clickhouse.query(
                "DESCRIBE TABLE {table:Identifier}", parameters={"table": self._table.name}
            )
            types = {row[0]: row[1] for row in described.result_rows}
            self._types = [types[column] for column in (*SINK_COLUMNS, *self._table.columns)]
        return self._types

    async def _is_there(self, block: Block[EventT]) -> bool:
        found = await self._query(
            "sink_count_block", block.partition, start=block.declared.start, end=block.declared.end
        )
        count = int(found[0][0])
        if count not in {0, len(block.events)}:
            raise Damaged(
                f"{self._table.name}: {block.partition} {block.declared.text()} has {count} of {len(block.events)} rows"
            )
        return count > 0

    # --- recovery -----------------------------------------------------------------------------------------------------

    async def assigned(self, partition: TopicPartition) -> int:
        committed = await self._committed(partition)
        if committed is None:
            return await self._first_start(partition)
        offset, text = committed
        self._states[partition] = await self._recover_state(partition, offset)
        if not text:
            return offset
        declared = Declaration.parse(text)
        log.info("%s: finishing the declared block %s", partition, text)
        records = await self._consumer.read_range(partition, declared.start, declared.end)
        block = self._build(partition, declared, records)
        await self._declare([block])
        await self._land(block, replayed=True)
        await self._finish([block])
        return declared.end

    async def _first_start(self, partition: TopicPartition) -> int:
        beginning = await self._consumer.beginning(partition)
        found = await self._query("sink_count_block", partition, start=0, end=1 << 62)
        if found[0][0]:
            raise Damaged(
                f"{self._table.name} has rows of {partition}, but group {self._consumer.group} has no committed "
                "offset: where to resume cannot be known"
            )
        self._states[partition] = SequenceState()
        return beginning

    async def _committed(self, partition: TopicPartition) -> tuple[int, str] | None:
        # The consumer's own committed() hides the metadata, where the declaration stands.
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self._consumer.group, partitions=[partition])
        finally:
            await admin.close()
        found = offsets.get(partition)
        return None if found is None or found.offset < 0 else (found.offset, found.metadata)

    async def _recover_state(self, partition: TopicPartition, before: int) -> SequenceState:
        """What the table's own rows below an offset say of each boot: its high-water mark and its gaps."""
        floor = id_floor(self._now() - BOOT_HORIZON - timedelta(days=1))
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


def check_partition(stamp: Stamp, record: Record) -> None:
    """Refuse an event that was sent to the wrong partition.

    Raises:
        Poison: the event stands in another partition than it was numbered for.
    """
    if stamp.partition != record.partition:
        raise Poison(f"stamped for partition {stamp.partition}, found in {record.partition}")


def month_of(moment: datetime) -> int:
    """`202611`: the partition key of the table, so that one block is one part."""
    return moment.year * 100 + moment.month
