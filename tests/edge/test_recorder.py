"""No event is lost, whatever Kafka does: every seq is there in the end, and first comes in its order."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from edge.running import WITHIN_S, read_events
from engines.own_kafka import OwnKafka, own_kafka
from engines.stores import unique_name
from tollgate_common.clock import utc_now
from tollgate_common.events import EdgeHeartbeat, RequestDimensions, RequestOpened, StampedEvent, Void, encode
from tollgate_common.ids import new_id
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic, create_topics
from tollgate_edge.event_log.log import EventLog
from tollgate_edge.event_log.rotation import RotatingEventWriter
from tollgate_edge.event_log.spool import Entry, Spool
from tollgate_edge.event_log.writer import EventWriter
from waiting import until

pytestmark = [pytest.mark.engines]

ACCOUNTS = [f"account-{number}" for number in range(20)]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnKafka]:
    with own_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
async def prefix(kafka: OwnKafka) -> str:
    name = unique_name()
    await create_topics(kafka.brokers, name, partitions=3, replication=1)
    return name


async def idle() -> None:
    return


class Running:
    """A writer at work."""

    def __init__(self, brokers: Brokers, prefix: str, folder: Path, boot_id: str) -> None:
        self.boot_id = boot_id
        self.spool_file = folder / f"{boot_id}.spool"
        self.log = EventLog(
            brokers,
            prefix,
            folder,
            boot_id,
            ack_timeout_s=1.0,
            spool_max_bytes=100_000,
            spool_max_age_s=3600,
        )
        self.writer = EventWriter(self.log, boot_id=boot_id, edge="edge-1")
        self.recorded = 0

    async def record(self, count: int, *, at_once: int = 50) -> None:
        """Record `count` events of each topic, `at_once` at a time, and wait until they are durable."""
        for start in range(0, count, at_once):
            accounts = [ACCOUNTS[number % len(ACCOUNTS)] for number in range(start, min(count, start + at_once))]
            async with asyncio.timeout(WITHIN_S):
                await asyncio.gather(
                    *(self.writer.record(Topic.REQUESTS, account, opened(account)).durable() for account in accounts),
                    *(self.writer.record(Topic.USAGE, account, void(account)).durable() for account in accounts),
                )
        self.recorded += count

    def uses_kafka(self) -> bool:
        return self.log._producer is not None and self.spool_file.stat().st_size == 0


def opened(account: str) -> Callable[[Stamp], StampedEvent]:
    request = RequestDimensions(request_id=new_id(), account_id=account, key_id="key", endpoint="/v1", model="m")
    return lambda stamp: RequestOpened(stamp=stamp, at=utc_now(), request=request)


def void(account: str) -> Callable[[Stamp], StampedEvent]:
    return lambda stamp: Void(stamp=stamp, at=utc_now(), account_id=account, reason="test")


@asynccontextmanager
async def running(kafka: OwnKafka, prefix: str, folder: Path) -> AsyncIterator[Running]:
    """A writer that has connected; leaving the context stops it in good order."""
    it = Running(kafka.brokers, prefix, folder, new_id())
    task = asyncio.create_task(it.writer.run(idle))
    try:
        await until(lambda: task.done() or it.writer.refusal() is None)
        yield it
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


Seqs = dict[tuple[str, int], list[int]]


async def arrived(kafka: OwnKafka, prefix: str, boot_id: str) -> tuple[Seqs, list[EdgeHeartbeat]]:
    """The seqs of a boot by topic and partition, in their order of arrival, and its heartbeats."""
    seqs: Seqs = defaultdict(list)
    beats = []
    for event in await read_events(kafka.brokers, prefix):
        if event.stamp.boot_id == boot_id:
            topic = Topic.USAGE if isinstance(event, Void) else Topic.REQUESTS
            seqs[topic, event.stamp.partition].append(event.stamp.seq)
            if isinstance(event, EdgeHeartbeat):
                beats.append(event)
    return seqs, beats


async def check_complete(kafka: OwnKafka, prefix: str, it: Running) -> int:
    """Every seq of a writer that has ended in good order is there. Returns the number of duplicates."""
    seqs, beats = await arrived(kafka, prefix, it.boot_id)
    duplicates = 0
    for found in seqs.values():
        first_seen = list(dict.fromkeys(found))
        assert first_seen == list(range(len(first_seen))), "each is there, and none before one with a lower seq"
        duplicates += len(found) - len(first_seen)
    distinct = sum(len(set(found)) for found in seqs.values())
    assert distinct == 2 * it.recorded + len({beat.stamp for beat in beats})
    # The last heartbeat tells of everything but itself.
    last = max(beats, key=lambda beat: beat.stamp.seq)
    told = {(topic, number): count for topic, counts in last.sent.items() for number, count in enumerate(counts)}
    told[Topic.REQUESTS, last.stamp.partition] += 1
    assert told == {place: len(set(seqs.get(place, []))) for place in told}
    return duplicates


def spool_files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_events_go_to_kafka_alone_while_it_answers(kafka: OwnKafka, prefix: str, tmp_path: Path) -> None:
    async with running(kafka, prefix, tmp_path) as it:
        await it.record(500)
        assert it.uses_kafka()
    assert await check_complete(kafka, prefix, it) == 0
    assert spool_files(tmp_path) == []


async def test_an_event_that_cannot_be_built_uses_no_seq(kafka: OwnKafka, prefix: str, tmp_path: Path) -> None:
    def broken(_stamp: Stamp) -> StampedEvent:
        raise ValueError("no such event")

    async with running(kafka, prefix, tmp_path) as it:
        await it.record(5)
        with pytest.raises(ValueError, match="no such event"):
            it.writer.record(Topic.USAGE, ACCOUNTS[0], broken)
        await it.record(5)
        # A Kafka that has just made the topics may be slow to acknowledge; what is spooled then is sent later.
        await until(it.uses_kafka)
    await check_complete(kafka, prefix, it)


async def test_a_waiter_that_is_cancelled_takes_no_other_with_it(kafka: OwnKafka, prefix: str, tmp_path: Path) -> None:
    async with running(kafka, prefix, tmp_path) as it:
        flushes = [it.writer.record(Topic.USAGE, ACCOUNTS[0], void("a")) for _ in range(2)]
        waiting = [asyncio.ensure_future(flush.durable()) for flush in flushes]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await waiting[1]
        assert waiting[0].cancelled()


async def test_kafka_dies_and_comes_back(kafka: OwnKafka, prefix: str, tmp_path: Path) -> None:
    async with running(kafka, prefix, tmp_path) as it:
        await it.record(100)
        try:
            await asyncio.to_thread(kafka.kill)
            await it.record(300)
            assert not it.uses_kafka()
            assert it.writer.refusal() == "its spool is full"
        finally:
            await asyncio.to_thread(kafka.start)
        await it.record(100)
        await until(it.uses_kafka)
        assert it.writer.refusal() is None
        await it.record(100)
    await check_complete(kafka, prefix, it)
    assert spool_files(tmp_path) == []


async def test_kafka_freezes_under_load_and_thaws(kafka: OwnKafka, prefix: str, tmp_path: Path) -> None:
    async with running(kafka, prefix, tmp_path) as it:
        load = asyncio.create_task(it.record(5000, at_once=10))
        await asyncio.sleep(0.1)
        kafka.freeze()
        try:
            await until(lambda: it.spool_file.stat().st_size > 50_000)
        finally:
            kafka.thaw()
        await load
        await until(it.uses_kafka)
    await check_complete(kafka, prefix, it)


async def test_a_recorder_that_ends_without_kafka_leaves_its_spool(
    kafka: OwnKafka, prefix: str, tmp_path: Path
) -> None:
    try:
        async with running(kafka, prefix, tmp_path) as first:
            await first.record(50)
            await asyncio.to_thread(kafka.kill)
            await first.record(50)
        assert first.spool_file.stat().st_size > 0
    finally:
        await asyncio.to_thread(kafka.start)
    async with running(kafka, prefix, tmp_path) as second:
        await until(lambda: not first.spool_file.exists())
    await check_complete(kafka, prefix, first)
    await check_complete(kafka, prefix, second)


async def test_a_dead_process_spool_is_replayed_to_its_stamped_partition(
    kafka: OwnKafka, prefix: str, tmp_path: Path
) -> None:
    boot_id = new_id()
    spool = Spool.create(tmp_path, boot_id)
    events = [void(f"account-{seq}")(Stamp(boot_id, 2, seq)) for seq in range(3000)]
    await spool.append([Entry(Topic.USAGE, 2, event.stamp.seq, b"any key", encode(event)) for event in events])
    spool.close()
    async with running(kafka, prefix, tmp_path):
        await until(lambda: not (tmp_path / f"{boot_id}.spool").exists())
    seqs, _ = await arrived(kafka, prefix, boot_id)
    assert seqs == {(Topic.USAGE, 2): list(range(3000))}


async def test_boots_follow_one_another_without_a_gap(kafka: OwnKafka, prefix: str, tmp_path: Path) -> None:
    boots: list[str] = []

    def start() -> EventWriter:
        boots.append(new_id())
        event_log = EventLog(
            kafka.brokers,
            prefix,
            tmp_path,
            boots[-1],
            ack_timeout_s=5.0,
            spool_max_bytes=100_000,
            spool_max_age_s=3600,
        )
        return EventWriter(event_log, boot_id=boots[-1], edge="edge-1")

    rotating = RotatingEventWriter(start, lifetime_s=1.0)
    task = asyncio.create_task(rotating.run(idle))
    recorded = 0
    async with asyncio.timeout(WITHIN_S):
        while rotating.refusal() is not None:
            await asyncio.sleep(0.05)
        while len(boots) < 4:
            flushes = [rotating.record(Topic.USAGE, account, void(account)) for account in ACCOUNTS]
            for flush in flushes:
                await flush.durable()
            recorded += len(flushes)
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    found = 0
    for boot_id in boots:
        seqs, beats = await arrived(kafka, prefix, boot_id)
        for (topic, partition), arrived_seqs in seqs.items():
            distinct = sorted(set(arrived_seqs))
            assert distinct == list(range(len(distinct)))
            if topic == Topic.USAGE:
                found += len(distinct)
                assert beats[-1].sent[Topic.USAGE.value][partition] == len(distinct)
    assert found == recorded
