"""Budgets: what they allot, and what of it is spent and held."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import NamedTuple

from tollgate_balance.budgets import Allotment
from tollgate_balance.store.rows import SQL
from tollgate_common.events import Budget
from tollgate_common.postgres.connection import Connection


class Named(NamedTuple):
    """A budget of an account, by its name."""

    account_id: str
    budget_id: str
    period: str


async def open_current(connection: Connection, budgets: Iterable[tuple[str, Budget]]) -> dict[Named, Allotment]:
    """What budgets of locked accounts allot to their current periods; a period that begins has nothing spent."""
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
    await connection.execute(SQL["open_allotments"], names | {"amounts": list(amounts.values())})
    cursor = await connection.execute(SQL["read_named_allotments"], names)
    allotments = [Allotment(**row) for row in await cursor.fetchall()]
    return {Named(one.account_id, one.budget_id, one.period): one for one in allotments}


async def read_allotments(connection: Connection, allotment_ids: Collection[int]) -> dict[int, Allotment]:
    """Of locked accounts."""
    if not allotment_ids:
        return {}
    cursor = await connection.execute(SQL["read_allotments"], {"allotment_ids": list(allotment_ids)})
    return {row["allotment_id"]: Allotment(**row) for row in await cursor.fetchall()}


async def save_allotments(connection: Connection, allotments: Collection[Allotment]) -> None:
    if allotments:
        await connection.execute(
            SQL["save_allotments"],
            {
                "allotment_ids": [one.allotment_id for one in allotments],
                "spent": [one.spent_nano for one in allotments],
                "held": [one.held_nano for one in allotments],
            },
        )


async def note_shortages(connection: Connection, allotment_ids: Collection[int], lasting: timedelta) -> None:
    await connection.execute(SQL["note_budget_shortages"], {"allotment_ids": list(allotment_ids), "lasting": lasting})
