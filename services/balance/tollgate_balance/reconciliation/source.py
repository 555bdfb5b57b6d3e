"""The ledger as a `tollgate_common.reconciliation.source.ReconciliationSource`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg.rows import DictRow

from tollgate_balance.database.statements import SQL
from tollgate_common.ids import id_floor
from tollgate_common.postgres.connection import Pool
from tollgate_common.reconciliation.source import (
    MAX_LISTED,
    MAX_ROWS,
    Boot,
    Digest,
    Drift,
    Position,
    Range,
    Row,
    WriteOff,
    WriteOffs,
)
from tollgate_common.topics import Topic


class LedgerReconciliationSource:
    """Reads the ledger for reconciliation. Each response is from one snapshot."""

    def __init__(self, pool: Pool, prefix: str) -> None:
        self._pool = pool
        self._prefix = prefix

    async def positions(self, topic: Topic) -> Sequence[Position]:
        return [
            Position(**row) for row in await self._query("reconciliation_positions", topic=topic.named(self._prefix))
        ]

    async def boots(self, topic: Topic, since: datetime) -> Sequence[Boot]:
        rows = await self._query("reconciliation_boots", topic=topic.named(self._prefix), floor=id_floor(since))
        return [_boot(row) for row in rows]

    async def digests(self, topic: Topic, ranges: Sequence[Range]) -> Sequence[Digest]:
        """Sum the postings of usage. No other topic has postings with offsets."""
        if topic is not Topic.USAGE:
            return []
        rows = await self._query(
            "reconciliation_digests",
            partitions=[part.partition for part in ranges],
            starts=[part.start for part in ranges],
            ends=[part.end for part in ranges],
            steps=[part.step for part in ranges],
        )
        return [Digest(**{name: int(value) for name, value in row.items()}) for row in rows]

    async def rows(self, topic: Topic, partition: int, start: int, end: int) -> Sequence[Row]:
        if topic is not Topic.USAGE:
            return []
        rows = await self._query("reconciliation_rows", partition=partition, start=start, end=end, limit=MAX_ROWS)
        return [Row(**row) for row in rows]

    async def drifts(self, since: datetime) -> Sequence[Drift]:  # noqa: ARG002 - balances are proven from the whole ledger
        return [
            Drift(
                what=row["what"],
                where=row["where"],
                stored=int(row["stored"]),
                rows=int(row["rows"]),
            )
            for row in await self._query("reconciliation_drifts", limit=MAX_LISTED)
        ]

    async def write_offs(self, start: datetime, end: datetime) -> WriteOffs:
        [total] = await self._query("reconciliation_write_offs_sum", start=start, end=end)
        listed = await self._query("reconciliation_write_offs", start=start, end=end, limit=MAX_LISTED)
        return WriteOffs(
            count=total["count"],
            amount_nano=int(total["amount_nano"]),
            newest=tuple(WriteOff(**row) for row in listed),
        )

    async def _query(self, statement: str, **parameters: Any) -> list[DictRow]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(SQL[statement], parameters)).fetchall()


def _boot(row: DictRow) -> Boot:
    gaps = [(gap.lower, gap.upper) for gap in row["gaps"]]
    return Boot(
        partition=row["partition"],
        boot_id=row["boot_id"],
        high=row["high"],
        missing=sum(end - start for start, end in gaps),
        gaps=tuple(gaps[:MAX_LISTED]),
    )
