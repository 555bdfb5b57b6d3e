"""Budget windows, as rows of `allotments`."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import NamedTuple

from tollgate_balance.budgets.windows import BudgetWindow
from tollgate_balance.database.statements import SQL
from tollgate_common.events import Budget
from tollgate_common.postgres.connection import Connection


class Named(NamedTuple):
    """A budget of an account, by its name."""

    account_id: str
    budget_id: str
    period: str


async def open_current(connection: Connection, budgets: Iterable[tuple[str, Budget]]) -> dict[Named, BudgetWindow]:
    """Open and return the current windows of budgets of locked accounts. A new window has nothing spent."""
    amounts = {
        Named(account_id, budget.budget_id, budget.period.value): budget.amount_nano for account_id, budget in budgets
    }
    if not amounts:
        return {}
    names = {
        "account_ids": [name.account_id for name in amounts],
        "budget_ids": [name.budget_id for name in amounts],
        "periods": [name.period for name in amounts],
    }
    await connection.execute(SQL["open_windows"], names | {"amounts": list(amounts.values())})
    cursor = await connection.execute(SQL["read_named_windows"], names)
    windows = [BudgetWindow(**row) for row in await cursor.fetchall()]
    return {Named(one.account_id, one.budget_id, one.period): one for one in windows}


async def read_windows(connection: Connection, window_ids: Collection[int]) -> dict[int, BudgetWindow]:
    """Read windows of locked accounts, by id."""
    if not window_ids:
        return {}
    cursor = await connection.execute(SQL["read_windows"], {"window_ids": list(window_ids)})
    return {row["window_id"]: BudgetWindow(**row) for row in await cursor.fetchall()}


async def save_windows(connection: Connection, windows: Collection[BudgetWindow]) -> None:
    if windows:
        await connection.execute(
            SQL["save_windows"],
            {
                "window_ids": [one.window_id for one in windows],
                "spent": [one.spent_nano for one in windows],
                "held": [one.held_nano for one in windows],
            },
        )


async def note_shortages(connection: Connection, window_ids: Collection[int], lasting: timedelta) -> None:
    await connection.execute(SQL["note_budget_shortages"], {"window_ids": list(window_ids), "lasting": lasting})
