"""Budgets on real PostgreSQL: granted with the leases, never overspent by however many edges, period by period."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from balance.world import BalanceDatabase, Boot, World
from tollgate_balance.leases.boots import fence_silent_boots, release_drained_boots
from tollgate_balance.leases.rules import Answer, Grant, Lease, UpdateLease
from tollgate_balance.reconciliation.source import LedgerReconciliationSource
from tollgate_common.clock import utc_now
from tollgate_common.events import Budget, BudgetPeriod
from tollgate_common.ids import new_id
from tollgate_common.lease_protocol import LeaseOutcome
from waiting import until

pytestmark = pytest.mark.engines

DAY = Budget(budget_id="key:k1", period=BudgetPeriod.DAY, amount_nano=100)
MONTH = Budget(budget_id="key:k1", period=BudgetPeriod.MONTH, amount_nano=150)
PROJECT = Budget(budget_id="project:p1", period=BudgetPeriod.TOTAL, amount_nano=120)


async def ask(books: BalanceDatabase, boot_id: str, needed_nano: int, *budgets: Budget, wanted_nano: int = 0) -> Answer:
    [answer] = await books.ask(Grant(new_id(), "a", boot_id, needed_nano, wanted_nano, budgets))
    assert isinstance(answer, Answer)
    return answer


async def lease_of(books: BalanceDatabase, boot_id: str, nano: int, *budgets: Budget) -> Lease:
    answer = await ask(books, boot_id, nano, *budgets)
    assert answer.lease is not None, answer
    return answer.lease


async def allotted(books: BalanceDatabase) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Amount, spent and held of each."""
    rows = await books.query("SELECT * FROM allotments ORDER BY allotment_id")
    return {
        (row["budget_id"], row["period"]): (row["amount_nano"], row["spent_nano"], row["held_nano"]) for row in rows
    }


async def check(books: BalanceDatabase) -> None:
    await books.check_books()
    assert await LedgerReconciliationSource(books.pool, "").drifts(utc_now()) == []


async def test_two_edges_at_once_never_hold_more_than_a_budget(books: BalanceDatabase) -> None:
    await books.credit("a", 10_000)
    edges = [new_id(), new_id()]
    for boot_id in edges:
        await books.renew(boot_id)
    answers = await asyncio.gather(*(ask(books, random.choice(edges), 9, DAY, PROJECT) for _ in range(40)))
    assert [answer.outcome for answer in answers].count(LeaseOutcome.DONE) == 11
    assert await allotted(books) == {("key:k1", "day"): (100, 0, 99), ("project:p1", "total"): (120, 0, 99)}
    assert (await books.account("a"))["held_nano"] == 99
    await check(books)


async def test_keys_share_their_projects_budget(books: BalanceDatabase) -> None:
    await books.credit("a", 10_000)
    await books.renew("edge")
    other = Budget(budget_id="key:k2", period=BudgetPeriod.DAY, amount_nano=100)
    await lease_of(books, "edge", 90, DAY, PROJECT)
    refused = await ask(books, "edge", 31, other, PROJECT)
    assert (refused.outcome, refused.refused_by and refused.refused_by.budget_id) == (LeaseOutcome.RETRY, "project:p1")
    await lease_of(books, "edge", 30, other, PROJECT)
    assert (await allotted(books))["project:p1", "total"] == (120, 0, 120)
    await check(books)


async def test_usage_is_counted_and_what_is_late_in_full(world: World) -> None:
    await world.credit("a", 10_000)
    edge = Boot()
    await world.renew(edge.boot_id)
    lease = await lease_of(world, edge.boot_id, 60, DAY)
    await world.send([edge.used("a", 40, lease.lease_id)])
    async with world.consuming():
        await until(world.has_consumed_all)
        assert await allotted(world) == {("key:k1", "day"): (100, 40, 20)}
        await world.ask(UpdateLease(lease.lease_id, "a", edge.boot_id, 50, 0, close=True, rev=2))
        assert await allotted(world) == {("key:k1", "day"): (100, 40, 10)}
        # Usage beyond what was reserved: it is posted and counted, and the budget says so.
        await world.send([edge.used("a", 70, lease.lease_id), edge.used("a", 1, "unknown")])
        await until(world.has_consumed_all)
    assert await allotted(world) == {("key:k1", "day"): (100, 110, 0)}
    refused = await ask(world, edge.boot_id, 1, DAY)
    assert refused.outcome is LeaseOutcome.BUDGET_EXCEEDED
    assert await world.posted("usage", "a") == -111
    await check(world)


