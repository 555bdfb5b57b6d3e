"""Totals over the whole database."""

from tollgate_balance.database.statements import SQL, one
from tollgate_common.postgres.connection import Connection


async def read_totals(connection: Connection) -> dict[str, int]:
    """Read counts, and sums in nano-units, by name."""
    row = await one(await connection.execute(SQL["read_totals"]))
    return {name: int(value) for name, value in row.items()}
