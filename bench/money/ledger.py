"""The time and the query plans of the pages that owners and operators read, on ten million ledger entries.

Each read goes through the service's application, from the parsed request to the rendered response: it finds the
caller, queries the database, and renders a page of a hundred entries as JSON. Only the socket is missing.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import httpx
from bench.money import ledger_fill
from bench.money.figures import Figure, percentile
from bench.money.ledger_fill import ACCOUNTS, DAYS, account_id
from bench.money.place import Place, kept_database, own_place
from pydantic import SecretStr

from tollgate_balance.accounts import api
from tollgate_balance.accounts.store import NEWEST, OLDEST
from tollgate_balance.database.statements import SQL
from tollgate_balance.reconciliation.source import LedgerReconciliationSource
from tollgate_common.auth import api_key as apikey
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.clock import utc_now
from tollgate_common.events import KeyRecord, encode
from tollgate_common.http import create_app
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres.connection import Pool, create_pool
from tollgate_common.topics import Topic

ENTRIES, READS, CUSTOMERS = 10_000_000, 500, 500
GOAL_MS = 20
LARGEST = account_id(0)
OPERATOR = "operator-of-the-measurement"


class Customer(NamedTuple):
    account_id: str
    key: str


async def measure(entries: int = ENTRIES, database: str | None = None, *, plans: bool = False) -> list[Figure]:
    """Measure on `database`, which is filled once and kept. Without it, fill a temporary one."""
    async with own_place(1) as place:
        dsn = place.dsn if database is None else await kept_database(database)
        async with create_pool(dsn) as pool:
            await _fill(pool, entries)
            if plans:
                await _show_plans(pool)
            async with _client(place, pool) as (http, customers):
                size = Figure(
                    "an entry of the ledger, with its indexes", await ledger_fill.bytes_an_entry(pool), "bytes"
                )
                return [size, *[await _time(http, what, read) for what, read in _reads(customers).items()]]


async def _fill(pool: Pool, entries: int) -> None:
    if await ledger_fill.is_filled(pool):
        return
    began_s = time.perf_counter()
    await ledger_fill.fill(pool, entries)
    filled_s = time.perf_counter() - began_s
    drifts = await LedgerReconciliationSource(pool, "").drifts(OLDEST)
    assert not drifts, f"the ledger is filled wrongly: {drifts[0]}"
    print(f"{entries:,} entries in {filled_s:.0f} s; reconciled in {time.perf_counter() - began_s - filled_s:.0f}")


@asynccontextmanager
async def _client(place: Place, pool: Pool) -> AsyncIterator[tuple[httpx.AsyncClient, list[Customer]]]:
    """Return a client. The first customer is the owner of the largest account."""
    numbers = [0, *random.sample(range(1, ACCOUNTS), CUSTOMERS - 1)]
    keys, directory = {account_id(n): apikey.generate() for n in numbers}, KeyDirectory(place.brokers, place.prefix)
    async with create_producer(place.brokers) as producer:
        for name, key in keys.items():
            record = KeyRecord(key_id=name, account_id=name, name="", plan="standard")
            await producer.send(Topic.KEYS.named(place.prefix), encode(record), key.hash.encode())
    app = create_app("balance", ready=directory.topic.waiting_for)
    api.add_routes(app, pool, directory, operator_token=SecretStr(OPERATOR))
    reading = asyncio.create_task(directory.topic.run())
    try:
        while directory.topic.waiting_for():
            await asyncio.sleep(0.05)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://balance") as http:
            yield http, [Customer(name, key.text) for name, key in keys.items()]
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


class Read(NamedTuple):
    path: str
    key: str
    parameters: dict[str, Any]


def _reads(customers: list[Customer]) -> dict[str, Callable[[], Read]]:
    """Return the reads. Each repetition reads another account or another time."""
    largest = customers[0]

    def some(path: str, **parameters: Any) -> Read:
        return Read(f"/v1/{path}", random.choice(customers).key, parameters)

    def large(path: str, **parameters: Any) -> Read:
        return Read(f"/v1/{path}", largest.key, parameters)

    def operator(path: str, account: str = LARGEST, **parameters: Any) -> Read:
        return Read(f"/v1/accounts/{account}/{path}", OPERATOR, parameters)

    def deep() -> str:
        return f"{int((utc_now() - timedelta(days=random.random() * DAYS)).timestamp() * 1_000_000)}-0"

    def day() -> dict[str, Any]:
        end = utc_now() - timedelta(days=random.random() * (DAYS - 1))
        return {"from": (end - timedelta(days=1)).isoformat(), "to": end.isoformat()}

    def anyone() -> str:
        return random.choice(customers).account_id

    return {
        "customer: balance": lambda: some("balance"),
        "customer: grants": lambda: some("grants"),
        "customer: ledger, newest page": lambda: some("ledger"),
        "customer: ledger, deep page": lambda: some("ledger", cursor=deep()),
        "customer: ledger, grants": lambda: some("ledger", kind="grant"),
        "largest customer: balance": lambda: large("balance"),
        "largest customer: grants": lambda: large("grants"),
        "largest customer: ledger, newest page": lambda: large("ledger"),
        "largest customer: ledger, deep page": lambda: large("ledger", cursor=deep()),
        "largest customer: ledger, some day": lambda: large("ledger", **day()),
        "largest customer: ledger, usage of some day": lambda: large("ledger", kind="usage", **day()),
        "largest customer: ledger, deep page of grants": lambda: large("ledger", kind="grant", cursor=deep()),
        "operator: balance": lambda: operator("balance", anyone()),
        "operator: ledger, newest page": lambda: operator("ledger", anyone()),
        "operator, of the largest: ledger, deep page": lambda: operator("ledger", cursor=deep()),
        "operator, of the largest: ledger, adjustments": lambda: operator("ledger", kind="adjustment"),
    }


async def _time(http: httpx.AsyncClient, what: str, choose: Callable[[], Read]) -> Figure:
    took_s = []
    for _ in range(READS):
        read = choose()
        began_s = time.perf_counter()
        answer = await http.get(read.path, params=read.parameters, headers={"Authorization": f"Bearer {read.key}"})
        took_s.append(time.perf_counter() - began_s)
        answer.raise_for_status()
    note = f"p50 {percentile(took_s, 50) * 1000:.1f} ms"
    return Figure(f"{what}, p99", percentile(took_s, 99) * 1000, "ms", GOAL_MS, at_most=True, note=note)


async def _show_plans(pool: Pool) -> None:
    page = {
        "account_id": LARGEST,
        "start": OLDEST,
        "before_at": NEWEST.posted_at,
        "before_id": 0,
        "limit": 101,
        "kind": None,
    }
    deep = {"before_at": utc_now() - timedelta(days=DAYS / 2)}
    grants = {"account_id": LARGEST, "before": "\x7f", "limit": 101}
    questions: tuple[tuple[str, dict[str, Any]], ...] = (
        ("read_account", {"account_id": account_id(1)}),
        ("read_grants", grants | {"only_open": True}),
        ("read_grants", grants | {"only_open": False}),
        ("read_postings", page),
        ("read_postings", page | deep),
        ("read_postings", page | deep | {"kind": "usage"}),
        ("read_postings", page | {"account_id": account_id(1)}),
        ("read_postings_beside_usage", page | deep | {"kind": "grant"}),
        ("read_postings_beside_usage", page | {"kind": "adjustment"}),
    )
    async with pool.connection() as connection:
        for statement, parameters in questions:
            cursor = await connection.execute("EXPLAIN (ANALYZE, BUFFERS) " + SQL[statement], parameters)
            print(f"\n{statement} {parameters}")
            for row in await cursor.fetchall():
                print(f"  {row['QUERY PLAN']}")
