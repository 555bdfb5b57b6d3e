"""`kill -9` of the whole service while it works: the totals are exact afterwards."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from balance.world import USD, Boot, World, granted
from tollgate_local.ports import free_port
from waiting import until

KILLS = 3
EVENTS = 6_000
ACCOUNTS = 15


@asynccontextmanager
async def service(world: World, log: Path) -> AsyncIterator[int]:
    """The service as a process of its own, killed at the end; gives its port."""
    port = free_port()
    environment = os.environ | {
        "TOLLGATE_KAFKA_BOOTSTRAP": world.brokers.bootstrap,
        "TOLLGATE_TOPIC_PREFIX": world.prefix,
        "TOLLGATE_POSTGRES_DSN": world.dsn,
        "TOLLGATE_PORT": str(port),
    }
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tollgate_balance.main", env=environment, stderr=output
        )
    try:
        yield port
        assert process.returncode is None, "the service has ended by itself"
    finally:
        process.kill()
        await process.wait()


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_killed_in_the_middle_of_a_load_the_totals_are_exact(world: World, tmp_path: Path) -> None:
    boots = [Boot(), Boot()]
    spent: Counter[str] = Counter()
    events = []
    for n in range(EVENTS):
        event = boots[n % 2].used(f"account-{n % ACCOUNTS}", 1 + n)
        spent[event.request.account_id] += event.amount_nano
        events.append(event)
    grants = [granted(account_id, USD) for account_id in spent]
    await world.send_credit(*grants)
    # One account gets no credit: all that it spends is written off.
    poor = boots[0].used("poor", 123)

    step = EVENTS // KILLS
    for kill in range(KILLS):
        sent = events[kill * step : (kill + 1) * step]
        before = sum(await world.consumed())

        async def has_begun(target: int = before + step // 3) -> bool:
            return sum(await world.consumed()) >= target

        async with service(world, tmp_path / "log"):
            sending = asyncio.create_task(world.send(sent))
            await until(has_begun)
        await sending
        await world.send(sent[::7])
    await world.send([poor])
    await world.send_credit(*grants)

    async with service(world, tmp_path / "log") as port:
        await until(world.has_consumed_all)
        await until(lambda: has_granted(world, len(grants)))
        await until(lambda: is_published(world))
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/readyz")).json() == {"status": "ready"}

    for account_id, amount_nano in spent.items():
        assert await world.posted("usage", account_id) == -amount_nano
        written_off_nano = await world.posted("write_off", account_id)
        assert await world.account(account_id) | {"version": 0} == {
            "posted_nano": USD - amount_nano + written_off_nano,
            "held_nano": 0,
            "due_nano": 0,
            "version": 0,
        }
    assert (await world.posted("usage", "poor"), await world.posted("write_off", "poor")) == (-123, 123)
    gaps = await world.query("SELECT high, gaps::text AS gaps FROM sequences")
    assert sum(row["high"] for row in gaps) == EVENTS + 1
    assert {row["gaps"] for row in gaps} == {"{}"}
    await world.check_books()


async def has_granted(world: World, count: int) -> bool:
    return await world.query("SELECT count(*) AS count FROM grants") == [{"count": count}]


async def is_published(world: World) -> bool:
    return await world.query("SELECT FROM outbox") == []
