"""Where consumers stand: offsets, and the sequence state of every boot."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from tollgate_balance.database.statements import SQL, one
from tollgate_common.ids import id_floor
from tollgate_common.postgres.connection import Connection
from tollgate_common.sequence import BOOT_HORIZON, BootSequence
from tollgate_common.topics import SPECS, Topic

# The oldest readable record was sent one retention ago, by a boot that was at most one horizon old at that time.
_REMEMBERED = timedelta(milliseconds=SPECS[Topic.USAGE].retention_ms or 0) + BOOT_HORIZON + timedelta(days=1)


class Position(NamedTuple):
    """The offset to resume a partition at, and the epoch of the consumer that has taken it over."""

    next: int
    epoch: int


async def take_over(connection: Connection, partition: TopicPartition, beginning: int) -> Position:
    """Fence every other consumer of the partition. The first call ever resumes at `beginning`."""
    cursor = await connection.execute(SQL["take_over_partition"], _of(partition) | {"beginning": beginning})
    return Position(**await one(cursor))


async def advance(connection: Connection, partition: TopicPartition, position: Position, end: int) -> bool:
    """Advance `next` from the position to `end`. Return False if the stored offset or epoch differs."""
    cursor = await connection.execute(
        SQL["advance_offset"], _of(partition) | {"start": position.next, "epoch": position.epoch, "end": end}
    )
    return cursor.rowcount == 1


async def read_position(connection: Connection, partition: TopicPartition) -> Position:
    cursor = await connection.execute(SQL["read_offset"], _of(partition))
    return Position(**await one(cursor))


async def read_sequences(connection: Connection, partition: TopicPartition, now: datetime) -> dict[str, BootSequence]:
    floor = id_floor(now - _REMEMBERED)
    cursor = await connection.execute(SQL["read_sequences"], _of(partition) | {"floor": floor})
    return {
        row["boot_id"]: BootSequence(row["high"], tuple((gap.lower, gap.upper) for gap in row["gaps"]))
        for row in await cursor.fetchall()
    }


async def save_sequences(connection: Connection, partition: TopicPartition, boots: Mapping[str, BootSequence]) -> None:
    columns = {
        "boot_ids": list(boots),
        "highs": [boot.high for boot in boots.values()],
        "gaps": ["{" + ",".join(f"[{start},{end})" for start, end in boot.gaps) + "}" for boot in boots.values()],
    }
    await connection.execute(SQL["save_sequences"], _of(partition) | columns)


def _of(partition: TopicPartition) -> dict[str, Any]:
    return {"topic": partition.topic, "partition": partition.partition}
