"""The reconciliation source of a table that a `Sink` writes. It reads only the table's rows, by the sink's columns.

A reconciled table also has `request_id`, `account_id`, `amount_nano` and the tokens by class.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_common.ids import id_floor
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaAdmin
from tollgate_common.reconciliation.source import (
    MAX_LISTED,
    MAX_ROWS,
    Boot,
    Digest,
    Drift,
    DuplicateSeq,
    Position,
    Range,
    Row,
)
from tollgate_common.statements import Statements
from tollgate_common.topics import Topic

SQL = Statements("tollgate_common")
WORD = 1 << 64

PartitionBoot = tuple[int, str]


class SinkReconciliationSource:
    """The part of `source.ReconciliationSource` that the tables of all sinks share."""

    def __init__(self, clickhouse: AsyncClient, table: str, brokers: Brokers, prefix: str, group: str) -> None:
        self._clickhouse = clickhouse
        self._table = table
        self._brokers = brokers
        self._prefix = prefix
        self._group = group

    async def positions(self, topic: Topic) -> Sequence[Position]:
        """Return the committed offsets, which every instance can read. A sink commits after its inserts."""
        admin = KafkaAdmin(**self._brokers.options)
        await admin.start()
        try:
            committed = await admin.list_consumer_group_offsets(self._group)
        finally:
            await admin.close()
        name = topic.named(self._prefix)
        return [
            Position(partition=partition.partition, next=found.offset)
            for partition, found in sorted(committed.items())
            if partition.topic == name and found.offset >= 0
        ]

    async def boots(self, topic: Topic, since: datetime) -> Sequence[Boot]:
        found = await self._query("reconciliation_boots", topic, floor=id_floor(since))
        odd = [row for row in found if not _is_dense(*row[2:])]
        gaps, duplicates = await self._look_into(topic, sorted({row[1] for row in odd}))
        return [
            _boot(
                partition, boot_id, high, gaps.get((partition, boot_id), []), duplicates.get((partition, boot_id), [])
            )
            for partition, boot_id, high, *_ in found
        ]

    async def _look_into(
        self, topic: Topic, boot_ids: Sequence[str]
    ) -> tuple[Mapping[PartitionBoot, list[tuple[int, int]]], Mapping[PartitionBoot, list[DuplicateSeq]]]:
        gaps: dict[PartitionBoot, list[tuple[int, int]]] = defaultdict(list)
        duplicates: dict[PartitionBoot, list[DuplicateSeq]] = defaultdict(list)
        if not boot_ids:
            return gaps, duplicates
        for partition, boot_id, start, end in await self._query("reconciliation_gaps", topic, boot_ids=boot_ids):
            gaps[partition, boot_id].append((start, end))
        for partition, boot_id, seq, copies, request_id in await self._query(
            "reconciliation_duplicates", topic, boot_ids=boot_ids
        ):
            duplicates[partition, boot_id].append(DuplicateSeq(seq=seq, copies=copies, request_id=request_id))
        return gaps, duplicates

    async def digests(self, topic: Topic, ranges: Sequence[Range]) -> Sequence[Digest]:
        found = await self._query(
            "reconciliation_digests",
            topic,
            partitions=[part.partition for part in ranges],
            starts=[part.start for part in ranges],
            ends=[part.end for part in ranges],
            steps=[part.step for part in ranges],
        )
        return [Digest(**dict(zip(Digest.model_fields, row, strict=True))) for row in found]

    async def rows(self, topic: Topic, partition: int, start: int, end: int) -> Sequence[Row]:
        found = await self._query(
            "reconciliation_rows", topic, partition=partition, start=start, end=end, limit=MAX_ROWS
        )
        return [Row(**dict(zip(Row.model_fields, row, strict=True))) for row in found]

    async def _query(self, statement: str, topic: Topic, **parameters: Any) -> Sequence[Sequence[Any]]:
        result = await self._clickhouse.query(
            SQL[statement], parameters={"table": self._table, "topic": topic.named(self._prefix)} | parameters
        )
        return result.result_rows


def _is_dense(high: int, rows: int, seqs: int, squares: int) -> bool:
    """Whether these are the sums of the seqs from 0 to `high - 1`, each once."""
    expected_seqs = high * (high - 1) // 2
    expected_squares = (high - 1) * high * (2 * high - 1) // 6
    return rows == high and seqs == expected_seqs % WORD and squares == expected_squares % WORD


def _boot(partition: int, boot_id: str, high: int, gaps: list[tuple[int, int]], duplicates: list[DuplicateSeq]) -> Boot:
    return Boot(
        partition=partition,
        boot_id=boot_id,
        high=high,
        missing=sum(end - start for start, end in gaps),
        gaps=tuple(gaps[:MAX_LISTED]),
        duplicated=sum(duplicate.copies - 1 for duplicate in duplicates),
        duplicates=tuple(duplicates[:MAX_LISTED]),
    )


async def projection_drifts(
    sums: Callable[[Mapping[str, int]], Awaitable[Sequence[Sequence[Any]]]], what: str, names: Sequence[str]
) -> Sequence[Drift]:
    """Return where the sums of a projection differ from its rows. `sums` reads them with the given engine settings."""

    def ask(uses_projections: int) -> Awaitable[Sequence[Sequence[Any]]]:
        return sums({"optimize_use_projections": uses_projections})

    return await drifts_between(lambda: ask(1), lambda: ask(0), what, names)


async def drifts_between(
    stored: Callable[[], Awaitable[Sequence[Sequence[Any]]]],
    rows: Callable[[], Awaitable[Sequence[Sequence[Any]]]],
    what: str,
    names: Sequence[str],
) -> Sequence[Drift]:
    """Return where stored sums differ from their rows.

    The two cannot be read in one snapshot, so the stored sums are read before and after the rows. The next
    reconciliation checks a group that changed meanwhile.

    Args:
        stored: reads the stored sums: a group and its sums in each row.
        rows: reads the same, computed from the rows.
        what: name of the stored object.
        names: names of the sums.
    """
    before = {group: values for group, *values in await stored()}
    counted = {group: values for group, *values in await rows()}
    after = {group: values for group, *values in await stored()}
    nothing = [0] * len(names)
    return [
        Drift(what=f"{name} of {what}", where=str(group), stored=is_stored, rows=is_counted)
        for group in sorted(counted.keys() | before.keys())
        if before.get(group, nothing) == after.get(group, nothing)
        for name, is_stored, is_counted in zip(
            names, before.get(group, nothing), counted.get(group, nothing), strict=True
        )
        if is_stored != is_counted
    ]
