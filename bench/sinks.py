"""The cost of a row in a sink, part by part: from a full topic to durable rows, with the service's own code.

For comparison, the engine copies the same rows by itself (`INSERT … SELECT`), which is the minimum cost of storing
them, and a sink takes one message at a time. All figures are CPU time of this process and the engine, so a busy machine
yields nearly the same figures as an idle one.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from types import ModuleType
from typing import Any, TypeVar

import psutil
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from bench.engine import cpu_s
from clickhouse_connect.driver import asyncclient
from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_common.clickhouse import blocks
from tollgate_common.clickhouse.blocks import Stamped, Table
from tollgate_common.clickhouse.sink import Sink
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.kafka.consumer import MAX_RECORDS, Batches, Consumer, Handler
from tollgate_common.kafka.dead_letters import DeadLetters

FilledT = TypeVar("FilledT")

GOAL = 150_000
# Number of messages that are taken one at a time.
SINGLE = 200
# Parts of this process's CPU time, by function. The rest is sockets, commits and the event loop.
PARTS: Mapping[str, tuple[type | ModuleType, str]] = {
    "fetched records, decompressed": (FetchResult, "getall"),
    "decoded": (blocks, "decode_all"),
    "checked, admitted, made columns": (blocks, "as_a_whole"),
    "with the sink's own columns": (Sink, "_arrow"),
    "encoded, compressed": (asyncclient, "arrow_buffer"),
}


@dataclass(frozen=True)
class Spent:
    """CPU seconds of this process and the engine for a number of rows, and of the parts."""

    rows: int
    here_s: float
    engine_s: float
    wall_s: float
    parts: Mapping[str, float]


@dataclass(frozen=True)
class Costs:
    block: Spent
    copy: Spent
    single: Spent


class Counting:
    """A handler that signals its first batch, and the end of all messages."""

    def __init__(self, handler: Handler, rows: int) -> None:
        self._handler = handler
        self.left = rows
        self.begun, self.done = asyncio.Event(), asyncio.Event()

    async def assigned(self, partition: TopicPartition) -> int:
        return await self._handler.assigned(partition)

    def revoked(self, partitions: set[TopicPartition]) -> None:
        self._handler.revoked(partitions)

    async def handle(self, batches: Batches) -> None:
        await self._handler.handle(batches)
        self.left -= sum(map(len, batches.values()))
        self.begun.set()
        if self.left <= 0:
            self.done.set()


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Measure the CPU seconds of each of `PARTS` within the context."""
    spent = defaultdict[str, float](float)
    originals = [(place, name, getattr(place, name)) for place, name in PARTS.values()]

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                spent[part] += time.thread_time() - began

        return run

    for part, (place, name, function) in zip(PARTS, originals, strict=True):
        setattr(place, name, timed(part, function))
    try:
        yield spent
    finally:
        for place, name, function in originals:
            setattr(place, name, function)


async def apart(fill: Callable[..., Coroutine[Any, Any, FilledT]], *arguments: Any) -> FilledT:
    """Await `fill(*arguments)` in a separate process.

    Creating and freeing hundreds of thousands of events fragments the heap. The sink would then be measured with a heap
    that no service has.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return await asyncio.get_running_loop().run_in_executor(process, _run, fill, arguments)


def _run(fill: Callable[..., Coroutine[Any, Any, FilledT]], arguments: Sequence[Any]) -> FilledT:
    return asyncio.run(fill(*arguments))


async def send(producer: KafkaProducer, topic: str, partition: int, values: Sequence[bytes]) -> None:
    """Fill a partition in batches, as an edge does."""
    batch = producer.create_batch()
    for value in values:
        if batch.append(key=None, value=value, timestamp=None) is None:
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=None, value=value, timestamp=None)
    await (await producer.send_batch(batch, topic, partition=partition))


async def costs(
    *,
    brokers: Brokers,
    topics: Sequence[str],
    table: Table[Any],
    client: AsyncClient,
    engine: psutil.Process,
    producer: KafkaProducer,
    rows: int,
) -> Costs:
    """Measure the table's sink on a topic with `rows` messages, then the two comparisons."""

    async def through(name: str, count: int, **options: int) -> Spent:
        consumer = Consumer(brokers, f"{topics[0]}.{name}", topics, **options)
        handler = Sink[Stamped](
            brokers=brokers,
            consumer=consumer,
            clickhouse=client,
            table=table._replace(name=name),
            dead_letters=DeadLetters(producer, "bench", consumer.group),
        )
        return await _spend(Counting(handler, count), consumer, engine)

    # Merges start at any time, and would be counted for whichever part runs then.
    await client.command("SYSTEM STOP MERGES")
    block = await through(table.name, rows)
    assert await _count(client, table.name) == rows
    for name in ("single", "copy"):
        await client.command(f"CREATE TABLE {name} AS {table.name}")
    single = await through("single", SINGLE, max_records=1)
    copy = await _copy(client, table.name, engine, rows)
    return Costs(block, copy, single)


