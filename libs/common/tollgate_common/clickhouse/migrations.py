"""Migrations of a ClickHouse database.

ClickHouse has no transactional DDL. Each file is therefore one statement that can be repeated (`IF NOT EXISTS`). Crash
window: between a statement and its record; the next run repeats the statement.
"""

from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import urlsplit

from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_common.clickhouse.client import connect
from tollgate_common.clickhouse.lock import Lock, acquire
from tollgate_common.migrations import Migration, apply_pending, find_migrations
from tollgate_common.statements import Statements

SQL = Statements("tollgate_common")
FOLDER = "clickhouse_migrations"
LOCK_NAME = "migration_lock"


async def migrate_clickhouse(url: str, package: str) -> list[str]:
    """Create the database, and run the package's `clickhouse_migrations/NNNN_name.sql` that have not run yet.

    Several processes may call it at once; they take turns. Returns the names of the migrations that ran.

    Raises:
        InconsistentState: a migration was edited after it ran.
        Fenced: this process was paused for so long that another one took over the lock.
    """
    await _create_database(url)
    client = await connect(url)
    try:
        async with acquire(client, LOCK_NAME) as lock:
            await client.command(SQL["clickhouse_migrations_create"])
            return await apply_pending(_Database(client, lock, package), find_migrations(FOLDER, package))
    finally:
        await client.close()


async def _create_database(url: str) -> None:
    parts = urlsplit(url)
    server = await connect(parts._replace(path="/default").geturl())
    try:
        await server.command(SQL["clickhouse_database_create"], parameters={"database": parts.path.strip("/")})
    finally:
        await server.close()


class _Database:
    def __init__(self, client: AsyncClient, lock: Lock, package: str) -> None:
        self._client = client
        self._lock = lock
        self._package = package

    async def read_digests(self) -> Mapping[str, str]:
        rows = await self._client.query(SQL["clickhouse_migrations_read"], parameters={"package": self._package})
        return dict(cast("Sequence[tuple[str, str]]", rows.result_rows))

    async def apply(self, migration: Migration) -> None:
        # Fails if another process has taken over.
        await self._lock.renew()
        await self._client.command(migration.text)
        await self._client.insert(
            "migrations",
            [[self._package, migration.name, migration.digest]],
            column_names=["package", "name", "digest"],
        )
