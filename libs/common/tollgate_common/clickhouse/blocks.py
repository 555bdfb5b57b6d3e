"""Blocks: a sink turns a range of records into the rows of its new events, and the records that are poison.

A regular block is built as a whole, column by column. A block with an undecodable record, a duplicate, or a value that
no column can hold is built event by event, which is slower but identifies the record and the reason. Both ways give the
same rows.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar, cast

import pyarrow as pa
from aiokafka import TopicPartition
from msgspec.json import Decoder

from tollgate_common.clickhouse.insert_state import Declaration
from tollgate_common.errors import InconsistentState, Poison
from tollgate_common.events import UNDECODABLE, decode
from tollgate_common.kafka.records import Record, moment, sent_at
from tollgate_common.sequence import SequenceState, SequenceUpdate, Stamp


class Stamped(Protocol):
    @property
    def stamp(self) -> Stamp: ...


EventT = TypeVar("EventT", bound=Stamped)


async def _nothing(_events: Sequence[Stamped]) -> None:
    pass


class Table(NamedTuple, Generic[EventT]):
    """A table, and the conversion of events to its rows.

    Args:
        name: name of the table.
        decoder: returns the decoder for a topic's messages.
        check: raises `Poison` with a reason for an event that cannot be stored.
        rows: returns the table's own columns for events, in order; raises `Poison` if `check` rejects any of them. A
            column that it omits has its default in each row.
        learn: loads what these events refer to and `check` and `rows` do not know yet.
    """

    name: str
    decoder: Callable[[str], Decoder[EventT]]
    check: Callable[[EventT], None]
    rows: Callable[[Sequence[EventT]], pa.RecordBatch]
    learn: Callable[[Sequence[EventT]], Awaitable[None]] = _nothing


class Block(NamedTuple):
    """The rows of a declared range, its poison records, and the update of the sequence state.

    `rows` is None if no event is new. `offsets`, `boot_ids` and `seqs` have one entry for each row.
    """

    partition: TopicPartition
    declared: Declaration
    offsets: list[int]
    boot_ids: list[str]
    seqs: list[int]
    rows: pa.RecordBatch | None
    poison: list[tuple[Record, Poison]]
    duplicates: int
    update: SequenceUpdate


async def build_block(
    declared: Declaration, records: Sequence[Record], state: SequenceState, table: Table[EventT]
) -> Block:
    """Build a block from the records and the state before them alone, so that a replay gives the same rows.

    Args:
        declared: the range of the records.
        records: all records of that range.
        state: the sequence state before them.
        table: the table of the rows.
    """
    events = decode_all(records, table)
    block = as_a_whole(declared, records, events, state, table)
    if block is None:
        await table.learn([event for event in events if not isinstance(event, Poison)])
        block = as_a_whole(declared, records, events, state, table)
    return block or one_by_one(declared, records, events, state, table)


def decode_all(records: Sequence[Record], table: Table[EventT]) -> list[EventT | Poison]:
    """Decode the records of a partition. A record that cannot be decoded gives the reason as `Poison`."""
    decoder = table.decoder(records[0].topic)
    values = [record.value or b"" for record in records]
    try:
        return list(map(decoder.decode, values))
    except UNDECODABLE:
        return [_decode(decoder, value) for value in values]


def _decode(decoder: Decoder[EventT], value: bytes) -> EventT | Poison:
    try:
        return decode(decoder, value)
    except Poison as poison:
        return poison


def as_a_whole(
    declared: Declaration,
    records: Sequence[Record],
    events: Sequence[EventT | Poison],
    state: SequenceState,
    table: Table[EventT],
) -> Block | None:
    """Build a block column by column. Return None if it must be built event by event."""
    if Poison in set(map(type, events)):
        return None
    decoded = cast("Sequence[EventT]", events)
    stamps = [event.stamp for event in decoded]
    boot_ids = [stamp.boot_id for stamp in stamps]
    seqs = [stamp.seq for stamp in stamps]
    latest = moment(max([record.timestamp for record in records]))
    update = state.begin_update()
    if {stamp.partition for stamp in stamps} != {records[0].partition}:
        return None
    if not update.admit_runs(boot_ids, seqs, latest):
        return None
    try:
        rows = table.rows(decoded)
    except Poison:
        return None
    offsets = [record.offset for record in records]
    return Block(_partition(records), declared, offsets, boot_ids, seqs, rows, [], 0, update)


def one_by_one(
    declared: Declaration,
    records: Sequence[Record],
    events: Sequence[EventT | Poison],
    state: SequenceState,
    table: Table[EventT],
) -> Block:
    update = state.begin_update()
    offsets: list[int] = []
    admitted: list[EventT] = []
    poisoned: list[tuple[Record, Poison]] = []
    duplicates = 0
    for record, event in zip(records, events, strict=True):
        try:
            if isinstance(event, Poison):
                raise event
            table.check(event)
            check_partition(event.stamp, record)
            if update.admit(event.stamp, sent_at(record)):
                offsets.append(record.offset)
                admitted.append(event)
            else:
                duplicates += 1
        except Poison as poison:
            poisoned.append((record, poison))
    boot_ids = [event.stamp.boot_id for event in admitted]
    seqs = [event.stamp.seq for event in admitted]
    rows = _rows(admitted, table) if admitted else None
    return Block(_partition(records), declared, offsets, boot_ids, seqs, rows, poisoned, duplicates, update)


def _rows(events: Sequence[EventT], table: Table[EventT]) -> pa.RecordBatch:
    try:
        return table.rows(events)
    except Poison as poison:
        raise InconsistentState(
            f"{table.name} accepts each of {len(events)} events, but rejects them as a block: {poison}"
        ) from poison


def _partition(records: Sequence[Record]) -> TopicPartition:
    return TopicPartition(records[0].topic, records[0].partition)


def check_partition(stamp: Stamp, record: Record) -> None:
    """Check that an event is in the partition of its stamp.

    Raises:
        Poison: it is in another partition.
    """
    if stamp.partition != record.partition:
        raise Poison(f"stamped for partition {stamp.partition}, found in {record.partition}")
