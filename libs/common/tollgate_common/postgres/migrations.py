"""Migrations of a PostgreSQL database.

Crash window: none. A migration and its record commit together, and the lock ends with the connection.
"""

from collections.abc import Mapping
from typing import Any

from tollgate_common.migrations import Migration, apply_pending, find_migrations
from tollgate_common.postgres.connection import Connection, connect
from tollgate_common.statements import Statements

SQL = Statements("tollgate_common")
FOLDER = "migrations"


async def migrate_postgres(dsn: str, *packages: str) -> list[str]:
    """Run the packages' `migrations/NNNN_name.sql` that have not run yet. Return their names.

    Several processes may call it at once; they take turns. A service with an outbox names `tollgate_common` first.

    Raises:
        InconsistentState: a migration was edited after it ran.
    """
    async with await connect(dsn) as connection:
        await connection.execute(SQL["postgres_migrations_lock"])
        await connection.execute(SQL["postgres_migrations_create"])
        return await apply_pending(_Database(connection), find_migrations(FOLDER, *packages))


class _Database:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read_digests(self) -> Mapping[str, str]:
        rows = await (await self._connection.execute(SQL["postgres_migrations_read"])).fetchall()
        return {row["name"]: row["digest"] for row in rows}

    async def apply(self, migration: Migration) -> None:
        async with self._connection.transaction():
            await self._connection.execute(_trusted(migration.text))
            await self._connection.execute(
                SQL["postgres_migrations_add"], {"name": migration.name, "digest": migration.digest}
            )


def _trusted(text: str) -> Any:
    """A file of the package, where psycopg's types ask for a literal."""
    return text
