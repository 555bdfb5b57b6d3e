"""Lease calls of edges: all waiting calls in one transaction."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import NamedTuple

from prometheus_client import Counter

from tollgate_balance.budgets import store as budgets
from tollgate_balance.budgets.store import Named
from tollgate_balance.budgets.windows import BudgetWindow, BudgetWindows
from tollgate_balance.credits.collection import Grants, read_expiring, save_collected
from tollgate_balance.credits.portfolio import Collected, CreditPortfolio, open_portfolio, take
from tollgate_balance.leases import store as leases
from tollgate_balance.leases.rules import (
    Answer,
    Grant,
    Lease,
    LeaseCall,
    UpdateLease,
    grant,
    is_extension,
    update_lease,
)
from tollgate_balance.leases.store import Boots
from tollgate_balance.ledger import store as ledger
from tollgate_balance.ledger.accounts import Account
from tollgate_common.crash_points import CrashPoint, reach
from tollgate_common.errors import Problem
from tollgate_common.lease_protocol import LeaseOutcome
from tollgate_common.postgres.connection import Connection, Pool

ANSWERS = Counter("tollgate_balance_lease_requests", "Lease calls, by their outcome.", ["call", "outcome"])

# How long renewals ask for an account's leases to shrink after it ran short. Each edge renews several times in it.
SHORTAGE_DURATION = timedelta(seconds=30)


async def answer_calls(pool: Pool, calls: Sequence[LeaseCall]) -> list[Answer | Problem]:
    """Process calls in order, as if each ran alone. A call that is invalid gets a Problem.

    Raises:
        psycopg.OperationalError: the database is unavailable. Each call may be repeated.
    """
    async with pool.connection() as connection:
        # Lock the boots first. The fence waits only for boots, so two transactions cannot deadlock.
        boots = await leases.share_boots(connection, {call.boot_id for call in calls})
        accounts = await ledger.lock_accounts(connection, {call.account_id for call in calls})
        known = await leases.read_leases(connection, {call.lease_id for call in calls})
        windows = await _read_budgets(connection, calls, known)
        grants = await read_expiring(connection, accounts.values())
        units = {
            account_id: AccountUnitOfWork(open_portfolio(account, grants.get(account_id, ())), known, boots, windows)
            for account_id, account in accounts.items()
        }
        answers = [units[call.account_id].answer(call) for call in calls]
        await _save(connection, units.values(), grants)
        reach(CrashPoint.BEFORE_GRANT, lambda: any(isinstance(call, Grant) for call in calls))
        reach(CrashPoint.BEFORE_CLOSE, lambda: any(_closes(call) for call in calls))
    reach(CrashPoint.AFTER_GRANT, lambda: any(isinstance(call, Grant) for call in calls))
    reach(CrashPoint.AFTER_CLOSE, lambda: any(_closes(call) for call in calls))
    for call, answer in zip(calls, answers, strict=True):
        outcome = answer.outcome if isinstance(answer, Answer) else answer.code
        ANSWERS.labels(type(call).__name__.lower(), outcome).inc()
    return answers


class Budgets(NamedTuple):
    """Budget windows by id, and the ids of the current windows by the budgets' names."""

    windows: dict[int, BudgetWindow]
    current: dict[Named, int]

    def of(self, lease: Lease | None, call: LeaseCall) -> BudgetWindows:
        """Return the windows of the call's lease, or the current windows of the budgets that a new call names."""
        if lease is not None:
            return tuple(self.windows[number] for number in lease.window_ids)
        if isinstance(call, Grant):
            names = (Named(call.account_id, budget.budget_id, budget.period.value) for budget in call.budgets)
            return tuple(self.windows[self.current[name]] for name in names)
        return ()


async def _read_budgets(connection: Connection, calls: Sequence[LeaseCall], known: dict[str, Lease]) -> Budgets:
    named = [
        (call.account_id, budget)
        for call in calls
        if isinstance(call, Grant) and call.lease_id not in known
        for budget in call.budgets
    ]
    current = await budgets.open_current(connection, named)
    numbers = {number for lease in known.values() for number in lease.window_ids}
    windows = await budgets.read_windows(connection, numbers)
    windows |= {one.window_id: one for one in current.values()}
    return Budgets(windows, {name: one.window_id for name, one in current.items()})


