"""Charges per second from Kafka into the ledger, through one consumer of the balance service.

The outbox is published at the same time and by the same process, as in the service.
"""

import asyncio
import time
from typing import LiteralString

from bench.money.figures import Figure
from bench.money.place import Place, own_place
from bench.money.usage import Edge

from tollgate_balance.credits.handlers import grant_credit
from tollgate_balance.main import BATCH_RECORDS, CONNECTIONS
from tollgate_balance.usage.consumer import UsageConsumer
from tollgate_common.clock import utc_now
from tollgate_common.events import CreditGranted, encode
from tollgate_common.ids import new_id
from tollgate_common.kafka.consumer import Consumer
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres.connection import Pool, create_pool
from tollgate_common.postgres.outbox import Publisher
from tollgate_common.topics import Topic

CHARGES, ACCOUNTS, PARTITIONS = 100_000, 1_000, 4
GOAL = 20_000
CONSUMED: LiteralString = "SELECT sum(next)::bigint AS number FROM consumer_offsets"
WAITING: LiteralString = "SELECT count(*) AS number FROM outbox"


async def measure() -> list[Figure]:
    async with own_place(PARTITIONS) as place, create_pool(place.dsn, max_size=CONNECTIONS) as pool:
        account_ids = [f"account-{n}" for n in range(ACCOUNTS)]
        # Three grants each, so that burning them is not noticeable.
        for account_id in account_ids:
            for priority in (1, 2, 3):
                await grant_credit(pool, _granted(account_id, priority))
        await _fill(place, account_ids)
        elapsed_s, cpu_s, behind = await _consume(place, pool)
    note = f"{behind} balances were still to be published after the last"
    return [
        Figure("charges from Kafka into the ledger, one process", CHARGES / elapsed_s, "a second", GOAL, note=note),
        Figure("… of its own CPU, without PostgreSQL's", cpu_s / CHARGES * 1e6, "µs each"),
    ]


def _granted(account_id: str, priority: int) -> CreditGranted:
    return CreditGranted(
        grant_id=new_id(),
        account_id=account_id,
        at=utc_now(),
        amount_nano=10**12,
        source="payment",
        priority=priority,
    )


async def _fill(place: Place, account_ids: list[str]) -> None:
    edge, producer = Edge(PARTITIONS), create_producer(place.brokers)
    await producer.start()
    try:
        for number in range(CHARGES):
            event = edge.used(account_ids[number % ACCOUNTS], 1_000)
            await producer.send(Topic.USAGE.named(place.prefix), encode(event), partition=event.stamp.partition)
        await producer.flush()
    finally:
        await producer.stop()


async def _consume(place: Place, pool: Pool) -> tuple[float, float, int]:
    """Return wall and CPU seconds from the first batch's posting to the last, and the outbox's rows at the end."""
    group, producer = f"{place.prefix}.balance", create_producer(place.brokers)
    await producer.start()
    consumer = Consumer(place.brokers, group, [Topic.USAGE.named(place.prefix)], max_records=BATCH_RECORDS)
    publisher = Publisher(place.brokers, place.dsn, place.prefix, "balance")
    publishing = asyncio.create_task(publisher.run())
    while await _count(pool, WAITING):
        await asyncio.sleep(0.1)
    working = asyncio.create_task(UsageConsumer(consumer, pool, DeadLetters(producer, place.prefix, group)).run())
    try:
        first = 0
        while not first:
            first = await _count(pool, CONSUMED)
            await asyncio.sleep(0.005)
        began_s, cpu_s = time.perf_counter(), time.process_time()
        while await _count(pool, CONSUMED) < CHARGES:
            await asyncio.sleep(0.02)
            if working.done():
                working.result()
        elapsed_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        part = CHARGES / (CHARGES - first)
        return elapsed_s * part, cpu_s * part, await _count(pool, WAITING)
    finally:
        for task in (working, publishing):
            task.cancel()
        await asyncio.gather(working, publishing, return_exceptions=True)
        await producer.stop()


async def _count(pool: Pool, statement: LiteralString) -> int:
    async with pool.connection() as connection:
        [row] = await (await connection.execute(statement)).fetchall()
    return row["number"] or 0
