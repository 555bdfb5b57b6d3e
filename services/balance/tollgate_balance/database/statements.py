"""What every part of the store shares.

Lists of a batch are sent in binary (`%(name)b` in the statements): as text each item would be searched for what must be
escaped, which costs more than all else about a statement.
"""

from psycopg import AsyncCursor
from psycopg.rows import DictRow

from tollgate_common.statements import Statements

SQL = Statements("tollgate_balance")


async def one(cursor: AsyncCursor[DictRow]) -> DictRow:
    """The row of a statement that always has one."""
    row = await cursor.fetchone()
    assert row is not None
    return row