async def _spend(handler: Counting, consumer: Consumer, engine: psutil.Process) -> Spent:
    """Return the cost of each row after the first batch; joining the group and reading the catalog happen once."""
    with stopwatch() as parts:
        task = asyncio.create_task(consumer.run(handler))
        await _first(task, handler.begun)
        parts.clear()
        rows = handler.left
        here, there, began = time.process_time(), cpu_s(engine), time.perf_counter()
        await _first(task, handler.done)
        spent = Spent(
            rows,
            time.process_time() - here,
            cpu_s(engine) - there,
            time.perf_counter() - began,
            dict(parts),
        )
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return spent


async def _first(task: asyncio.Task[None], event: asyncio.Event) -> None:
    """Wait for the event, or raise the task's error."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()


async def _copy(client: AsyncClient, table: str, engine: psutil.Process, rows: int) -> Spent:
    """Copy the rows between tables in one thread, in blocks of the sink's size."""
    there, here, began = cpu_s(engine), time.process_time(), time.perf_counter()
    await client.command(
        "INSERT INTO copy SELECT * REPLACE (now() + 60 AS insert_by) FROM {table:Identifier}",
        parameters={"table": table},
        settings={
            "max_threads": 1,
            "max_insert_threads": 1,
            "max_block_size": MAX_RECORDS,
            "min_insert_block_size_rows": MAX_RECORDS,
            "min_insert_block_size_bytes": 0,
        },
    )
    spent = Spent(rows, time.process_time() - here, cpu_s(engine) - there, time.perf_counter() - began, {})
    assert await _count(client, "copy") == rows
    return spent


async def _count(client: AsyncClient, table: str) -> int:
    found = await client.query("SELECT count() FROM {table:Identifier}", parameters={"table": table})
    return int(found.result_rows[0][0])


def show(what: str, costs: Costs) -> None:
    block = costs.block
    print(f"\n{what}: {block.rows:,} rows, in {block.wall_s:.1f} s")
    print(f"{'':<40}{'rows/CPU s here':>16}{'here, µs':>10}{'engine, µs':>12}")
    for name, spent in (
        ("the sink, a block at a time", block),
        ("the engine's own INSERT … SELECT", costs.copy),
        ("the sink, one message at a time", costs.single),
    ):
        rate = f"{spent.rows / spent.here_s:,.0f}" if spent is not costs.copy else ""
        print(f"{name:<40}{rate:>16}{_us(spent.here_s, spent):>10}{_us(spent.engine_s, spent):>12}")
    for part in PARTS:
        print(f"  {part:<38}{'':>16}{_us(block.parts[part], block):>10}")
    print(f"  {'sockets, commits, the loop':<38}{'':>16}{_us(block.here_s - sum(block.parts.values()), block):>10}")


def _us(seconds: float, spent: Spent) -> str:
    return f"{seconds / spent.rows * 1e6:.2f}"
