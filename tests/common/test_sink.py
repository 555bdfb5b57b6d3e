"""The ClickHouse sink on the real engines: killed at each point of its cycle, it neither loses nor doubles a row."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from aiokafka import TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from engines.stores import ClickHouseDatabase
from tollgate_common import sequence
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.clickhouse.blocks import Block, Table
from tollgate_common.clickhouse.columns import moments, texts
from tollgate_common.clickhouse.sink import INSERT_WITHIN, SINK_COLUMNS, Sink
from tollgate_common.clock import utc_now
from tollgate_common.errors import InconsistentState
from tollgate_common.events import UsageEvent, Void, encode, usage_decoder
from tollgate_common.ids import id_floor, made_at, new_id
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer, KafkaProducer
from tollgate_common.kafka.consumer import Consumer
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.producer import create_producer
from tollgate_common.kafka.records import moment
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic, create_topics
from waiting import PATIENCE_S, until

pytestmark = pytest.mark.engines

CREATE_TABLE = """
CREATE TABLE events (
    topic LowCardinality(String), partition UInt16, offset UInt64, boot_id LowCardinality(String), seq UInt64,
    block_month UInt32, insert_by DateTime64(3), at DateTime64(3, 'UTC'), reason String,
    CONSTRAINT fresh CHECK insert_by >= now()
) ENGINE = MergeTree PARTITION BY block_month ORDER BY (boot_id, seq)
SETTINGS non_replicated_deduplication_window = 1000
"""
PARTITIONS = 2


def check(_event: UsageEvent) -> None:
    pass


def rows(events: Sequence[UsageEvent]) -> pa.RecordBatch:
    reasons = [event.reason if isinstance(event, Void) else "" for event in events]
    return pa.record_batch({"at": moments([event.at for event in events]), "reason": texts(reasons)})


TABLE: Table[UsageEvent] = Table("events", lambda _topic: usage_decoder, check, rows)


class Killed(Exception):
    pass


class DyingSink(Sink[Any]):
    """Dies at a named step of its cycle, before it or after it, as `kill -9` would have it."""

    def __init__(self, die_before: str | None = None, die_after: str | None = None, **parts: Any) -> None:
        super().__init__(**parts)
        self._die_before, self._die_after = die_before, die_after

    async def _step(self, name: str, step: Awaitable[None]) -> None:
        if self._die_before == name:
            asyncio.ensure_future(step).cancel()
            raise Killed
        await step
        if self._die_after == name:
            raise Killed

    async def _declare(self, blocks: Sequence[Block]) -> None:
        await self._step("declare", super()._declare(blocks))

    async def _insert(self, block: Block) -> None:
        await self._step("insert", super()._insert(block))

    async def _finish(self, blocks: Sequence[Block]) -> None:
        await self._step("commit", super()._finish(blocks))


class World:
    """One topic, one table, one boot, and the sinks that come and go."""

    def __init__(self, brokers: Brokers, prefix: str, client: AsyncClient, producer: KafkaProducer) -> None:
        self.brokers, self.prefix, self.client, self.producer = brokers, prefix, client, producer
        self.topic = Topic.USAGE.named(prefix)
        self.boot = new_id()
        self.next_seq = [0] * PARTITIONS

    async def send(self, partition: int, seqs: Sequence[int], sent_at: datetime | None = None) -> None:
        timestamp_ms = int(sent_at.timestamp() * 1000) if sent_at else None
        for seq in seqs:
            event = Void(stamp=Stamp(self.boot, partition, seq), at=utc_now(), account_id="a", reason=f"r{seq}")
            await self.producer.send(self.topic, encode(event), partition=partition, timestamp_ms=timestamp_ms)
        await self.producer.flush()

    async def first_timestamp_ms(self, partition: int) -> int:
        async with KafkaConsumer(**self.brokers.options) as reader:
            reader.assign([TopicPartition(self.topic, partition)])
            reader.seek(TopicPartition(self.topic, partition), 0)
            return int((await reader.getone()).timestamp)

    async def stored(self) -> list[tuple[int, int, str]]:
        found = await self.client.query("SELECT partition, seq, reason FROM events ORDER BY partition, seq")
        return [(row[0], row[1], row[2]) for row in found.result_rows]

    @asynccontextmanager
    async def sink(self, **parts: Any) -> AsyncIterator["asyncio.Task[None]"]:
        consumer = Consumer(self.brokers, f"{self.prefix}.sink", [self.topic], session_timeout_ms=6_000)
        sink = DyingSink(
            brokers=self.brokers,
            consumer=consumer,
            clickhouse=self.client,
            table=TABLE,
            dead_letters=DeadLetters(self.producer, self.prefix, "sink"),
            **parts,
        )
        task = asyncio.create_task(sink.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def runs_until_it_dies(self, **dies: str) -> None:
        async with self.sink(**dies) as task:
            with pytest.raises((Killed, ExceptionGroup)):
                await asyncio.wait_for(task, PATIENCE_S)

    async def runs_until(self, expected: list[tuple[int, int, str]], **parts: Any) -> None:
        async with self.sink(**parts) as task:
            await until(lambda: self._has(expected), working=[task])
            # Whatever comes too much comes within another turn.
            await asyncio.sleep(0.5)
        assert await self.stored() == expected

    async def _has(self, expected: list[tuple[int, int, str]]) -> bool:
        return len(await self.stored()) >= len(expected)


def expected(*seqs_of_partition: Sequence[int]) -> list[tuple[int, int, str]]:
    return [(partition, seq, f"r{seq}") for partition, seqs in enumerate(seqs_of_partition) for seq in seqs]


@pytest.fixture
async def world(brokers: Brokers, topic_prefix: str, clickhouse_database: ClickHouseDatabase) -> AsyncIterator[World]:
    await create_topics(brokers, topic_prefix, PARTITIONS, 1)
    client = await clickhouse.connect(clickhouse_database.url)
    await client.command(CREATE_TABLE)
    producer = create_producer(brokers)
    await producer.start()
    yield World(brokers, topic_prefix, client, producer)
    await producer.stop()
    await client.close()


async def test_every_event_has_one_row_and_duplicates_none(world: World) -> None:
    await world.send(0, range(50))
    await world.send(1, range(30))
    await world.send(0, [3, 49, 50, 50, 0])
    await world.runs_until(expected(range(51), range(30)))


async def test_a_later_process_drops_what_an_earlier_one_stored(world: World) -> None:
    await world.send(0, [0, 1, 4, 5])
    await world.runs_until(expected([0, 1, 4, 5]))
    # A resend of all, among it the two that were missing: the recovered state knows the gap.
    await world.send(0, range(7))
    await world.runs_until(expected(range(7)))


@pytest.mark.parametrize(
    "dies",
    [
        {"die_before": "declare"},
        {"die_after": "declare"},
        {"die_before": "insert"},
        {"die_after": "insert"},
        {"die_before": "commit"},
        {"die_after": "commit"},
    ],
    ids=lambda dies: " ".join(f"{when} {what}" for when, what in dies.items()),
)
async def test_killed_at_any_point_it_neither_loses_nor_doubles(world: World, dies: dict[str, str]) -> None:
    await world.send(0, range(20))
    await world.send(1, range(20))
    await world.runs_until_it_dies(**dies)
    # More arrives meanwhile, with duplicates of what may or may not have landed.
    await world.send(0, [*range(15, 40)])
    await world.runs_until(expected(range(40), range(20)))


async def test_killed_again_and_again(world: World) -> None:
    await world.send(0, range(10))
    for end, dies in ((12, "declare"), (14, "insert"), (16, "commit"), (18, "insert")):
        await world.runs_until_it_dies(die_after=dies)
        await world.send(0, range(5, end))
    await world.runs_until(expected(range(18)))


async def test_rows_that_an_ok_did_not_bring_go_under_a_fresh_token(world: World) -> None:
    """The engine died between its dedup log and the part's rename: the token is taken, the rows are not there."""
    await world.send(0, range(10))
    await world.runs_until_it_dies(die_after="insert")
    await world.client.command("ALTER TABLE events DELETE WHERE 1 SETTINGS mutations_sync = 1")
    assert await world.stored() == []
    started = utc_now()
    await world.runs_until(expected(range(10)), now=lambda: started + (utc_now() - started) * 60)
    deadline = await world.client.query("SELECT max(toUnixTimestamp64Milli(insert_by)) FROM events")
    # It has waited until nothing that was sent under the spent token could land any more.
    assert deadline.result_rows[0][0] / 1000 > (started + 2 * INSERT_WITHIN).timestamp()


