"""PostgreSQL: connections and migrations."""

import hashlib
import logging
from importlib.resources import files
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from tollgate_common.errors import Damaged

log = logging.getLogger(__name__)

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

# Any number: it keeps two migrations of one database apart.
_MIGRATION_LOCK = 7_304_001


def create_pool(dsn: str, *, max_size: int = 10) -> Pool:
    """A pool that is not yet open: `async with create_pool(dsn) as pool`. Rows are dicts."""
    return AsyncConnectionPool(
        dsn,
        connection_class=AsyncConnection[DictRow],
        kwargs={"row_factory": dict_row},
        min_size=1,
        max_size=max_size,
        open=False,
    )


async def connect(dsn: str) -> Connection:
    """A connection of its own, outside any transaction. Rows are dicts."""
    return await AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row)


async def migrate(dsn: str, *packages: str) -> list[str]:
    """Run the packages' `migrations/NNNN_name.sql` that have not run yet, in order, each in a transaction.

    A service with an outbox names `tollgate_common` first. Names are unique across the packages of a database.
    Returns the names of those that ran. Safe to call from several processes at once.

    Raises:
        Damaged: a migration that ran has since been edited, which would leave databases different from each other.
    """
    migrations = sorted(
        (file.name.removesuffix(".sql"), file.read_text())
        for package in packages
        for file in (files(package) / "migrations").iterdir()
        if file.name.endswith(".sql")
    )
    ran = []
    async with await connect(dsn) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, digest text NOT NULL, "
            "ran_at timestamptz NOT NULL DEFAULT now())"
        )
        rows = await (await connection.execute("SELECT name, digest FROM migrations")).fetchall()
        done = {row["name"]: row["digest"] for row in rows}
        for name, text in migrations:
            digest = hashlib.sha256(text.encode()).hexdigest()
            if name in done:
                if done[name] != digest:
                    raise Damaged(f"migration {name} was edited after it ran; add a new one instead")
                continue
            async with connection.transaction():
                await connection.execute(_trusted(text))
                await connection.execute("INSERT INTO migrations (name, digest) VALUES (%s, %s)", [name, digest])
            log.info("migration %s ran", name)
            ran.append(name)
    return ran


def _trusted(text: str) -> Any:
    """A file of the package where psycopg's types ask for a literal."""
    return text
