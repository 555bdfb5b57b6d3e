"""The rules of credit leases as pure functions, so that a model can run them through every interleaving.

docs/leases.md tells the protocol. An account here is always `posted >= held >= 0`, and `held` is the sum of its leases'
holds; each function keeps both true. What is granted under budgets has room in each of them, and counts there as well.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from tollgate_balance.budgets import Allotment, Allotments, moved, room_nano
from tollgate_balance.ledger import Account, Charged, charge
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
    allotment_ids: tuple[int, ...] = ()
    """Of the budgets that it was granted under, in the periods of that moment."""

    @property
    def hold_nano(self) -> int:
        return 0 if self.state is LeaseState.RELEASED else max(0, self.limit_nano - self.settled_nano)


class Grant(NamedTuple):
    """The call for a new lease of `needed_nano` at least and `wanted_nano` at most."""

    lease_id: str
    account_id: str
    boot_id: str
    needed_nano: int
    wanted_nano: int
    budgets: tuple[Budget, ...] = ()


class UpdateLease(NamedTuple):
    """The call that extends, shrinks or closes: `limit_nano` at least, and to extend `wanted_nano` at most."""

    lease_id: str
    account_id: str
    boot_id: str
    limit_nano: int
    wanted_nano: int
    close: bool
    rev: int


LeaseCall = Grant | UpdateLease
NO_ALLOTMENTS: Mapping[int, Allotment] = MappingProxyType({})


class Answer(NamedTuple):
    """The account, the lease and what its budgets allot, as they are after the call."""

    outcome: LeaseOutcome
    account: Account
    lease: Lease | None
    allotments: Allotments = ()
    refused_by: Allotment | None = None
    """The budget that has no room, if it is not the account that has none."""


def size(available_nano: int, needed_nano: int, wanted_nano: int, edges: int) -> int:
    """What is held for a caller: what it needs, and of what it wants as much as leaves a share for each other edge."""
    return max(needed_nano, min(wanted_nano, available_nano // (edges + 1)))


def grant(account: Account, known: Lease | None, call: Grant, edges: int, allotments: Allotments = ()) -> Answer:
    """Grant a lease under what the call's budgets allot now; a repeated call finds the lease there.

    Args:
        account: the call's.
        known: the lease of the call's id, if there is one; then `allotments` are what that one was granted under.
        call: what is asked for.
        edges: how many are alive.
        allotments: of all of the call's budgets.
    """
    if known is not None:
        outcome = LeaseOutcome.DONE if known.state is LeaseState.OPEN else LeaseOutcome.CONFLICT
        return Answer(outcome, account, known, allotments)
    room = room_nano(account.available_nano, allotments)
    if call.needed_nano > room:
        return _refuse(Answer(LeaseOutcome.RETRY, account, None, allotments), call.needed_nano)
    amount_nano = size(room, call.needed_nano, call.wanted_nano, edges)
    ids = tuple(allotment.allotment_id for allotment in allotments)
    lease = Lease(call.lease_id, call.account_id, call.boot_id, LeaseState.OPEN, amount_nano, allotment_ids=ids)
    account = account._replace(held_nano=account.held_nano + amount_nano)
    return Answer(LeaseOutcome.DONE, account, lease, moved(allotments, amount_nano))


def update_lease(account: Account, lease: Lease, call: UpdateLease, edges: int, allotments: Allotments = ()) -> Answer:
    """Set what a lease authorises, by compare-and-set on its rev; a repeated call finds it set."""
    unchanged = Answer(LeaseOutcome.DONE, account, lease, allotments)
    if call.rev == lease.rev and _is_as_asked(lease, call):
        return unchanged
    if call.rev != lease.rev + 1 or lease.state is not LeaseState.OPEN:
        return unchanged._replace(outcome=LeaseOutcome.CONFLICT)
    more_nano = max(0, call.limit_nano - lease.settled_nano) - lease.hold_nano
    limit_nano = call.limit_nano
    # What has been spent is spent, whatever the budget.
    room = account.available_nano if call.close else room_nano(account.available_nano, allotments)
    if more_nano > max(0, room) and not call.close:
        return _refuse(unchanged, more_nano)
    if more_nano > account.available_nano:
        # It is held as far as credit goes, and the rest will be uncovered usage.
        limit_nano = lease.settled_nano + lease.hold_nano + account.available_nano
    elif more_nano > 0 and not call.close:
        wanted_nano = call.wanted_nano - lease.settled_nano - lease.hold_nano
        limit_nano = lease.settled_nano + lease.hold_nano + size(room, more_nano, wanted_nano, edges)
    changed = lease._replace(
        limit_nano=limit_nano, rev=call.rev, state=LeaseState.CLOSED if call.close else LeaseState.OPEN
    )
    grown_nano = changed.hold_nano - lease.hold_nano
    account = account._replace(held_nano=account.held_nano + grown_nano)
    return Answer(LeaseOutcome.DONE, account, changed, moved(allotments, grown_nano))


def is_extension(lease: Lease, call: UpdateLease) -> bool:
    """Whether the call asks for more than the lease has: what a fenced boot may not."""
    return not call.close and call.limit_nano > lease.limit_nano


def _is_as_asked(lease: Lease, call: UpdateLease) -> bool:
    if call.close or lease.state is not LeaseState.OPEN:
        return call.close and lease.state is LeaseState.CLOSED
    return call.limit_nano <= lease.limit_nano <= max(call.limit_nano, call.wanted_nano)


def _refuse(unchanged: Answer, more_nano: int) -> Answer:
    """Why there is no room for so much: for good, or because other leases hold it."""
    own_hold_nano = 0 if unchanged.lease is None else unchanged.lease.hold_nano
    if more_nano > unchanged.account.posted_nano - own_hold_nano:
        return unchanged._replace(outcome=LeaseOutcome.INSUFFICIENT)
    for allotment in unchanged.allotments:
        if more_nano > allotment.amount_nano - allotment.spent_nano - own_hold_nano:
            return unchanged._replace(outcome=LeaseOutcome.BUDGET_EXCEEDED, refused_by=allotment)
    short = (allotment for allotment in unchanged.allotments if more_nano > allotment.left_nano)
    refused_by = None if more_nano > unchanged.account.available_nano else next(short)
    return unchanged._replace(outcome=LeaseOutcome.RETRY, refused_by=refused_by)


class Counted:
    """What leases hold and spend more or less, where the budgets count it that they were granted under."""

    def __init__(self, allotments: Mapping[int, Allotment]) -> None:
        self._before = allotments
        self._changed: dict[int, Allotment] = {}

    def add(self, lease: Lease, held_nano: int, spent_nano: int) -> None:
        for number in lease.allotment_ids:
            allotment = self._changed.get(number) or self._before[number]
            [self._changed[number]] = moved([allotment], held_nano, spent_nano)

    def changed(self) -> list[Allotment]:
        return list(self._changed.values())


class Settled(NamedTuple):
    charged: Charged
    leases: list[Lease]
    allotments: list[Allotment]


def settle(
    account: Account,
    leases: Mapping[str, Lease],
    used_nano: Mapping[str | None, int],
    allotments: Mapping[int, Allotment] = NO_ALLOTMENTS,
) -> Settled:
    """Charge an account's usage, of each lease and without one: holds cover it first, then what is available.

    The order of usage does not matter: what a hold covers leaves `available` as it is. A lease that is unknown or
    another account's covers nothing. Budgets that a lease was granted under count all of its usage.
    """
    settled, covered_nano, counted = [], 0, Counted(allotments)
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
    allotments: list[Allotment]


def release(account: Account, leases: Iterable[Lease], allotments: Mapping[int, Allotment] = NO_ALLOTMENTS) -> Released:
    """Give back what the leases of a dead boot still hold."""
    leases, counted = list(leases), Counted(allotments)
    for lease in leases:
        counted.add(lease, -lease.hold_nano, 0)
    return Released(
        account._replace(held_nano=account.held_nano - sum(lease.hold_nano for lease in leases)),
        [lease._replace(state=LeaseState.RELEASED) for lease in leases],
        counted.changed(),
    )
