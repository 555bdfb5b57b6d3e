"""The statements of `sql/`, by the name of their file.

Statements take the lists of a batch in binary (`%(name)b`). In text format every item would be scanned for characters
to escape, which costs more than the rest of the statement.
"""

from psycopg import AsyncCursor
from psycopg.rows import DictRow

from tollgate_common.statements import Statements

SQL = Statements("tollgate_balance")


async def one(cursor: AsyncCursor[DictRow]) -> DictRow:
    """Return the row of a statement that always returns one."""
    row = await cursor.fetchone()
    assert row is not None
    return row
