"""The records of the model's partition, and what the code's own functions make of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa

from tollgate_common.clickhouse.blocks import Table, build_block
from tollgate_common.clickhouse.insert_state import Declaration
from tollgate_common.events import UsageEvent, Void, encode, usage_decoder
from tollgate_common.ids import id_floor
from tollgate_common.kafka.records import Record
from tollgate_common.sequence import BootSequence, SequenceState, Stamp, remembered_from

SENT_AT = datetime(2026, 11, 20, tzinfo=UTC)
READ_AT = SENT_AT + timedelta(days=3)
BOOT = id_floor(SENT_AT - timedelta(hours=1))
OLD_BOOT = id_floor(SENT_AT - timedelta(days=7))

# A sequence state, as something that a set can hold.
Seen = tuple[tuple[str, BootSequence], ...]


class Rows(NamedTuple):
    """The offsets of a block's rows, and the state after them."""

    rows: tuple[int, ...]
    seen: Seen


# Seq 1 opens a gap, seq 0 fills it, and the first comes again.
STAMPS = {
    "dup": ((BOOT, 1), (BOOT, 0), (BOOT, 1)),
    "long": ((BOOT, 1), (BOOT, 0), (BOOT, 1), (BOOT, 2)),
    "one": ((BOOT, 0),),
    "two": ((BOOT, 0), (BOOT, 1)),
    "old": ((OLD_BOOT, 0), (OLD_BOOT, 0)),
}


def record(name: str, offset: int) -> Record:
    boot_id, seq = STAMPS[name][offset]
    event = Void(stamp=Stamp(boot_id, 0, seq), at=SENT_AT, account_id="a", reason="")
    timestamp_ms = int(SENT_AT.timestamp() * 1000)
    return Record("usage", 0, offset, timestamp_ms, None, encode(event))


def check(_event: UsageEvent) -> None:
    pass


TABLE = Table[Any](
    "events", lambda _topic: usage_decoder, check, lambda events: pa.record_batch({"reason": [""] * len(events)})
)


@cache
def build(name: str, seen: Seen, declared: Declaration, drop_duplicates: bool) -> Rows:
    records = [record(name, offset) for offset in range(declared.start, declared.end)]
    # Nothing has to be learnt, so nothing is waited for.
    block = asyncio.run(build_block(declared, records, SequenceState(dict(seen)), TABLE))
    rows = block.offsets if drop_duplicates else [message.offset for message in records]
    return Rows(tuple(rows), tuple(sorted((dict(seen) | block.update.changed).items(), key=str)))


@cache
def recover(name: str, rows: tuple[int, ...], before: int, judge_by_record_time: bool) -> Seen:
    """What the rows below an offset say, as the sink's statements read it from the table."""
    floor = remembered_from(SENT_AT if judge_by_record_time else READ_AT)
    boots: dict[str, BootSequence] = {}
    for boot_id, seq in sorted({STAMPS[name][offset] for offset in rows}):
        if boot_id >= floor:
            boots[boot_id] = boots.get(boot_id, BootSequence()).with_seq(seq)
    return tuple(sorted(boots.items(), key=str))