def _closes(call: LeaseCall) -> bool:
    return isinstance(call, UpdateLease) and call.close


async def _save(connection: Connection, units: Collection["AccountUnitOfWork"], grants: Grants) -> None:
    changed = [lease for unit in units for lease in unit.changed.values()]
    if changed:
        await leases.save_leases(connection, changed)
    collected = [Collected(unit.portfolio, unit.taken_nano) for unit in units if unit.portfolio != unit.before]
    if collected:
        await save_collected(connection, collected, grants)
    await budgets.save_windows(connection, [one for unit in units for one in unit.counted.values()])
    short_budgets = {number for unit in units for number in unit.short_budgets}
    if short_budgets:
        await budgets.note_shortages(connection, short_budgets, SHORTAGE_DURATION)
    short = [unit.account.account_id for unit in units if unit.is_short]
    if short:
        await leases.note_shortages(connection, short, SHORTAGE_DURATION)


class AccountUnitOfWork:
    """Applies calls to a locked account and its leases, one after another, and collects the changes to save."""

    def __init__(self, portfolio: CreditPortfolio, known: dict[str, Lease], boots: Boots, budgets: Budgets) -> None:
        self.before = self.portfolio = portfolio
        self.is_short = False
        self.short_budgets: set[int] = set()
        self.changed: dict[str, Lease] = {}
        self.counted: dict[int, BudgetWindow] = {}
        self.taken_nano = 0
        self._leases = known
        self._boots = boots
        self._budgets = budgets

    def answer(self, call: LeaseCall) -> Answer | Problem:
        lease = self._leases.get(call.lease_id)
        problem = self._problem(call, lease)
        if problem is not None:
            return problem
        answer = self._apply(call, lease)
        if answer.outcome is LeaseOutcome.RETRY and answer.refused_by is not None:
            self.short_budgets.add(answer.refused_by.window_id)
        elif answer.outcome is LeaseOutcome.RETRY:
            self.is_short = True
        if answer.lease is not None and answer.lease != lease:
            self._leases[call.lease_id] = self.changed[call.lease_id] = answer.lease
            for window in answer.windows:
                number = window.window_id
                self._budgets.windows[number] = self.counted[number] = window
        # Freed credit pays due reductions before the next call can use it.
        self.portfolio, taken_nano = take(self.portfolio._replace(account=answer.account))
        self.taken_nano += taken_nano
        return answer._replace(account=self.account)

    @property
    def account(self) -> Account:
        return self.portfolio.account

    def _apply(self, call: LeaseCall, lease: Lease | None) -> Answer:
        windows = self._budgets.of(lease, call)
        match call:
            case Grant():
                return grant(self.account, lease, call, self._boots.edges, windows)
            case UpdateLease():
                assert lease is not None
                return update_lease(self.account, lease, call, self._boots.edges, windows)

    def _problem(self, call: LeaseCall, lease: Lease | None) -> Problem | None:
        if call.boot_id not in self._boots.is_fenced:
            return Problem(
                HTTPStatus.CONFLICT, "boot_not_found", f"the boot {call.boot_id} has never renewed; renew it first"
            )
        if lease is None and isinstance(call, UpdateLease):
            return Problem(
                HTTPStatus.NOT_FOUND,
                "lease_not_found",
                f"the lease {call.lease_id} does not exist: it was never granted",
            )
        if lease is not None and (lease.account_id, lease.boot_id) != (call.account_id, call.boot_id):
            return Problem(
                HTTPStatus.CONFLICT,
                "lease_conflict",
                f"the lease {call.lease_id} belongs to another account or boot; choose a new lease id",
            )
        asks_for_more = isinstance(call, Grant) or (lease is not None and is_extension(lease, call))
        if asks_for_more and self._boots.is_fenced[call.boot_id]:
            return boot_fenced()
        return None


def boot_fenced() -> Problem:
    return Problem(
        HTTPStatus.CONFLICT, "boot_fenced", "the boot was fenced; drop its leases and continue with a new boot id"
    )
