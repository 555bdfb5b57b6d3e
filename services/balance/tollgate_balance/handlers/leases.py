"""Lease calls of edges: all that wait, in one transaction."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import NamedTuple

from prometheus_client import Counter

from tollgate_balance.budgets import Allotment, Allotments
from tollgate_balance.grants import Collected, Purse, open_purse, take
from tollgate_balance.handlers.purses import Grants, read_expiring, save_collected
from tollgate_balance.leases import Answer, Grant, Lease, LeaseCall, UpdateLease, grant, is_extension, update_lease
from tollgate_balance.ledger import Account
from tollgate_balance.store import budgets, leases, ledger
from tollgate_balance.store.budgets import Named
from tollgate_balance.store.leases import Boots
from tollgate_common.crash_points import CrashPoint, reach
from tollgate_common.errors import Problem
from tollgate_common.lease_protocol import LeaseOutcome
from tollgate_common.postgres.connection import Connection, Pool

ANSWERS = Counter("tollgate_balance_lease_requests", "Answers to lease calls.", ["call", "outcome"])

# How long renewals ask an account's leases to shrink after it ran short: several renewals of each edge.
SHORTAGE_LASTS = timedelta(seconds=30)


async def answer_calls(pool: Pool, calls: Sequence[LeaseCall]) -> list[Answer | Problem]:
    """Answer calls in their order, as if each were alone; a call that is at fault gets a Problem.

    Raises:
        psycopg.OperationalError: the database is away; each call may be repeated.
    """
    async with pool.connection() as connection:
        # The boots first: the fence waits for them and for nothing else, so no two transactions wait for each other.
        boots = await leases.share_boots(connection, {call.boot_id for call in calls})
        accounts = await ledger.lock_accounts(connection, {call.account_id for call in calls})
        known = await leases.read_leases(connection, {call.lease_id for call in calls})
        allotments = await _read_budgets(connection, calls, known)
        grants = await read_expiring(connection, accounts.values())
        desks = {
            account_id: Desk(open_purse(account, grants.get(account_id, ())), known, boots, allotments)
            for account_id, account in accounts.items()
        }
        answers = [desks[call.account_id].answer(call) for call in calls]
        await _save(connection, desks.values(), grants)
        reach(CrashPoint.BEFORE_GRANT, lambda: any(isinstance(call, Grant) for call in calls))
        reach(CrashPoint.BEFORE_CLOSE, lambda: any(_closes(call) for call in calls))
    reach(CrashPoint.AFTER_GRANT, lambda: any(isinstance(call, Grant) for call in calls))
    reach(CrashPoint.AFTER_CLOSE, lambda: any(_closes(call) for call in calls))
    for call, answer in zip(calls, answers, strict=True):
        outcome = answer.outcome if isinstance(answer, Answer) else answer.code
        ANSWERS.labels(type(call).__name__.lower(), outcome).inc()
    return answers


class Budgets(NamedTuple):
    """What budgets allot, by the number that a lease knows it by; the current periods also by the budgets' names."""

    allotments: dict[int, Allotment]
    current: dict[Named, int]

    def of(self, lease: Lease | None, call: LeaseCall) -> Allotments:
        """What a call is about: what its lease was granted under, or what the budgets that it names allot now."""
        if lease is not None:
            return tuple(self.allotments[number] for number in lease.allotment_ids)
        if isinstance(call, Grant):
            names = (Named(call.account_id, budget.budget_id, budget.period.value) for budget in call.budgets)
            return tuple(self.allotments[self.current[name]] for name in names)
        return ()


async def _read_budgets(connection: Connection, calls: Sequence[LeaseCall], known: dict[str, Lease]) -> Budgets:
    named = [
        (call.account_id, budget)
        for call in calls
        if isinstance(call, Grant) and call.lease_id not in known
        for budget in call.budgets
    ]
    current = await budgets.open_current(connection, named)
    numbers = {number for lease in known.values() for number in lease.allotment_ids}
    allotments = await budgets.read_allotments(connection, numbers)
    allotments |= {one.allotment_id: one for one in current.values()}
    return Budgets(allotments, {name: one.allotment_id for name, one in current.items()})


def _closes(call: LeaseCall) -> bool:
    return isinstance(call, UpdateLease) and call.close


async def _save(connection: Connection, desks: Collection["Desk"], grants: Grants) -> None:
    changed = [lease for desk in desks for lease in desk.changed.values()]
    if changed:
        await leases.save_leases(connection, changed)
    collected = [Collected(desk.purse, desk.taken_nano) for desk in desks if desk.purse != desk.before]
    if collected:
        await save_collected(connection, collected, grants)
    await budgets.save_allotments(connection, [one for desk in desks for one in desk.counted.values()])
    short_budgets = {number for desk in desks for number in desk.short_budgets}
    if short_budgets:
        await budgets.note_shortages(connection, short_budgets, SHORTAGE_LASTS)
    short = [desk.account.account_id for desk in desks if desk.is_short]
    if short:
        await leases.note_shortages(connection, short, SHORTAGE_LASTS)


class Desk:
    """Answers calls one after another on a locked account and its leases, and gathers what they change."""

    def __init__(self, purse: Purse, known: dict[str, Lease], boots: Boots, budgets: Budgets) -> None:
        self.before = self.purse = purse
        self.is_short = False
        self.short_budgets: set[int] = set()
        self.changed: dict[str, Lease] = {}
        self.counted: dict[int, Allotment] = {}
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
            self.short_budgets.add(answer.refused_by.allotment_id)
        elif answer.outcome is LeaseOutcome.RETRY:
            self.is_short = True
        if answer.lease is not None and answer.lease != lease:
            self._leases[call.lease_id] = self.changed[call.lease_id] = answer.lease
            for allotment in answer.allotments:
                number = allotment.allotment_id
                self._budgets.allotments[number] = self.counted[number] = allotment
        # What came back is taken for what is due, before the next call sees it.
        self.purse, taken_nano = take(self.purse._replace(account=answer.account))
        self.taken_nano += taken_nano
        return answer._replace(account=self.account)

    @property
    def account(self) -> Account:
        return self.purse.account

    def _apply(self, call: LeaseCall, lease: Lease | None) -> Answer:
        allotments = self._budgets.of(lease, call)
        match call:
            case Grant():
                return grant(self.account, lease, call, self._boots.edges, allotments)
            case UpdateLease():
                assert lease is not None
                return update_lease(self.account, lease, call, self._boots.edges, allotments)

    def _problem(self, call: LeaseCall, lease: Lease | None) -> Problem | None:
        if call.boot_id not in self._boots.is_fenced:
            return Problem(HTTPStatus.CONFLICT, "boot_not_found", "the boot has never renewed; renew it first")
        if lease is None and isinstance(call, UpdateLease):
            return Problem(HTTPStatus.NOT_FOUND, "lease_not_found", "there is no such lease; it was never granted")
        if lease is not None and (lease.account_id, lease.boot_id) != (call.account_id, call.boot_id):
            return Problem(
                HTTPStatus.CONFLICT, "lease_conflict", "the lease is another account's or boot's; draw a new lease id"
            )
        asks_for_more = isinstance(call, Grant) or (lease is not None and is_extension(lease, call))
        if asks_for_more and self._boots.is_fenced[call.boot_id]:
            return boot_fenced()
        return None


def boot_fenced() -> Problem:
    return Problem(
        HTTPStatus.CONFLICT, "boot_fenced", "the boot was declared dead; drop its leases, draw a new boot id"
    )
