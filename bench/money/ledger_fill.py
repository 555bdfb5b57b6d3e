"""A ledger of millions of entries, as after years. All constraints and the reconciler's sums hold."""

from typing import Any, LiteralString

from psycopg import sql

from tollgate_common.postgres.connection import Connection, Pool

ACCOUNTS, DAYS = 20_000, 90
GRANT_NANO, OPENING_NANO = 10, 10**15

# Each account begins with a grant. One in five other entries belongs to the largest account, and one in a thousand is a
# small grant, which is spent completely. The entries span three months, so those of one account are far apart.
_POSTINGS: LiteralString = """
    INSERT INTO postings (account_id, kind, debit, credit, amount_nano, reference, happened_at, posted_at,
        event_partition, event_offset)
    SELECT
        '01938a50-0000-7000-9000-'
            || lpad((CASE WHEN is_opening THEN n WHEN n %% 5 = 0 THEN 0 ELSE n %% 19997 END)::text, 12, '0'),
        CASE WHEN is_grant THEN 'grant' ELSE 'usage' END,
        (CASE WHEN is_grant THEN 'payments' ELSE 'customer_credit' END)::ledger_account,
        (CASE WHEN is_grant THEN 'customer_credit' ELSE 'revenue' END)::ledger_account,
        CASE WHEN is_opening THEN %(opening)s WHEN is_grant THEN %(grant)s ELSE 1000 + n %% 100000 END,
        '01938a50-0000-7000-8000-' || lpad(n::text, 12, '0'), at, at,
        CASE WHEN NOT is_grant THEN n %% 8 END, CASE WHEN NOT is_grant THEN n / 8 END
    FROM generate_series(0, %(entries)s::bigint - 1) AS n,
        LATERAL (SELECT n < %(accounts)s AS is_opening, n < %(accounts)s OR n %% 1001 = 0 AS is_grant,
            now() - (%(entries)s - n) * (interval '1 day' * %(days)s / %(entries)s) AS at) AS t
"""
# The spend was taken from the first grant and the small ones.
_ACCOUNTS: LiteralString = """
    UPDATE accounts SET posted_nano = sums.nano
    FROM (
        SELECT account_id, sum(CASE kind WHEN 'grant' THEN amount_nano ELSE -amount_nano END)::bigint AS nano
        FROM postings GROUP BY account_id
    ) AS sums
    WHERE sums.account_id = accounts.account_id
"""
_GRANTS: LiteralString = """
    INSERT INTO grants (grant_id, account_id, amount_nano, remaining_nano, source, reason, priority, granted_at)
    SELECT reference, account_id, amount_nano, CASE amount_nano WHEN %(opening)s THEN posted_nano ELSE 0 END,
        'payment', '', 100, happened_at
    FROM postings JOIN accounts USING (account_id) WHERE kind = 'grant'
"""


def account_id(number: int) -> str:
    """Return an id as long as real ones. Account 0 is the largest."""
    return f"01938a50-0000-7000-9000-{number:012}"


async def fill(pool: Pool, entries: int) -> None:
    """Fill empty tables in one transaction. The indexes are built after the rows, which is ten times as fast."""
    numbers = {
        "entries": entries,
        "accounts": ACCOUNTS,
        "days": DAYS,
        "opening": OPENING_NANO,
        "grant": GRANT_NANO,
    }
    async with pool.connection() as connection:
        await connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
        await connection.execute(
            "INSERT INTO accounts (account_id)"
            " SELECT '01938a50-0000-7000-9000-' || lpad(n::text, 12, '0') FROM generate_series(0, %s - 1) AS n",
            [ACCOUNTS],
        )
        key = await _value(
            connection, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'postings_pkey'"
        )
        indexes = await connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'postings' AND indexname <> 'postings_pkey'"
        )
        definitions = {row["indexname"]: row["indexdef"] for row in await indexes.fetchall()}
        await connection.execute("ALTER TABLE postings DROP CONSTRAINT postings_pkey")
        for name in definitions:
            await connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        await connection.execute(_POSTINGS, numbers)
        await connection.execute(sql.SQL("ALTER TABLE postings ADD CONSTRAINT postings_pkey {}").format(sql.SQL(key)))
        for definition in definitions.values():
            await connection.execute(sql.SQL(definition))
        await connection.execute(_ACCOUNTS)
        await connection.execute(_GRANTS, numbers)
    async with pool.connection() as connection:
        await connection.set_autocommit(True)
        await connection.execute("VACUUM ANALYZE")
        await connection.set_autocommit(False)


async def bytes_an_entry(pool: Pool) -> float:
    """Return the bytes of a posting on disk, including its share of the indexes."""
    async with pool.connection() as connection:
        total = await _value(
            connection, "SELECT pg_total_relation_size('postings')::float8 / (SELECT count(*) FROM postings)"
        )
    return float(total)


async def is_filled(pool: Pool) -> bool:
    async with pool.connection() as connection:
        return bool(await _value(connection, "SELECT EXISTS (SELECT FROM postings)"))


async def _value(connection: Connection, statement: LiteralString) -> Any:
    row = await (await connection.execute(statement)).fetchone()
    assert row is not None
    return next(iter(row.values()))
