"""What a sink stores of a range of records: the new events, and those that can never be handled."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from aiokafka import TopicPartition

from tollgate_common.consumer import Record, sent_at
from tollgate_common.errors import Poison
from tollgate_common.landing import Declaration
from tollgate_common.sequence import Draft, SequenceState, Stamp


class Stamped(Protocol):
    """What a sink stores: an event, or what has been made of it."""

    @property
    def stamp(self) -> Stamp: ...


EventT = TypeVar("EventT", bound=Stamped)


class Block(NamedTuple, Generic[EventT]):
    """The new events of a declared range, those that can never be handled, and the sequence state after them."""

    partition: TopicPartition
    declared: Declaration
    offsets: list[int]
    events: list[EventT]
    poison: list[tuple[Record, Poison]]
    duplicates: int
    draft: Draft


def build_block(
    declared: Declaration, records: Sequence[Record], state: SequenceState, decode: Callable[[Record], EventT]
) -> Block[EventT]:
    """A function of the records and of the state before them alone, so that a replay carries the same rows."""
    draft = state.draft()
    offsets, events, poisoned, duplicates = [], [], [], 0
    for record in records:
        try:
            event = decode(record)
            check_partition(event.stamp, record)
            if draft.admit(event.stamp, sent_at(record)):
                offsets.append(record.offset)
                events.append(event)
            else:
                duplicates += 1
        except Poison as poison:
            poisoned.append((record, poison))
    partition = TopicPartition(records[0].topic, records[0].partition)
    return Block(partition, declared, offsets, events, poisoned, duplicates, draft)


def check_partition(stamp: Stamp, record: Record) -> None:
    """Refuse an event that was sent to the wrong partition.

    Raises:
        Poison: the event stands in another partition than it was numbered for.
    """
    if stamp.partition != record.partition:
        raise Poison(f"stamped for partition {stamp.partition}, found in {record.partition}")
