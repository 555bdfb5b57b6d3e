"""Whether the service can work: its database answers and has all the tables."""

import asyncio
from importlib.resources import files

import psycopg
from psycopg.errors import UndefinedTable

from tollgate_accounts import rows
from tollgate_common.postgres.connection import Pool
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts")

LOOK_EVERY_S = 1.0
ANSWER_WITHIN_S = 2.0


class Readiness:
    def __init__(self, pool: Pool, *packages: str) -> None:
        """Build it; `run` looks.

        Args:
            pool: of the database.
            packages: whose migrations must have run.
        """
        self._pool = pool
        self._needed = {
            file.name.removesuffix(".sql")
            for package in packages
            for file in (files(package) / "migrations").iterdir()
            if file.name.endswith(".sql")
        }
        self._waiting_for: str | None = "the database"
        self._was_ready = asyncio.Event()

    def waiting_for(self) -> str | None:
        return self._waiting_for

    async def once(self) -> None:
        """Wait until the service has been ready for the first time."""
        await self._was_ready.wait()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self._waiting_for = await self._look()
            if self._waiting_for is None:
                self._was_ready.set()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S), self._pool.connection() as connection:
                ran = await rows.every(connection, SQL["migrations_run"])
        except (psycopg.OperationalError, TimeoutError):
            return "the database"
        except UndefinedTable:
            ran = []
        missing = self._needed - {row["name"] for row in ran}
        return f"migrations: {', '.join(sorted(missing))}" if missing else None
