"""The rules of credit leases as pure functions, so that a model can run them through every interleaving.

docs/leases.md describes the protocol. Every function keeps two invariants of an account: `posted >= held >= 0`, and
`held` is the sum of its leases' holds. A grant under budgets fits into the headroom of each and counts in each.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from tollgate_balance.budgets.windows import BudgetWindow, BudgetWindows, headroom_nano, moved
from tollgate_balance.ledger.accounts import Account, Charged, charge
from tollgate_common.events import Budget
from tollgate_common.lease_protocol import LeaseOutcome, LeaseState


class Lease(NamedTuple):
    lease_id: str
    account_id: str
    boot_id: str
    state: LeaseState
    limit_nano: int
    settled_nano: int = 0
    rev: int = 1
    window_ids: tuple[int, ...] = ()
    """The windows of the budgets that it was granted under, current at the time of the grant."""

    @property
    def hold_nano(self) -> int:
        return 0 if self.state is LeaseState.RELEASED else max(0, self.limit_nano - self.settled_nano)


class Grant(NamedTuple):
    """A call for a new lease of at least `needed_nano` and, beyond that, at most `wanted_nano`."""

    lease_id: str
    account_id: str
    boot_id: str
    needed_nano: int
    wanted_nano: int
    budgets: tuple[Budget, ...] = ()


class UpdateLease(NamedTuple):
    """A call that extends, shrinks or closes a lease: to at least `limit_nano`, and at most `wanted_nano`."""

    lease_id: str
    account_id: str
    boot_id: str
    limit_nano: int
    wanted_nano: int
    close: bool
    rev: int


LeaseCall = Grant | UpdateLease
NO_WINDOWS: Mapping[int, BudgetWindow] = MappingProxyType({})


class Answer(NamedTuple):
    """The account, the lease and its budget windows as they are after the call."""

    outcome: LeaseOutcome
    account: Account
    lease: Lease | None
    windows: BudgetWindows = ()
    refused_by: BudgetWindow | None = None
    """The budget that has no headroom, if the account itself has enough."""


def size(available_nano: int, needed_nano: int, wanted_nano: int, edges: int) -> int:
    """Return the amount to hold: the need, or as much of the want as leaves an equal share for every other edge."""
    return max(needed_nano, min(wanted_nano, available_nano // (edges + 1)))


def grant(account: Account, known: Lease | None, call: Grant, edges: int, windows: BudgetWindows = ()) -> Answer:
    """Grant a lease under the current windows of the call's budgets. A repeated call returns the existing lease.

    Args:
        account: the account of the call.
        known: the lease with the call's id, if it exists; then `windows` are those that it was granted under.
        call: the call.
        edges: the number of live edges.
        windows: the windows of all budgets of the call.
    """
    if known is not None:
        outcome = LeaseOutcome.DONE if known.state is LeaseState.OPEN else LeaseOutcome.CONFLICT
        return Answer(outcome, account, known, windows)
    grantable_nano = headroom_nano(account.available_nano, windows)
    if call.needed_nano > grantable_nano:
        return _refuse(Answer(LeaseOutcome.RETRY, account, None, windows), call.needed_nano)
    amount_nano = size(grantable_nano, call.needed_nano, call.wanted_nano, edges)
    ids = tuple(window.window_id for window in windows)
    lease = Lease(call.lease_id, call.account_id, call.boot_id, LeaseState.OPEN, amount_nano, window_ids=ids)
    account = account._replace(held_nano=account.held_nano + amount_nano)
    return Answer(LeaseOutcome.DONE, account, lease, moved(windows, amount_nano))


def update_lease(account: Account, lease: Lease, call: UpdateLease, edges: int, windows: BudgetWindows = ()) -> Answer:
    """Set the limit of a lease by compare-and-set on its rev. A repeated call changes nothing."""
    unchanged = Answer(LeaseOutcome.DONE, account, lease, windows)
    if call.rev == lease.rev and _is_as_asked(lease, call):
        return unchanged
    if call.rev != lease.rev + 1 or lease.state is not LeaseState.OPEN:
        return unchanged._replace(outcome=LeaseOutcome.CONFLICT)
    more_nano = max(0, call.limit_nano - lease.settled_nano) - lease.hold_nano
    limit_nano = call.limit_nano
    # A close reports the amount that is already spent, so no budget can reject it.
    grantable_nano = account.available_nano if call.close else headroom_nano(account.available_nano, windows)
    if more_nano > max(0, grantable_nano) and not call.close:
        return _refuse(unchanged, more_nano)
    if more_nano > account.available_nano:
        # Hold as much as the credit covers. The rest becomes uncovered usage.
        limit_nano = lease.settled_nano + lease.hold_nano + account.available_nano
    elif more_nano > 0 and not call.close:
        wanted_nano = call.wanted_nano - lease.settled_nano - lease.hold_nano
        limit_nano = lease.settled_nano + lease.hold_nano + size(grantable_nano, more_nano, wanted_nano, edges)
    changed = lease._replace(
        limit_nano=limit_nano, rev=call.rev, state=LeaseState.CLOSED if call.close else LeaseState.OPEN
    )
    grown_nano = changed.hold_nano - lease.hold_nano
    account = account._replace(held_nano=account.held_nano + grown_nano)
    return Answer(LeaseOutcome.DONE, account, changed, moved(windows, grown_nano))


def is_extension(lease: Lease, call: UpdateLease) -> bool:
    """Whether the call asks for more than the lease has. A fenced boot may not extend."""
    return not call.close and call.limit_nano > lease.limit_nano


def _is_as_asked(lease: Lease, call: UpdateLease) -> bool:
    if call.close or lease.state is not LeaseState.OPEN:
        return call.close and lease.state is LeaseState.CLOSED
    return call.limit_nano <= lease.limit_nano <= max(call.limit_nano, call.wanted_nano)


def _refuse(unchanged: Answer, more_nano: int) -> Answer:
    """Return the outcome of a call that does not fit: permanently, or only while other leases hold the amount."""
    own_hold_nano = 0 if unchanged.lease is None else unchanged.lease.hold_nano
    if more_nano > unchanged.account.posted_nano - own_hold_nano:
        return unchanged._replace(outcome=LeaseOutcome.INSUFFICIENT)
    for window in unchanged.windows:
        if more_nano > window.amount_nano - window.spent_nano - own_hold_nano:
            return unchanged._replace(outcome=LeaseOutcome.BUDGET_EXCEEDED, refused_by=window)
    short = (window for window in unchanged.windows if more_nano > window.left_nano)
    refused_by = None if more_nano > unchanged.account.available_nano else next(short)
    return unchanged._replace(outcome=LeaseOutcome.RETRY, refused_by=refused_by)


class Counted:
    """Collects the changes of holds and spending in the windows that leases were granted under."""

    def __init__(self, windows: Mapping[int, BudgetWindow]) -> None:
        self._before = windows
        self._changed: dict[int, BudgetWindow] = {}

    def add(self, lease: Lease, held_nano: int, spent_nano: int) -> None:
        for number in lease.window_ids:
            window = self._changed.get(number) or self._before[number]
            [self._changed[number]] = moved([window], held_nano, spent_nano)

    def changed(self) -> list[BudgetWindow]:
        return list(self._changed.values())


class Settled(NamedTuple):
    charged: Charged
    leases: list[Lease]
    windows: list[BudgetWindow]


def settle(
    account: Account,
    leases: Mapping[str, Lease],
    used_nano: Mapping[str | None, int],
    windows: Mapping[int, BudgetWindow] = NO_WINDOWS,
) -> Settled:
    """Charge an account's usage, with and without leases. Holds cover it first, then the available credit.

    The order of the usage does not matter, because usage that a hold covers does not change `available`. A lease that
    is unknown, or that belongs to another account, covers nothing. The budget windows of a lease count all its usage.
    """
    settled, covered_nano, counted = [], 0, Counted(windows)
    for lease_id, amount_nano in used_nano.items():
        lease = leases.get(lease_id) if lease_id is not None else None
        if lease is None or lease.account_id != account.account_id:
            continue
        covered_nano += min(amount_nano, lease.hold_nano)
        after = lease._replace(settled_nano=lease.settled_nano + amount_nano)
        settled.append(after)
        counted.add(lease, after.hold_nano - lease.hold_nano, amount_nano)
    return Settled(charge(account, sum(used_nano.values()), covered_nano), settled, counted.changed())


class Released(NamedTuple):
    account: Account
    leases: list[Lease]
    windows: list[BudgetWindow]


def release(account: Account, leases: Iterable[Lease], windows: Mapping[int, BudgetWindow] = NO_WINDOWS) -> Released:
    """Release the remaining holds of a fenced boot's leases."""
    leases, counted = list(leases), Counted(windows)
    for lease in leases:
        counted.add(lease, -lease.hold_nano, 0)
    return Released(
        account._replace(held_nano=account.held_nano - sum(lease.hold_nano for lease in leases)),
        [lease._replace(state=LeaseState.RELEASED) for lease in leases],
        counted.changed(),
    )