async def test_members_that_come_and_go_share_the_partitions(world: World) -> None:
    """Each rebalance waits for the batch in flight, and the next owner resumes where it ended."""

    async def load() -> None:
        for start in range(0, 400, 20):
            await world.send(0, range(start, start + 20))
            await world.send(1, range(start, start + 20))
            await asyncio.sleep(0.1)

    sending = asyncio.create_task(load())
    async with world.sink() as first:
        await until(lambda: world._has(expected(range(20))), working=[first])
        async with world.sink() as second:
            await asyncio.sleep(1)
            assert not first.done()
            assert not second.done()
        async with world.sink() as third:
            await asyncio.sleep(0.5)
            assert not third.done()
        await sending
        await until(lambda: world._has(expected(range(400), range(400))), working=[first])
    await world.runs_until(expected(range(400), range(400)))


async def test_part_of_a_block_is_an_alarm(world: World) -> None:
    await world.send(0, range(10))
    await world.runs_until_it_dies(die_after="insert")
    await world.client.command("ALTER TABLE events DELETE WHERE seq > 3 SETTINGS mutations_sync = 1")
    async with world.sink() as task:
        with pytest.raises(InconsistentState, match="has 4 of 10 rows"):
            await asyncio.wait_for(task, PATIENCE_S)


