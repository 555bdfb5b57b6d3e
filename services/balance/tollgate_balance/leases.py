"""The rules of credit leases as pure functions, so that a model can run them through every interleaving.

docs/leases.md tells the protocol. An account here is always `posted >= held >= 0`, and `held` is the sum of its leases'
holds; each function keeps both true.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from tollgate_balance.ledger import Account, Charged, charge


class LeaseState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    """By its edge; it holds exactly the usage that is still on its way."""
    RELEASED = "released"
    """Its boot was declared dead, and all usage that this boot had acknowledged is settled: it holds nothing."""


class Lease(NamedTuple):
    lease_id: str
    account_id: str
    boot_id: str
    state: LeaseState
    authorised_nano: int
    settled_nano: int = 0
    rev: int = 1

    @property
    def hold_nano(self) -> int:
        return 0 if self.state is LeaseState.RELEASED else max(0, self.authorised_nano - self.settled_nano)


class Outcome(StrEnum):
    DONE = "done"
    RETRY = "retry"
    """What is posted would cover it, but other leases hold it."""
    INSUFFICIENT = "insufficient"
    CONFLICT = "conflict"
    """The lease is not what the caller believes; nothing has changed."""


class Grant(NamedTuple):
    """The call for a new lease of `needed_nano` at least and `wanted_nano` at most."""

    lease_id: str
    account_id: str
    boot_id: str
    needed_nano: int
    wanted_nano: int


class Authorise(NamedTuple):
    """The call that extends, shrinks or closes: `authorised_nano` at least, and to extend `wanted_nano` at most."""

    lease_id: str
    account_id: str
    boot_id: str
    authorised_nano: int
    wanted_nano: int
    close: bool
    rev: int


LeaseCall = Grant | Authorise


class Answer(NamedTuple):
    """The account and the lease as they are after the call."""

    outcome: Outcome
    account: Account
    lease: Lease | None


def size(available_nano: int, needed_nano: int, wanted_nano: int, edges: int) -> int:
    """What is held for a caller: what it needs, and of what it wants as much as leaves a share for each other edge."""
    return max(needed_nano, min(wanted_nano, available_nano // (edges + 1)))


def grant(account: Account, known: Lease | None, call: Grant, edges: int) -> Answer:
    """Grant a lease; a repeated call finds the lease there."""
    if known is not None:
        outcome = Outcome.DONE if known.state is LeaseState.OPEN else Outcome.CONFLICT
        return Answer(outcome, account, known)
    if call.needed_nano > account.available_nano:
        return Answer(_refusal(account, call.needed_nano, 0), account, None)
    amount_nano = size(account.available_nano, call.needed_nano, call.wanted_nano, edges)
    lease = Lease(call.lease_id, call.account_id, call.boot_id, LeaseState.OPEN, amount_nano)
    return Answer(Outcome.DONE, account._replace(held_nano=account.held_nano + lease.hold_nano), lease)


def authorise(account: Account, lease: Lease, call: Authorise, edges: int) -> Answer:
    """Set what a lease authorises, by compare-and-set on its rev; a repeated call finds it set."""
    if call.rev == lease.rev and _is_as_asked(lease, call):
        return Answer(Outcome.DONE, account, lease)
    if call.rev != lease.rev + 1 or lease.state is not LeaseState.OPEN:
        return Answer(Outcome.CONFLICT, account, lease)
    more_nano = max(0, call.authorised_nano - lease.settled_nano) - lease.hold_nano
    authorised_nano = call.authorised_nano
    if more_nano > account.available_nano and not call.close:
        return Answer(_refusal(account, more_nano, lease.hold_nano), account, lease)
    if more_nano > account.available_nano:
        # What has been spent is spent: it is held as far as credit goes, and the rest will be uncovered usage.
        authorised_nano = lease.settled_nano + lease.hold_nano + account.available_nano
    elif more_nano > 0 and not call.close:
        wanted_nano = call.wanted_nano - lease.settled_nano - lease.hold_nano
        authorised_nano = lease.settled_nano + lease.hold_nano
        authorised_nano += size(account.available_nano, more_nano, wanted_nano, edges)
    changed = lease._replace(
        authorised_nano=authorised_nano, rev=call.rev, state=LeaseState.CLOSED if call.close else LeaseState.OPEN
    )
    held_nano = account.held_nano + changed.hold_nano - lease.hold_nano
    return Answer(Outcome.DONE, account._replace(held_nano=held_nano), changed)


def is_extension(lease: Lease, call: Authorise) -> bool:
    """Whether the call asks for more than the lease has: what a fenced boot may not."""
    return not call.close and call.authorised_nano > lease.authorised_nano


def _is_as_asked(lease: Lease, call: Authorise) -> bool:
    if call.close or lease.state is not LeaseState.OPEN:
        return call.close and lease.state is LeaseState.CLOSED
    return call.authorised_nano <= lease.authorised_nano <= max(call.authorised_nano, call.wanted_nano)


def _refusal(account: Account, more_nano: int, own_hold_nano: int) -> Outcome:
    return Outcome.RETRY if more_nano <= account.posted_nano - own_hold_nano else Outcome.INSUFFICIENT


class Settled(NamedTuple):
    charged: Charged
    leases: list[Lease]


def settle(account: Account, leases: Mapping[str, Lease], used_nano: Mapping[str | None, int]) -> Settled:
    """Charge an account's usage, of each lease and without one: holds cover it first, then what is available.

    The order of usage does not matter: what a hold covers leaves `available` as it is. A lease that is unknown or
    another account's covers nothing.
    """
    settled, covered_nano = [], 0
    for lease_id, amount_nano in used_nano.items():
        lease = leases.get(lease_id) if lease_id is not None else None
        if lease is None or lease.account_id != account.account_id:
            continue
        covered_nano += min(amount_nano, lease.hold_nano)
        settled.append(lease._replace(settled_nano=lease.settled_nano + amount_nano))
    return Settled(charge(account, sum(used_nano.values()), covered_nano), settled)


class Released(NamedTuple):
    account: Account
    leases: list[Lease]


def release(account: Account, leases: Iterable[Lease]) -> Released:
    """Give back what the leases of a dead boot still hold."""
    leases = list(leases)
    held_nano = account.held_nano - sum(lease.hold_nano for lease in leases)
    return Released(
        account._replace(held_nano=held_nano), [lease._replace(state=LeaseState.RELEASED) for lease in leases]
    )
