"""Lease calls per second, with their contention in the service: on one account, on a thousand, under budgets.

HTTP is left out: it costs the service about 0.2 ms per call, which does not depend on money.
"""

import asyncio
import time
from functools import partial
from typing import NamedTuple

from bench.money.figures import Figure, percentile
from bench.money.place import own_place

from tollgate_balance.credits.handlers import grant_credit
from tollgate_balance.leases.boots import renew
from tollgate_balance.leases.handlers import answer_calls
from tollgate_balance.leases.micro_batcher import MicroBatcher
from tollgate_balance.leases.rules import Answer, Grant, LeaseCall, UpdateLease
from tollgate_balance.main import CONNECTIONS
from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem
from tollgate_common.events import Budget, BudgetPeriod, CreditGranted
from tollgate_common.ids import new_id
from tollgate_common.lease_protocol import LeaseOutcome
from tollgate_common.postgres.connection import create_pool

ASKERS, LASTS_S = 500, 10.0
BUDGETS = tuple(
    Budget(budget_id="key:k", period=period, amount_nano=10**15) for period in (BudgetPeriod.DAY, BudgetPeriod.MONTH)
)

AccountUnitOfWork = MicroBatcher[LeaseCall, Answer | Problem]


class Load(NamedTuple):
    what: str
    accounts: int
    budgets: tuple[Budget, ...] = ()


LOADS = (
    Load("on one account", 1),
    Load("on one account, under two budgets", 1, BUDGETS),
    Load("on a thousand accounts", 1_000),
)


async def measure() -> list[Figure]:
    figures = []
    async with own_place(1) as place, create_pool(place.dsn, max_size=CONNECTIONS) as pool:
        for number in range(1_000):
            grant = CreditGranted(
                grant_id=new_id(), account_id=f"account-{number}", at=utc_now(), amount_nano=10**15, source="payment"
            )
            await grant_credit(pool, grant)
        await renew(pool, "boot", "edge", None)
        for load in LOADS:
            unit: AccountUnitOfWork = MicroBatcher(partial(answer_calls, pool))
            until_s, waited_s = time.perf_counter() + LASTS_S, list[float]()
            await asyncio.gather(*(_ask(unit, load, number, until_s, waited_s) for number in range(ASKERS)))
            note = f"p99 {percentile(waited_s, 99) * 1000:.0f} ms with {ASKERS} at once"
            figures.append(Figure(f"lease calls {load.what}", len(waited_s) / LASTS_S, "a second", note=note))
    return figures


async def _ask(unit: AccountUnitOfWork, load: Load, number: int, until_s: float, waited_s: list[float]) -> None:
    """Grant, extend and close leases, one after another."""
    account_id = f"account-{number % load.accounts}"
    while time.perf_counter() < until_s:
        lease_id = new_id()
        for call in (
            Grant(lease_id, account_id, "boot", 1_000, 2_000, load.budgets),
            UpdateLease(lease_id, account_id, "boot", 5_000, 5_000, close=False, rev=2),
            UpdateLease(lease_id, account_id, "boot", 0, 0, close=True, rev=3),
        ):
            began_s = time.perf_counter()
            answer = await unit.ask(account_id, call)
            assert isinstance(answer, Answer)
            assert answer.outcome is LeaseOutcome.DONE
            waited_s.append(time.perf_counter() - began_s)