async def test_a_dead_edges_holds_come_back_to_the_budget(world: World) -> None:
    await world.credit("a", 10_000)
    await world.renew("dead")
    await lease_of(world, "dead", 60, DAY, MONTH)
    await fence_silent_boots(world.pool, timedelta())
    await world.execute("UPDATE boots SET usage_ends = '{}'")
    await release_drained_boots(world.pool, world.usage_topic)
    assert await allotted(world) == {("key:k1", "day"): (100, 0, 0), ("key:k1", "month"): (150, 0, 0)}
    await check(world)


async def test_a_new_period_begins_with_nothing_spent_and_an_old_lease_counts_in_its_own(
    books: BalanceDatabase,
) -> None:
    await books.credit("a", 10_000)
    await books.renew("edge")
    old = await ask(books, "edge", 100, DAY)
    assert old.lease is not None
    [window] = old.windows
    assert window.ends_at is not None
    assert window.ends_at.utcoffset() == timedelta()
    assert window.ends_at.time() == datetime.min.time()
    assert 0 <= (window.ends_in_ms or 0) <= 86_400_000
    await books.execute(
        "UPDATE allotments SET begins_at = begins_at - interval '1 day', ends_at = ends_at - interval '1 day'"
    )
    assert (await ask(books, "edge", 100, DAY)).outcome is LeaseOutcome.DONE
    [extended] = await books.ask(UpdateLease(old.lease.lease_id, "a", "edge", 101, 0, close=False, rev=2))
    assert isinstance(extended, Answer)
    assert extended.outcome is LeaseOutcome.BUDGET_EXCEEDED
    rows = await books.query("SELECT held_nano, ends_at > now() AS is_current FROM allotments ORDER BY ends_at")
    assert rows == [{"held_nano": 100, "is_current": False}, {"held_nano": 100, "is_current": True}]
    await check(books)


async def test_the_newest_grant_tells_the_budgets_amount(books: BalanceDatabase) -> None:
    await books.credit("a", 10_000)
    await books.renew("edge")
    await lease_of(books, "edge", 90, DAY)
    lowered = Budget(budget_id=DAY.budget_id, period=DAY.period, amount_nano=50)
    assert (await ask(books, "edge", 1, lowered)).outcome is LeaseOutcome.RETRY
    raised = Budget(budget_id=DAY.budget_id, period=DAY.period, amount_nano=200)
    assert (await ask(books, "edge", 110, raised)).outcome is LeaseOutcome.DONE
    assert await allotted(books) == {("key:k1", "day"): (200, 0, 200)}


async def test_a_short_budget_asks_only_its_own_leases_to_shrink(books: BalanceDatabase) -> None:
    await books.credit("a", 10_000)
    await books.renew("edge")
    under, _ = await lease_of(books, "edge", 90, DAY), await lease_of(books, "edge", 90)
    assert (await ask(books, "edge", 20, DAY)).outcome is LeaseOutcome.RETRY
    assert (await books.renew("edge")).shrink == [under.lease_id]


async def test_a_call_sent_again_finds_its_lease_whatever_the_budget_says_by_now(books: BalanceDatabase) -> None:
    await books.credit("a", 10_000)
    await books.renew("edge")
    call = Grant(new_id(), "a", "edge", 100, 0, (DAY,))
    first, again, other = await books.ask(call, call, call._replace(lease_id=new_id()))
    assert isinstance(first, Answer)
    assert isinstance(again, Answer)
    assert isinstance(other, Answer)
    assert (first.outcome, again.outcome, other.outcome) == (LeaseOutcome.DONE, LeaseOutcome.DONE, LeaseOutcome.RETRY)
    assert first.lease == again.lease
    assert await allotted(books) == {("key:k1", "day"): (100, 0, 100)}


@pytest.mark.parametrize("column", ["spent_nano", "held_nano"])
async def test_the_reconciler_sees_a_budget_that_counts_wrong(books: BalanceDatabase, column: str) -> None:
    await books.credit("a", 10_000)
    await books.renew("edge")
    await lease_of(books, "edge", 60, DAY)
    damage: Any = f"UPDATE allotments SET {column} = {column} + 1"  # noqa: S608 - one of two names
    await books.execute(damage)
    [drift] = await LedgerReconciliationSource(books.pool, "").drifts(utc_now())
    assert (drift.what, drift.stored - drift.rows) == (f"{column} of budgets", 1)
