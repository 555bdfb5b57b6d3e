"""What every store does with its statements."""

from typing import Any

from psycopg.rows import DictRow

from tollgate_common.postgres.connection import Connection


async def one(connection: Connection, statement: Any, **parameters: Any) -> DictRow | None:
    """The only row that the statement gives, if it gives one."""
    return await (await connection.execute(statement, parameters)).fetchone()


async def every(connection: Connection, statement: Any, **parameters: Any) -> list[DictRow]:
    return await (await connection.execute(statement, parameters)).fetchall()
