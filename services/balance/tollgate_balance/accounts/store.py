"""Reads for owners and operators: grants, pages of the ledger, budgets. Each response is from one snapshot."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from psycopg.rows import DictRow

from tollgate_balance.database.statements import SQL
from tollgate_balance.ledger.accounts import Kind
from tollgate_common.events import Budget
from tollgate_common.postgres.connection import Connection, Pool

# Sorts after every possible id.
LAST_ID = "\x7f"
MAX_BUDGETS = 1_000


class Place(NamedTuple):
    """The posting that a page of the ledger continues below."""

    posted_at: datetime
    posting_id: int


NEWEST = Place(datetime.max.replace(tzinfo=UTC), 0)
OLDEST = datetime.min.replace(tzinfo=UTC)


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Connection]:
    async with pool.connection() as connection:
        await connection.execute(SQL["begin_snapshot"])
        yield connection


async def read_postings(
    connection: Connection, account_id: str, *, kind: Kind | None, start: datetime, before: Place, limit: int
) -> list[DictRow]:
    """Read postings since `start` and below `before`, newest first, of one kind or of all."""
    statement = "read_postings" if kind in (None, Kind.USAGE) else "read_postings_beside_usage"
    parameters = {
        "account_id": account_id,
        "kind": kind,
        "start": start,
        "before_at": before.posted_at,
        "before_id": before.posting_id,
        "limit": limit,
    }
    # Planned with the parameters' values, because the right index depends on the kind.
    return await (await connection.execute(SQL[statement], parameters, prepare=False)).fetchall()


async def read_grants(
    connection: Connection, account_id: str, before: str, limit: int, *, only_open: bool
) -> list[DictRow]:
    """Read grants with ids below `before`, newest first, with their current remainders."""
    parameters = {"account_id": account_id, "before": before, "limit": limit, "only_open": only_open}
    # Planned with the parameters' values, so that spent grants, however many, are not read.
    return await (await connection.execute(SQL["read_grants"], parameters, prepare=False)).fetchall()


async def read_budgets(connection: Connection, account_id: str, budgets: Sequence[Budget]) -> list[DictRow]:
    """Read the spending and holds of these budgets, in their order."""
    parameters = {
        "account_id": account_id,
        "budget_ids": [budget.budget_id for budget in budgets],
        "periods": [budget.period.value for budget in budgets],
        "amounts": [budget.amount_nano for budget in budgets],
    }
    return await (await connection.execute(SQL["read_budgets"], parameters)).fetchall()


async def read_current_budgets(connection: Connection, account_id: str) -> list[DictRow]:
    """Read the account's budgets that have a grant in their current period."""
    parameters = {"account_id": account_id, "limit": MAX_BUDGETS}
    return await (await connection.execute(SQL["read_current_budgets"], parameters)).fetchall()
