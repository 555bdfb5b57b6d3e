"""The time of the dashboards' queries on many rows.

The benchmark has its own engine, which generates the rows of a few heavy accounts and thousands of small ones. Queries
use the statements and limits of the API, for typical accounts and for the heaviest, one at a time and eight at once.
Rows of an earlier run in the same folder are used again.
"""

import argparse
import asyncio
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from bench.engine import cpu_s, own_engine, until_up
from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_analytics.query.cursors import NEWEST
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.limiter import QueryLimiter
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.store import Store
from tollgate_analytics.query.usage_query import EVER, Granularity, TimeRange, UsageQuery
from tollgate_analytics.rollup.usage_hours import roll_up
from tollgate_common.clickhouse import client as clickhouse

ROWS = (Path(__file__).parent / "rows.sql").read_text()
STEP = 500_000
END = datetime(2026, 11, 24, tzinfo=UTC)
HEAVIEST = "acc-000000"
TYPICAL = [f"acc-{number:06}" for number in range(200, 3_000, 7)]

Ask = Callable[[Store, Scope], Awaitable[Any]]


async def fill(client: AsyncClient, rows: int) -> None:
    there = (await client.query("SELECT count() FROM request_events")).result_rows[0][0]
    requests, first = rows // 3, there // 3
    started = time.perf_counter()
    await client.command("ALTER TABLE request_events DROP CONSTRAINT IF EXISTS fresh")
    while first < requests:
        count = min(STEP, requests - first)
        await client.command(
            ROWS,
            parameters={"requests": requests, "first": first, "count": count},
            settings={
                "max_insert_block_size": STEP * 3,
                "min_insert_block_size_rows": STEP * 3,
                "max_threads": 2,
                # Merges produce parts of this size, and write their statistics.
                "materialize_statistics_on_insert": 1,
            },
        )
        first += count
        print(f"  {first * 3:>12,} rows after {time.perf_counter() - started:.0f} s", flush=True)
    while await roll_up(client):
        pass
    print(f"  rolled up after {time.perf_counter() - started:.0f} s", flush=True)


def last(**ago: float) -> TimeRange:
    # Neither end is a full hour, as with a range that ends now.
    end = END - timedelta(minutes=17, seconds=3)
    return TimeRange(end - timedelta(**ago), end)


def usage(query: UsageQuery, top_groups: Sequence[tuple[str, ...]] | None = None) -> Ask:
    return lambda store, scope: store.usage(scope, query, limit=1_000, top_groups=top_groups)


async def log_page(store: Store, scope: Scope, **filters: list[str]) -> None:
    chosen = {Dimension(name): values for name, values in filters.items()}
    page = await store.requests(scope, EVER, chosen, NEWEST, 50)
    if page:
        await store.request_usage(scope, page)


D, G = Dimension, Granularity
QUESTIONS: dict[str, Ask] = {
    "30 days by day and model": usage(UsageQuery(last(days=30), (D.MODEL,), G.DAY)),
    "30 days by key": usage(UsageQuery(last(days=30), (D.API_KEY,))),
    "30 days by project and model, a zone": usage(
        UsageQuery(last(days=30), (D.PROJECT, D.MODEL), G.DAY, time_zone="America/New_York")
    ),
    "30 days by provider and stream": usage(UsageQuery(last(days=30), (D.PROVIDER, D.STREAM))),
    "24 hours by hour and model": usage(UsageQuery(last(hours=24), (D.MODEL,), G.HOUR)),
    "85 days by week and project": usage(UsageQuery(last(days=85), (D.PROJECT,), G.WEEK)),
    "1 hour by minute": usage(UsageQuery(last(hours=1), (), G.MINUTE)),
    "7 days by error code": usage(UsageQuery(last(days=7), (D.ERROR_CODE,))),
    "24 hours by hour and status": usage(UsageQuery(last(hours=24), (D.STATUS_CLASS,), G.HOUR)),
    "7 days, percentiles by model (rows)": lambda store, scope: store.percentiles(
        scope, UsageQuery(last(days=7), (D.MODEL,))
    ),
    "newest requests": log_page,
    "newest failed requests": lambda store, scope: log_page(store, scope, status_class=["4xx", "5xx"]),
}


