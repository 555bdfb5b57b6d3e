"""What the service's metrics tell of all accounts."""

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from balance.world import BalanceDatabase, adjusted
from tollgate_balance.credits.handlers import adjust_credit
from tollgate_balance.leases.rules import Answer, Grant, UpdateLease
from tollgate_balance.workers.gauges import GAUGES, Gauges
from tollgate_common.clock import utc_now
from tollgate_common.events import Budget, BudgetPeriod
from tollgate_common.ids import new_id

pytestmark = pytest.mark.engines


async def told(books: BalanceDatabase) -> dict[str, float]:
    """All that is not zero."""
    await Gauges(books.pool).read()
    values = {name: REGISTRY.get_sample_value(f"tollgate_balance_{name}") for name in GAUGES}
    return {name: value for name, value in values.items() if value}


async def test_an_empty_ledger_has_nothing_open(books: BalanceDatabase) -> None:
    assert await told(books) == {}


async def test_open_leases_and_budgets_are_counted_while_they_are_open(books: BalanceDatabase) -> None:
    await books.credit("a", 1_000)
    boot_id = new_id()
    lease = await books.lease(boot_id, "a", 300)
    budgets = tuple(
        Budget(budget_id=name, period=BudgetPeriod.DAY, amount_nano=amount) for name, amount in (("k1", 50), ("k2", 90))
    )
    [granted] = await books.ask(Grant(new_id(), "a", boot_id, 50, 0, budgets))
    assert isinstance(granted, Answer)
    assert await told(books) == {
        "leases_open": 2,
        "leases_held_nano": 350,
        "budgets_current": 2,
        "budgets_exhausted": 1,
    }

    await books.ask(UpdateLease(lease.lease_id, "a", boot_id, 0, 0, close=True, rev=2))
    assert (await told(books))["leases_open"] == 1

    await books.execute("UPDATE allotments SET begins_at = begins_at - interval '1 day', ends_at = now()")
    assert "budgets_current" not in await told(books)


async def test_debts_and_credit_that_ends_are_counted(books: BalanceDatabase) -> None:
    await books.credit("a", 100)
    await books.credit("a", 20, expires_at=utc_now() + timedelta(hours=3))
    await books.credit("b", 7, expires_at=utc_now() + timedelta(days=2))
    late = await books.credit("b", 9, expires_at=utc_now() + timedelta(hours=1))
    await books.execute("UPDATE grants SET expires_at = now() WHERE grant_id = %s", late)
    await adjust_credit(books.pool, adjusted("c", -30))

    assert await told(books) == {
        "adjustments_due": 1,
        "adjustments_due_nano": 30,
        "grants_expiring": 1,
        "grants_expiring_nano": 20,
        "grants_overdue": 1,
    }
