"""What every page and every lock costs on a ledger that has grown: indexes only, whatever is asked."""

from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import pytest

from balance.world import BalanceDatabase
from tollgate_balance.accounts.store import LAST_ID, NEWEST, OLDEST
from tollgate_balance.database.statements import SQL

pytestmark = pytest.mark.engines

# One account has a third of all postings, and one posting in a thousand is no usage.
FILL: tuple[LiteralString, ...] = (
    "INSERT INTO accounts (account_id, posted_nano) SELECT 'a' || n, 1000 FROM generate_series(0, 4999) AS n",
    (
        "INSERT INTO postings (account_id, kind, debit, credit, amount_nano, reference, happened_at, posted_at,"
        "  event_partition, event_offset)"
        " SELECT 'a' || CASE WHEN n %% 3 = 0 THEN 0 ELSE n %% 5000 END, 'usage', 'customer_credit', 'revenue', 1, 'r',"
        "  now(), now() - n * interval '1 second', 0, n FROM generate_series(1, 60000) AS n"
    ),
    (
        "INSERT INTO postings (account_id, kind, debit, credit, amount_nano, reference, happened_at, posted_at)"
        " SELECT 'a' || n %% 5, 'grant', 'payments', 'customer_credit', 1, 'g', now(), now() - n * interval '1 hour'"
        " FROM generate_series(1, 3000) AS n"
    ),
    (
        "INSERT INTO grants (grant_id, account_id, amount_nano, remaining_nano, source, reason, priority, granted_at,"
        "  expires_at)"
        " SELECT 'g' || n, 'a' || n %% 5000, 10, n %% 2, 'promo', '', 100, now(), now() + (n - 100) * interval '1 hour'"
        " FROM generate_series(1, 20000) AS n"
    ),
    "INSERT INTO accounts (account_id, posted_nano) VALUES ('spent', 10)",
    (
        "INSERT INTO grants (grant_id, account_id, amount_nano, remaining_nano, source, reason, priority, granted_at)"
        " SELECT 's' || n, 'spent', 10, CASE n WHEN 9 THEN 10 ELSE 0 END, 'payment', '', 100, now()"
        " FROM generate_series(1, 3000) AS n"
    ),
    (
        "INSERT INTO allotments (account_id, budget_id, period, begins_at, ends_at, amount_nano)"
        " SELECT 'a' || n %% 5000, 'key:' || n, 'day', date_trunc('day', now(), 'UTC'),"
        "  date_trunc('day', now(), 'UTC') + interval '1 day', 5 FROM generate_series(1, 10000) AS n"
    ),
    (
        "INSERT INTO allotments (account_id, budget_id, period, begins_at, ends_at, amount_nano)"
        " SELECT 'a' || n %% 5000, 'key:' || n, 'day', date_trunc('day', now(), 'UTC') - interval '9 days',"
        "  date_trunc('day', now(), 'UTC') - interval '8 days', 5 FROM generate_series(1, 90000) AS n"
    ),
    (
        "INSERT INTO adjustments (adjustment_id, account_id, amount_nano, due_nano, reason, adjusted_at)"
        " SELECT 'd' || n, 'a' || n %% 5000, -1, 0, 'because', now() FROM generate_series(1, 5000) AS n"
    ),
    "INSERT INTO boots (boot_id, edge) VALUES ('boot', 'edge')",
    (
        "INSERT INTO boots (boot_id, edge, fenced_at, usage_ends, released_at)"
        " SELECT 'b' || n, 'edge', now(), '{}', now() FROM generate_series(1, 5000) AS n"
    ),
    (
        "INSERT INTO shortages (account_id, until)"
        " SELECT 'a' || n, now() - interval '1 day' FROM generate_series(0, 4999) AS n"
    ),
    (
        "INSERT INTO leases (lease_id, account_id, boot_id, state, authorised_nano, settled_nano, rev)"
        " SELECT 'l' || n, 'a' || n %% 5000, 'boot', 'closed', 1, 1, 2 FROM generate_series(1, 20000) AS n"
    ),
    "ANALYZE",
)
PAGE = {"account_id": "a0", "start": OLDEST, "before_at": NEWEST.posted_at, "before_id": 0, "limit": 101, "kind": None}
DAY = {"before_at": datetime.now(UTC) - timedelta(hours=5), "start": datetime.now(UTC) - timedelta(hours=6)}
DEEP = {"before_at": datetime.now(UTC) - timedelta(hours=10), "before_id": 30_000}
QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "the newest page": ("read_postings", PAGE),
    "a page by cursor, deep": ("read_postings", PAGE | DEEP),
    "a page of usage, deep": ("read_postings", PAGE | DEEP | {"kind": "usage"}),
    "a page of grants in the ledger, deep": ("read_postings_beside_usage", PAGE | DEEP | {"kind": "grant"}),
    "a page of a small account": ("read_postings", PAGE | {"account_id": "a77"}),
    "a page of usage": ("read_postings", PAGE | {"kind": "usage"}),
    "an hour": ("read_postings", PAGE | DAY),
    "a page of grants in the ledger": ("read_postings_beside_usage", PAGE | {"kind": "grant"}),
    "an hour of adjustments": ("read_postings_beside_usage", PAGE | DAY | {"kind": "adjustment"}),
    "the balance": ("read_account", {"account_id": "a0"}),
    "grants": ("read_grants", {"account_id": "a0", "before": LAST_ID, "limit": 101, "only_open": False}),
    "open grants": ("read_grants", {"account_id": "a0", "before": LAST_ID, "limit": 101, "only_open": True}),
    "open grants beside many spent ones": (
        "read_grants",
        {"account_id": "spent", "before": LAST_ID, "limit": 101, "only_open": True},
    ),
    "budgets": (
        "read_budgets",
        {"account_id": "a0", "budget_ids": ["key:5000"], "periods": ["day"], "amounts": [5]},
    ),
    "an account's budgets": ("read_current_budgets", {"account_id": "a0", "limit": 100}),
    "the lock of a batch": ("lock_accounts", {"account_ids": [f"a{n}" for n in range(20)]}),
    "the leases of a batch": ("read_leases", {"lease_ids": [f"l{n}" for n in range(20)]}),
    "its budgets": ("read_windows", {"window_ids": list(range(20))}),
    "what burns": ("read_open_grants", {"account_ids": ["a0", "a1"]}),
    "what expires": ("read_accounts_to_expire", {"limit": 200}),
    "what stands open in all accounts": ("read_totals", {}),
    "what expires of these": ("read_grants_to_expire", {"account_ids": ["a0", "a1"]}),
}