async def measure(store: Store, ask: Ask, accounts: Sequence[str], times: int, at_once: int) -> list[float]:
    """Return the time of each query, in milliseconds."""
    chance = random.Random(times)
    taken: list[float] = []

    async def asker(count: int) -> None:
        for _ in range(count):
            scope = Scope(chance.choice(accounts))
            started = time.perf_counter()
            await ask(store, scope)
            taken.append((time.perf_counter() - started) * 1000)

    await asker(1)
    taken.clear()
    await asyncio.gather(*(asker(max(1, times // at_once)) for _ in range(at_once)))
    return taken


def p95(taken: Sequence[float]) -> float:
    return statistics.quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else taken[0]


async def questions(client: AsyncClient, engine: psutil.Process, times: int, only: str) -> None:
    chosen = {name: ask for name, ask in QUESTIONS.items() if only in name}
    store = Store(client)
    # This benchmark queries one account as often as many would. A test covers the limiter itself.
    store._limiter = QueryLimiter(max_running=8)  # noqa: SLF001 - see above
    # An engine that has just started has no threads and empty caches.
    for ask in chosen.values():
        await asyncio.gather(*(ask(store, Scope(account)) for account in (*TYPICAL[:7], HEAVIEST)))
    before, started = cpu_s(engine), time.perf_counter()
    for _ in range(times):
        await client.query("SELECT 1")
    wall_ms, cpu_ms = (1000 * spent / times for spent in (time.perf_counter() - started, cpu_s(engine) - before))
    print(f"SELECT 1 takes {wall_ms:.1f} ms, of which the engine's CPU {cpu_ms:.1f}")
    print(f"p95 in ms of {times} queries; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'query':<40}{'typical':>10}{'8 at once':>12}{'heaviest':>10}{'8 at once':>12}{'CPU ms':>16}")
    for name, ask in chosen.items():
        cells: list[float] = []
        spent: list[float] = []
        for accounts in (TYPICAL, [HEAVIEST]):
            before = cpu_s(engine)
            taken = [await measure(store, ask, accounts, times, at_once) for at_once in (1, 8)]
            # The engine's CPU time of one query, which does not depend on the load of the machine.
            spent.append((cpu_s(engine) - before) * 1000 / (sum(map(len, taken)) + 2))
            cells += [p95(part) for part in taken]
        print(
            f"{name:<40}{cells[0]:>10.0f}{cells[1]:>12.0f}{cells[2]:>10.0f}{cells[3]:>12.0f}"
            f"{spent[0]:>8.0f}{spent[1]:>8.0f}",
            flush=True,
        )


async def run(url: str, engine: psutil.Process, arguments: argparse.Namespace) -> None:
    await until_up(url, "tollgate_analytics")
    client = await clickhouse.connect(url, timeout_s=600)
    try:
        await fill(client, arguments.rows)
        parts = await client.query(
            "SELECT sum(rows), sum(bytes_on_disk), count() FROM system.parts "
            "WHERE active AND database = 'bench' AND table = 'request_events'"
        )
        rows, size, count = parts.result_rows[0]
        print(f"{rows:,} rows in {count} parts, {size / rows:.0f} bytes a row with the projections")
        if not arguments.fill_only:
            await questions(client, engine, arguments.times, arguments.only)
    finally:
        await client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--times", type=int, default=40, help="number of runs of each query")
    parser.add_argument("--only", default="", help="run only the queries whose name contains this")
    parser.add_argument("--fill-only", action="store_true", help="generate the rows and measure nothing")
    parser.add_argument(
        "--folder", type=Path, required=True, help="the folder of the engine's data; 10 GB for 50 million rows"
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with own_engine(arguments.folder) as (url, engine):
        asyncio.run(run(url, engine, arguments))


if __name__ == "__main__":
    main()