async def test_rows_without_a_committed_offset_are_an_alarm(world: World) -> None:
    now = utc_now()
    deadline = now.replace(year=now.year + 1)
    columns: list[list[Any]] = [[world.topic], [0], [0], [world.boot], [0], [202611], [deadline], [now], ["r0"]]
    await world.client.insert("events", columns, [*SINK_COLUMNS, "at", "reason"], column_oriented=True)
    async with world.sink() as task:
        with pytest.raises(InconsistentState, match=r"committed offset of group .* is missing"):
            await asyncio.wait_for(task, PATIENCE_S)


async def test_a_committed_offset_that_was_set_back_is_an_alarm(world: World) -> None:
    await world.send(0, range(10))
    await world.runs_until(expected(range(10)))
    reset = KafkaConsumer(**world.brokers.options, group_id=f"{world.prefix}.sink")
    async with reset:
        partition = TopicPartition(world.topic, 0)
        reset.assign([partition])
        await reset.commit({partition: 3})
    async with world.sink() as task:
        with pytest.raises(
            InconsistentState, match=r"7 rows .* at or after offset 3, but the committed offset .* is 3"
        ):
            await asyncio.wait_for(task, PATIENCE_S)


async def test_a_table_of_an_older_moment_is_filled_up_from_the_log(world: World) -> None:
    """As docs/operations.md restores one: what the backup has, and each partition's offset right behind its rows."""
    await world.send(0, range(10))
    await world.runs_until(expected(range(10)))
    # Parts as they are, in a table that knows no token: what RESTORE makes.
    await world.client.command("CREATE TABLE backup AS events")
    month = (await world.client.query("SELECT any(block_month) FROM events")).result_rows[0][0]
    await world.client.command(f"ALTER TABLE backup ATTACH PARTITION {month} FROM events")
    await world.send(0, range(5, 20))
    await world.send(1, range(7))
    await world.runs_until(expected(range(20), range(7)))

    await world.client.command("DROP TABLE events")
    await world.client.command("RENAME TABLE backup TO events")
    found = await world.client.query("SELECT partition, max(offset) + 1 FROM events GROUP BY partition")
    # A partition that has no rows begins where the log does.
    offsets = dict.fromkeys(range(PARTITIONS), 0) | {row[0]: row[1] for row in found.result_rows}
    assert offsets == {0: 10, 1: 0}
    reset = KafkaConsumer(**world.brokers.options, group_id=f"{world.prefix}.sink")
    async with reset:
        partitions = {TopicPartition(world.topic, partition): offset for partition, offset in offsets.items()}
        reset.assign(list(partitions))
        await reset.commit(partitions)
    await world.runs_until(expected(range(20), range(7)))


async def test_records_that_waited_are_judged_by_their_own_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The boot was within the horizon when they came; the clock alone says that it no longer is."""
    world.boot = id_floor(utc_now() - timedelta(days=7))
    await world.send(0, range(10))
    came_at = moment(await world.first_timestamp_ms(0))
    monkeypatch.setattr(sequence, "BOOT_HORIZON", came_at - made_at(world.boot))
    await world.runs_until(expected(range(10)))
    await world.send(0, range(5, 12))
    await world.runs_until(expected(range(12)))


async def test_the_clock_of_who_sent_them_is_not_believed(world: World) -> None:
    """A record's time is the broker's: by it a boot is forgotten, and a record deleted."""
    began = utc_now()
    await world.send(0, range(2), utc_now() - timedelta(days=30))
    assert moment(await world.first_timestamp_ms(0)) > began - timedelta(minutes=1)


async def test_what_can_never_be_handled_goes_to_the_dead_letters_and_stays_a_gap(world: World) -> None:
    await world.send(0, [0])
    await world.producer.send_and_wait(world.topic, b'{"type":"unheard_of"}', b"key", partition=0)
    await world.send(0, [2])
    await world.runs_until(expected([0, 2]))

    partition = TopicPartition(Topic.USAGE.dead_letters(world.prefix), 0)
    reader = KafkaConsumer(**world.brokers.options)
    await reader.start()
    try:
        reader.assign([partition])
        await reader.seek_to_beginning(partition)
        letter = await asyncio.wait_for(reader.getone(), PATIENCE_S)
    finally:
        await reader.stop()
    assert (letter.value, letter.key) == (b'{"type":"unheard_of"}', b"key")
    headers = dict(letter.headers)
    assert headers["source"] == f"{world.topic}:0:1".encode()
    assert b"not decodable" in headers["reason"]
