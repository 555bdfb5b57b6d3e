"""What every part of the store shares."""

from psycopg import AsyncCursor
from psycopg.rows import DictRow

from tollgate_common.statements import Statements

SQL = Statements("tollgate_balance")


async def one(cursor: AsyncCursor[DictRow]) -> DictRow:
    """The row of a statement that always has one."""
    row = await cursor.fetchone()
    assert row is not None
    return row
