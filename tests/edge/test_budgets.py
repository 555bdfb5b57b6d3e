"""Budgets at the edge: a lease for each set of them, leases that end with their period, and 402 that says which."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from balance.world import BalanceDatabase, open_pool, running
from tollgate_balance.leases import api as leases_api
from tollgate_common.clock import boot_clock_s
from tollgate_common.events import Budget, BudgetPeriod
from tollgate_common.http import create_app
from tollgate_common.lease_protocol import BudgetView, LeaseOutcome
from tollgate_edge.credit.admission import FailingOpen, KnownBalances
from tollgate_edge.credit.leases.client import LeaseClient
from tollgate_edge.credit.leases.manager import LeaseManager
from tollgate_edge.credit.leases.state import (
    Answer,
    Grant,
    LeaseView,
    Payer,
    PayerLease,
    PendingReservation,
    Refusal,
    closing,
)
from tollgate_edge.http.errors import BalanceUnavailable, BudgetExceeded, CreditHeld, CreditSpent
from waiting import until

TOKEN = "t" * 32
DAY = Budget(budget_id="key:k1", period=BudgetPeriod.DAY, amount_nano=1_000)
TOTAL = Budget(budget_id="project:p1", period=BudgetPeriod.TOTAL, amount_nano=5_000)
PAYER = Payer("a", (DAY, TOTAL))


def payer_lease_with(answer: Answer, least_nano: int = 100) -> tuple[PayerLease, PendingReservation]:
    """A payer lease that was given this answer to its first call."""
    payer_lease, pending = PayerLease(PAYER, lambda _: None), PendingReservation(least_nano, least_nano, lambda: None)
    payer_lease.enqueue(pending)
    call = payer_lease.next_call(0, "boot", lambda: "lease")
    assert isinstance(call, Grant)
    assert (call.account_id, call.budgets) == ("a", (DAY, TOTAL))
    payer_lease.take(answer, 0)
    payer_lease.serve(0)
    return payer_lease, pending


def granted(period_ends_s: float) -> Answer:
    return Answer(LeaseOutcome.DONE, LeaseView(True, 500, 0, 1), 10_000, 0, None, period_ends_s)


def test_a_lease_ends_with_its_period_when_its_requests_have_ended() -> None:
    payer_lease, pending = payer_lease_with(granted(60))
    assert pending.reserved is not None
    assert payer_lease.try_reserve(50, 59.9) is not None
    assert payer_lease.try_reserve(50, 60) is None
    assert payer_lease.end_period(59.9) is None
    lease = payer_lease.end_period(60)
    assert lease is not None
    assert payer_lease.lease is None
    assert closing(lease) is None

    assert not pending.reserved.try_extend(1), "it moves to a lease of the new period when it grows"
    pending.reserved.settle(80)
    lease.reserved_nano -= 50
    call = closing(lease)
    assert call is not None
    assert (call.lease_id, call.limit_nano, call.close, call.rev) == ("lease", 80, True, 2)


def test_a_period_does_not_end_in_the_middle_of_a_call() -> None:
    payer_lease, _ = payer_lease_with(granted(60))
    payer_lease.enqueue(PendingReservation(900, 900, lambda: None))
    assert payer_lease.next_call(50, "boot", lambda: "other") is not None
    assert payer_lease.end_period(61) is None


def test_a_refusal_names_the_budget_and_others_that_need_less_may_wait() -> None:
    budget = BudgetView("key:k1", BudgetPeriod.DAY, 1_000, 950, "2026-11-26T00:00:00Z")
    payer_lease, pending = payer_lease_with(Answer(LeaseOutcome.BUDGET_EXCEEDED, None, 10_000, 0, budget))
    assert pending.refusal == Refusal(50, budget)
    assert payer_lease.waiting == []


def test_402_says_which_budget_and_when_it_resets() -> None:
    error = BudgetExceeded(
        100_000_000, BudgetView("key:k1", BudgetPeriod.DAY, 5 * 10**9, 4_950_000_000, "2026-11-26T00:00:00Z")
    )
    assert error.status == 402
    assert (b"x-should-retry", b"false") in error.headers
    body = json.loads(error.body())["error"]
    assert (body["type"], body["code"]) == ("insufficient_quota", "budget_exceeded")
    assert body["message"] == (
        "The daily budget of $5.00 of this API key (key:k1) is exceeded: this request may cost up to $0.10, and $0.05 "
        "is left. It resets at 2026-11-26T00:00:00Z."
    )
    total = BudgetExceeded(1, BudgetView("project:p1", BudgetPeriod.TOTAL, 5, 5, None))
    assert "the API key's project (project:p1)" in str(total)
    assert str(total).endswith("It does not reset; raise it to continue.")


class Rich:
    """Every account has plenty, as far as was heard."""

    def available_nano(self, _account_id: str) -> int:
        return 10**12


class Away:
    async def reserve(self, *_request: object) -> None:
        raise BalanceUnavailable


async def test_a_key_with_budgets_is_never_let_in_without_the_balance_service() -> None:
    open_for_all = FailingOpen(Away(), Rich(), above_nano=0)  # type: ignore[arg-type]
    assert (await open_for_all.reserve(Payer("a"), 1, 1)).lease is None
    for admission in (open_for_all, KnownBalances(Rich())):  # type: ignore[arg-type]
        with pytest.raises(BalanceUnavailable):
            await admission.reserve(PAYER, 1, 1)


# --- against the balance service ------------------------------------------------------------------------------------


@pytest.fixture
async def books(postgres_dsn: str) -> AsyncIterator[BalanceDatabase]:
    pool = await open_pool(postgres_dsn)
    yield BalanceDatabase(postgres_dsn, pool)
    await pool.close()


@asynccontextmanager
async def edge(books: BalanceDatabase, credit_wait_s: float = 1) -> AsyncIterator[LeaseManager]:
    app = create_app("balance", ready=lambda: None)
    leases_api.add_routes(app, books.pool, TOKEN, timedelta(seconds=30))
    client = LeaseClient("http://balance", TOKEN, edge="edge")
    await client._http.aclose()
    client._http = httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://balance/internal/v1",
        headers={"authorization": f"Bearer {TOKEN}"},
    )
    manager = LeaseManager(client, credit_wait_s=credit_wait_s)

    async def until_idle() -> None:
        pass

    async with running(manager.run(until_idle)):
        await until(lambda: manager.waiting_for() is None)
        yield manager
    await client.aclose()


async def spend(manager: LeaseManager, payer: Payer, nano: int, spent: list[int]) -> str:
    """One request: it reserves, works a while and costs all of it; or the code of its refusal."""
    try:
        reservation = await manager.reserve(payer, nano, nano)
    except (BudgetExceeded, CreditHeld) as error:
        return error.code
    await asyncio.sleep(0.01)
    reservation.settle(nano)
    spent.append(nano)
    return "served"


@pytest.mark.engines
async def test_two_edges_at_once_never_overspend_a_budget_and_spend_nearly_all_of_it(
    books: BalanceDatabase,
) -> None:
    await books.credit("a", 10**9)
    other = Payer("a", (Budget(budget_id="key:k2", period=BudgetPeriod.DAY, amount_nano=700), TOTAL))
    spent: dict[Payer, list[int]] = {PAYER: [], other: [], Payer("a"): []}
    async with edge(books, credit_wait_s=5) as one, edge(books, credit_wait_s=5) as two:
        requests = [
            spend(manager, payer, 30, spent[payer])
            for _ in range(30)
            for manager in (one, two)
            for payer in (PAYER, other)
        ]
        served = await asyncio.gather(*requests, spend(one, Payer("a"), 10**6, spent[Payer("a")]))
        assert set(served) <= {"served", "budget_exceeded", "insufficient_quota"}
    assert 900 <= sum(spent[PAYER]) <= 1_000
    assert 600 <= sum(spent[other]) <= 700
    assert spent[Payer("a")] == [10**6]
    # Nothing is in the ledger yet, and all of it is held: in the account and in each budget.
    rows = await books.query("SELECT budget_id, held_nano FROM allotments ORDER BY budget_id")
    assert {row["budget_id"]: row["held_nano"] for row in rows} == {
        "key:k1": sum(spent[PAYER]),
        "key:k2": sum(spent[other]),
        "project:p1": sum(spent[PAYER]) + sum(spent[other]),
    }
    await books.check_books()


@pytest.mark.engines
async def test_a_request_that_nobody_could_pay_is_refused_and_takes_no_other_with_it(
    books: BalanceDatabase,
) -> None:
    await books.credit("a", 10**9)
    async with edge(books, credit_wait_s=5) as manager:
        under_way = await manager.reserve(Payer("a"), 100, 10**30)
        for nano in (10**18 + 1, 10**40):
            with pytest.raises(CreditSpent) as caught:
                await manager.reserve(Payer("a"), nano, nano)
            assert caught.value.status == 402
            with pytest.raises(CreditSpent):
                await manager.extend(under_way, nano)
        under_way.settle(100)
        (await manager.reserve(Payer("a"), 10**6, 10**6)).settle(0)


@pytest.mark.engines
async def test_at_the_end_of_a_period_an_edge_goes_on_with_a_new_lease(books: BalanceDatabase) -> None:
    await books.credit("a", 10**9)
    spent: list[int] = []
    async with edge(books) as manager:
        under_way = await manager.reserve(PAYER, 600, 600)
        # As if midnight had come, for the balance service and for the edge.
        await books.execute(
            "UPDATE allotments SET begins_at = begins_at - interval '1 day', ends_at = ends_at - interval '1 day'"
            " WHERE period = 'day'"
        )
        old = under_way.lease
        assert old is not None
        assert boot_clock_s() < old.period_ends_s <= boot_clock_s() + 86_400
        old.period_ends_s = boot_clock_s()
        assert await spend(manager, PAYER, 900, spent) == "served"
        assert under_way.lease is old
        under_way.settle(500)
    rows = await books.query("SELECT period, held_nano FROM allotments WHERE period = 'day' ORDER BY begins_at")
    assert [row["held_nano"] for row in rows] == [500, 900]
    states = await books.query("SELECT state, count(*) AS count FROM leases GROUP BY state")
    assert states == [{"state": "closed", "count": 2}]
    await books.check_books()
