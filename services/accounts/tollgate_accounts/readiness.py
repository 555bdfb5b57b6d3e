"""Readiness: the database responds and all its migrations have run."""

import asyncio

import psycopg
from psycopg.errors import UndefinedTable

from tollgate_accounts import rows
from tollgate_common.migrations import find_migrations
from tollgate_common.postgres.connection import Pool
from tollgate_common.postgres.migrations import FOLDER
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts")

POLL_INTERVAL_S = 1.0
TIMEOUT_S = 2.0


class Readiness:
    def __init__(self, pool: Pool, *packages: str) -> None:
        """Build it; `run` starts the checks.

        Args:
            pool: connections to the accounts database.
            packages: the packages whose migrations must have run.
        """
        self._pool = pool
        self._needed = {migration.name for migration in find_migrations(FOLDER, *packages)}
        self._waiting_for: str | None = "the database"
        self._was_ready = asyncio.Event()

    def waiting_for(self) -> str | None:
        return self._waiting_for

    async def wait_until_ready(self) -> None:
        """Wait until the service has been ready once."""
        await self._was_ready.wait()

    async def run(self) -> None:
        """Check repeatedly until canceled."""
        while True:
            self._waiting_for = await self._look()
            if self._waiting_for is None:
                self._was_ready.set()
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _look(self) -> str | None:
        try:
            async with asyncio.timeout(TIMEOUT_S), self._pool.connection() as connection:
                ran = await rows.fetch_all(connection, SQL["migrations_run"])
        except (psycopg.OperationalError, TimeoutError):
            return "the database"
        except UndefinedTable:
            ran = []
        missing = self._needed - {row["name"] for row in ran}
        return f"migrations: {', '.join(sorted(missing))}" if missing else None
