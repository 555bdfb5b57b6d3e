"""Connections to PostgreSQL."""

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]


def create_pool(dsn: str, *, max_size: int = 10) -> Pool:
    """Return a closed pool, for `async with create_pool(dsn) as pool`. Rows are dicts."""
    return AsyncConnectionPool(
        dsn,
        connection_class=AsyncConnection[DictRow],
        kwargs={"row_factory": dict_row},
        min_size=1,
        max_size=max_size,
        open=False,
    )


async def connect(dsn: str) -> Connection:
    """Open a connection with autocommit. Rows are dicts."""
    return await AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row)