# Of these a page is a small part of what matches.
OF_MANY_ROWS = {
    "the newest page",
    "a page by cursor, deep",
    "a page of usage",
    "a page of usage, deep",
    "an hour",
    "a page of grants in the ledger",
    "a page of grants in the ledger, deep",
}
# What serves the reads of owners and operators, whatever the size of the tables.
INDEXES = {
    "read_postings": {"postings_pkey"},
    "read_postings_beside_usage": {"postings_beside_usage"},
    "read_account": {"accounts_pkey"},
}


async def test_no_page_and_no_lock_reads_a_whole_table(books: BalanceDatabase) -> None:
    for statement in FILL:
        await books.execute(statement)
    scans, indexes = {}, {}
    async with books.pool.connection() as connection:
        for name, (statement, parameters) in QUESTIONS.items():
            cursor = await connection.execute("EXPLAIN (FORMAT JSON) " + SQL[statement], parameters)
            [row] = await cursor.fetchall()
            plan = row["QUERY PLAN"][0]["Plan"]
            scans[name], indexes[name] = whole_tables(plan), indexes_of(plan)
            assert indexes[name] == INDEXES.get(statement, indexes[name]), name
            if name in OF_MANY_ROWS:
                assert plan["Plans"][0]["Node Type"] == "Index Scan", f"{name} is sorted, and not read as it stands"
    # A row for each account that ever ran short, which is a few bytes and a number.
    assert scans.pop("what stands open in all accounts") == ["shortages"]
    assert {name: tables for name, tables in scans.items() if tables} == {}
    assert indexes["open grants beside many spent ones"] == {"accounts_pkey", "grants_open"}


def whole_tables(node: dict[str, Any]) -> list[str]:
    """The tables that a plan reads from end to end."""
    found = [node["Relation Name"]] if node["Node Type"] == "Seq Scan" else []
    for child in node.get("Plans", ()):
        found += whole_tables(child)
    return found


def indexes_of(node: dict[str, Any]) -> set[str]:
    """Those that a plan reads."""
    found = {node["Index Name"]} if "Index Name" in node else set()
    return found.union(*(indexes_of(child) for child in node.get("Plans", ())))
