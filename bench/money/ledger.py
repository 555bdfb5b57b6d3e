"""Ten million ledger entries: how long the pages take that owners read, and by which plan."""

import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, LiteralString

from bench.money.figures import Figure, percentile
from bench.money.place import own_place

from tollgate_balance.api.accounts import GrantsPage, LedgerPage, Reader
from tollgate_balance.ledger import Kind
from tollgate_balance.store.pages import NEWEST, OLDEST
from tollgate_balance.store.rows import SQL
from tollgate_common.clock import utc_now
from tollgate_common.postgres import Pool, create_pool

ENTRIES, ACCOUNTS, READS = 10_000_000, 10_000, 1_000
# Three entries in ten are of one account; one in a thousand is no usage. They were posted over three months.
FILL: LiteralString = """
    INSERT INTO postings (account_id, kind, debit, credit, amount_nano, reference, happened_at, posted_at,
        event_partition, event_offset)
    SELECT 'account-' || CASE WHEN n %% 10 < 3 THEN 0 ELSE n %% 9973 END,
        CASE WHEN n %% 1000 = 0 THEN 'grant' ELSE 'usage' END,
        (CASE WHEN n %% 1000 = 0 THEN 'payments' ELSE 'customer_credit' END)::ledger_account,
        (CASE WHEN n %% 1000 = 0 THEN 'customer_credit' ELSE 'revenue' END)::ledger_account,
        1000, '01938a50-0000-7000-8000-' || lpad(n::text, 12, '0'), t.at, t.at,
        CASE WHEN n %% 1000 <> 0 THEN n %% 8 END, CASE WHEN n %% 1000 <> 0 THEN n / 8 END
    FROM generate_series(%s::bigint, %s::bigint) AS n,
        LATERAL (SELECT now() - (10000000 - n) * interval '0.78 second' AS at) AS t
"""
STEP = 500_000
GOAL_MS = 20


async def measure(entries: int = ENTRIES, *, plans: bool = False) -> list[Figure]:
    async with own_place(1) as place, create_pool(place.dsn) as pool:
        began_s = time.perf_counter()
        await _fill(pool, entries)
        print(f"{entries:,} entries in {time.perf_counter() - began_s:.0f} s")
        if plans:
            await _show_plans(pool)
        return [await _time(what, read) for what, read in _reads(Reader(pool)).items()]


async def _fill(pool: Pool, entries: int) -> None:
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO accounts (account_id, posted_nano)"
            " SELECT 'account-' || n, 1000000 FROM generate_series(0, %s) AS n",
            [ACCOUNTS],
        )
        await connection.execute(
            "INSERT INTO grants (grant_id, account_id, amount_nano, remaining_nano, source, reason, priority,"
            " granted_at) SELECT 'grant-' || n, 'account-' || n % 10000, 10, n % 2, 'payment', '', 100, now()"
            " FROM generate_series(1, 50000) AS n"
        )
    for first in range(10_000_000 - entries, 10_000_000, STEP):
        async with pool.connection() as connection:
            await connection.execute(FILL, [first, min(first + STEP, 10_000_000) - 1])
    async with pool.connection() as connection:
        await connection.set_autocommit(True)
        await connection.execute("VACUUM ANALYZE")
        await connection.set_autocommit(False)


def _reads(reader: Reader) -> dict[str, Callable[[], Awaitable[Any]]]:
    """What is read, each time of another account or another time."""

    def some() -> str:
        return f"account-{random.randrange(9_973)}"

    def page(**options: Any) -> LedgerPage:
        return LedgerPage.model_validate(options)

    def moment() -> dict[str, Any]:
        end = utc_now() - timedelta(days=random.random() * 80)
        return {"from": end - timedelta(days=1), "to": end}

    return {
        "balance": lambda: reader.balance(some()),
        "grants": lambda: reader.grants(some(), GrantsPage()),
        "ledger, newest page": lambda: reader.ledger_page(some(), page()),
        "ledger of the largest account, newest page": lambda: reader.ledger_page("account-0", page()),
        "ledger of the largest account, some day": lambda: reader.ledger_page("account-0", page(**moment())),
        "ledger of the largest account, grants": lambda: reader.ledger_page("account-0", page(kind=Kind.GRANT)),
        "ledger of the largest account, usage of some day": lambda: reader.ledger_page(
            "account-0", page(kind=Kind.USAGE, **moment())
        ),
    }


async def _time(what: str, read: Callable[[], Awaitable[Any]]) -> Figure:
    took_s = []
    for _ in range(READS):
        began_s = time.perf_counter()
        await read()
        took_s.append(time.perf_counter() - began_s)
    note = f"p50 {percentile(took_s, 50) * 1000:.1f} ms"
    return Figure(f"{what}, p99", percentile(took_s, 99) * 1000, "ms", GOAL_MS, at_most=True, note=note)


async def _show_plans(pool: Pool) -> None:
    page = {
        "account_id": "account-0",
        "start": OLDEST,
        "before_at": NEWEST.posted_at,
        "before_id": 0,
        "limit": 101,
        "kind": None,
    }
    grants = {"account_id": "account-1", "before": "\x7f", "limit": 101, "only_open": False}
    questions: tuple[tuple[str, dict[str, Any]], ...] = (
        ("read_account", {"account_id": "account-1"}),
        ("read_grants", grants),
        ("read_postings", page),
        ("read_postings", page | {"kind": "usage", "before_at": utc_now() - timedelta(days=30)}),
        ("read_postings_beside_usage", page | {"kind": "grant"}),
    )
    async with pool.connection() as connection:
        for statement, parameters in questions:
            cursor = await connection.execute("EXPLAIN (ANALYZE, BUFFERS) " + SQL[statement], parameters)
            print(f"\n{statement} {parameters.get('kind') or ''}")
            for row in await cursor.fetchall():
                print(f"  {row['QUERY PLAN']}")
