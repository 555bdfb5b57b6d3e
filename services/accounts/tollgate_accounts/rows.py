"""Helpers that run a statement and fetch its rows."""

from typing import Any

from psycopg.rows import DictRow

from tollgate_common.postgres.connection import Connection


async def fetch_one(connection: Connection, statement: Any, **parameters: Any) -> DictRow | None:
    """Return the statement's only row, or None."""
    return await (await connection.execute(statement, parameters)).fetchone()


async def fetch_all(connection: Connection, statement: Any, **parameters: Any) -> list[DictRow]:
    return await (await connection.execute(statement, parameters)).fetchall()
