"""Migrations of a PostgreSQL database.

Crash window: none. A migration and its record commit together, and the lock ends with the connection.
"""

from collections.abc import Mapping
from typing import Any

from tollgate_common.migrations import Migration, apply_pending, find_migrations
from tollgate_common.postgres.connection import Connection, connect

FOLDER = "migrations"
# An arbitrary number: the key of the advisory lock that a process holds while it migrates a database.
_LOCK_KEY = 7_304_001


async def migrate_postgres(dsn: str, *packages: str) -> list[str]:
    """Run the packages' `migrations/NNNN_name.sql` that have not run yet. Return their names.

    Several processes may call it at once; they take turns. A service with an outbox names `tollgate_common` first.

    Raises:
        Damaged: a migration was edited after it ran.
    """
    async with await connect(dsn) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK_KEY])
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, digest text NOT NULL, "
            "ran_at timestamptz NOT NULL DEFAULT now())"
        )
        return await apply_pending(_Database(connection), find_migrations(FOLDER, *packages))


class _Database:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read_digests(self) -> Mapping[str, str]:
        rows = await (await self._connection.execute("SELECT name, digest FROM migrations")).fetchall()
        return {row["name"]: row["digest"] for row in rows}

    async def apply(self, migration: Migration) -> None:
        async with self._connection.transaction():
            await self._connection.execute(_trusted(migration.text))
            await self._connection.execute(
                "INSERT INTO migrations (name, digest) VALUES (%s, %s)", [migration.name, migration.digest]
            )


def _trusted(text: str) -> Any:
    """A file of the package, where psycopg's types ask for a literal."""
    return text
