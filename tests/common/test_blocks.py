"""A block that is taken as a whole says what its events say one by one, and one that cannot be taken so is not."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_common.clickhouse.blocks import Block, Table, as_a_whole, build_block, decode_all, one_by_one
from tollgate_common.clickhouse.columns import texts
from tollgate_common.clickhouse.insert_state import Declaration
from tollgate_common.errors import Poison
from tollgate_common.events import UsageEvent, Void, encode, usage_decoder
from tollgate_common.ids import id_floor
from tollgate_common.kafka.records import Record
from tollgate_common.sequence import BootSequence, SequenceState, Stamp

SENT_AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
BOOTS = {
    "young": id_floor(SENT_AT - timedelta(hours=1)),
    "other": id_floor(SENT_AT - timedelta(hours=2)),
    # Known or not, depending on the state; too old to be judged if not, and between the two times of the records.
    "old": id_floor(SENT_AT - timedelta(days=8)),
    "none": "edge-1",
}


class Sent(NamedTuple):
    boot: str = "young"
    seq: int = 0
    partition: int = 0
    reason: str = ""
    late_ms: int = 0
    value: bytes | None = b"an event"


def check(event: UsageEvent) -> None:
    if isinstance(event, Void) and event.reason == "unfit":
        raise Poison("unfit")


def rows(events: list[UsageEvent]) -> pa.RecordBatch:
    for event in events:
        check(event)
    return pa.record_batch({"reason": texts([str(event.stamp.seq) for event in events])})


TABLE = Table[Any]("events", lambda _topic: usage_decoder, check, rows)  # type: ignore[arg-type] # lists will do


def records_of(sent: list[Sent]) -> list[Record]:
    found = []
    for offset, each in enumerate(sent):
        event = Void(
            stamp=Stamp(BOOTS[each.boot], each.partition, each.seq), at=SENT_AT, account_id="a", reason=each.reason
        )
        value = encode(event) if each.value == b"an event" else each.value
        found.append(Record("usage", 0, offset, int(SENT_AT.timestamp() * 1000) + each.late_ms, None, value))
    return found


def said(block: Block) -> tuple[object, ...]:
    rows_ = None if block.rows is None else block.rows.to_pylist()
    poison = [(record.offset, str(reason)) for record, reason in block.poison]
    return (block.offsets, block.boot_ids, block.seqs, rows_, poison, block.duplicates, block.update.changed)


def state() -> SequenceState:
    return SequenceState({BOOTS["other"]: BootSequence(5, ((1, 3),)), BOOTS["old"]: BootSequence(2)})


ODD = st.sampled_from(
    [
        Sent(boot="none"),
        Sent(seq=-1),
        Sent(seq=1 << 62),
        Sent(seq=2),
        Sent(partition=1),
        Sent(reason="unfit"),
        Sent(value=b"{"),
        Sent(value=b'{"type":"void","unknown":' + b"[" * 2_000),
        Sent(value=None),
    ]
)


@st.composite
def batches(draw: st.DrawFn) -> list[Sent]:
    """What boots send, each in its order and with gaps; often with something odd in it."""
    next_seq = {"young": 0, "other": 5, "old": 2}
    found: list[Sent] = []
    for boot in draw(st.lists(st.sampled_from(["young", "young", "other", "old"]), min_size=1, max_size=5)):
        start = next_seq[boot] + draw(st.sampled_from([0, 0, 0, 3]))
        next_seq[boot] = start + draw(st.integers(1, 5))
        late_ms = draw(st.sampled_from([0, 0, 1]))
        found += [Sent(boot, seq, late_ms=late_ms) for seq in range(start, next_seq[boot])]
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        found.insert(draw(st.integers(0, len(found))), draw(ODD | st.sampled_from(found)))
    return found


@untimed
@given(batches())
@example([Sent(boot="old", seq=2), Sent(boot="old", seq=3, late_ms=1)])
@example([Sent(seq=3), Sent(seq=4), Sent(boot="other", seq=7)])
def test_both_ways_say_the_same(sent: list[Sent]) -> None:
    records = records_of(sent)
    events: list[UsageEvent | Poison] = decode_all(records, TABLE)
    declared = Declaration(0, len(records), 202611)
    expected = one_by_one(declared, records, events, state(), TABLE)
    assert said(asyncio.run(build_block(declared, records, state(), TABLE))) == said(expected)


def test_what_boots_send_in_their_order_is_taken_as_a_whole() -> None:
    """Two boots at once, one of them from a later seq on: gaps are no reason to look at each event."""
    sent = [Sent(seq=0), Sent(boot="other", seq=7), Sent(seq=1), Sent(boot="other", seq=8)]
    records = records_of(sent)
    events: list[UsageEvent | Poison] = decode_all(records, TABLE)
    block = as_a_whole(Declaration(0, len(records), 202611), records, events, state(), TABLE)
    assert block is not None
    assert block.update.changed == {
        BOOTS["young"]: BootSequence(2),
        BOOTS["other"]: BootSequence(9, ((1, 3), (5, 7))),
    }
