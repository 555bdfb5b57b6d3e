"""What a sink stores of a range of records: the new events as rows, and the records that can never be handled.

A block in which nothing is unusual is taken as a whole, column by column. One that has anything else in it, a record
that cannot be decoded, a duplicate, a value that no column can hold, is taken event by event, which is slower and says
which one it is and why. Both ways give the same rows.
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
    """A table and how an event becomes a row of it.

    Args:
        name: of the table.
        decoder: topic → what makes an event of a message's value.
        check: raises `Poison` for an event that cannot be stored, and says why.
        rows: the table's own columns of some events, in their order; raises `Poison` if `check` refuses any of them. A
            column that it leaves out has its default in each row.
        learn: reads what these events name and `check` and `rows` do not know yet.
    """

    name: str
    decoder: Callable[[str], Decoder[EventT]]
    check: Callable[[EventT], None]
    rows: Callable[[Sequence[EventT]], pa.RecordBatch]
    learn: Callable[[Sequence[EventT]], Awaitable[None]] = _nothing


class Block(NamedTuple):
    """The new events of a declared range as rows, the records that can never be handled, the sequence state after them.

    `rows` is None if there is no new event; `offsets`, `boot_ids` and `seqs` have one entry for each row.
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
    """A function of the records and of the state before them alone, so that a replay carries the same rows.

    Args:
        declared: the range of the records.
        records: all of a range of one partition.
        state: what has been seen before them.
        table: where the rows go.
    """
    events = decode_all(records, table)
    block = as_a_whole(declared, records, events, state, table)
    if block is None:
        await table.learn([event for event in events if not isinstance(event, Poison)])
        block = as_a_whole(declared, records, events, state, table)
    return block or one_by_one(declared, records, events, state, table)


def decode_all(records: Sequence[Record], table: Table[EventT]) -> list[EventT | Poison]:
    """What each record of a partition says, or why it says nothing."""
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
    """None if something about the block is unusual."""
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
            f"{table.name} takes each of {len(events)} events and not all of them: {poison}"
        ) from poison


def _partition(records: Sequence[Record]) -> TopicPartition:
    return TopicPartition(records[0].topic, records[0].partition)


def check_partition(stamp: Stamp, record: Record) -> None:
    """Refuse an event that was sent to the wrong partition.

    Raises:
        Poison: the event stands in another partition than it was numbered for.
    """
    if stamp.partition != record.partition:
        raise Poison(f"stamped for partition {stamp.partition}, found in {record.partition}")
