"""The edge's state of credit leases: reserved and spent amounts, and the next call to balance.

Pure and synchronous; `manager` makes the calls. docs/leases.md is the contract. Each `Payer`, an account with the
budgets that apply to a key, has one `PayerLease` with at most one lease and at most one call in flight. Guarantee:
`reserved + spent` of a lease exceeds its limit only by usage beyond reservations. The edge lowers its own limit before
it requests a shrink or close, and raises it only after a response.
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from tollgate_common.events import Budget
from tollgate_common.lease_protocol import BudgetView, LeaseOutcome

# Ticks of the manager without use, after which a lease is closed.
IDLE_TICKS = 5
# Delay before a reservation that waits for other requests of this edge asks balance again.
RETRY_AFTER_S = 0.25


class Payer(NamedTuple):
    """An account, and the budgets that limit its spend."""

    account_id: str
    budgets: tuple[Budget, ...] = ()


class Grant(NamedTuple):
    """Request a new lease of at least `needed_nano`."""

    lease_id: str
    boot_id: str
    account_id: str
    needed_nano: int
    wanted_nano: int
    budgets: tuple[Budget, ...] = ()


class UpdateLease(NamedTuple):
    """Request another limit of a lease, an absolute amount, to extend, shrink or close it."""

    lease_id: str
    boot_id: str
    account_id: str
    limit_nano: int
    wanted_nano: int
    close: bool
    rev: int


Call = Grant | UpdateLease


class LeaseView(NamedTuple):
    """A lease in the balance service."""

    is_open: bool
    limit_nano: int
    settled_nano: int
    rev: int


class Answer(NamedTuple):
    outcome: LeaseOutcome
    lease: LeaseView | None
    posted_nano: int
    retry_after_s: float
    budget: BudgetView | None = None
    """The budget that rejects the call, if one does."""
    period_ends_s: float = inf
    """End of the first budget period that the lease was granted under, on the edge's clock."""

    @property
    def most_nano(self) -> int:
        """The maximum that would be available without any hold."""
        return self.posted_nano if self.budget is None else self.budget.amount_nano - self.budget.spent_nano


class Refusal(NamedTuple):
    """A rejection. `left_nano` is the posted amount, or the remainder of the budget that rejects."""

    left_nano: int
    budget: BudgetView | None = None


class Lease:
    __slots__ = (
        "boot_id",
        "is_dropped",
        "lease_id",
        "limit_nano",
        "payer_lease",
        "period_ends_s",
        "reserved_nano",
        "rev",
        "spent_nano",
    )

    def __init__(
        self,
        payer_lease: "PayerLease",
        lease_id: str,
        boot_id: str,
        limit_nano: int,
        rev: int,
        *,
        period_ends_s: float = inf,
    ) -> None:
        self.payer_lease = payer_lease
        self.lease_id = lease_id
        self.boot_id = boot_id
        # The granted limit, or less while a call that lowers it is in flight.
        self.limit_nano = limit_nano
        self.rev = rev
        self.spent_nano = 0
        self.reserved_nano = 0
        # After this, usage would count in a past period of a budget.
        self.period_ends_s = period_ends_s
        # Its boot is fenced, or its period has ended: it accepts no more reservations.
        self.is_dropped = False

    @property
    def committed_nano(self) -> int:
        return self.spent_nano + self.reserved_nano

    @property
    def free_nano(self) -> int:
        """The amount to reserve from. Negative if usage exceeded its reservations."""
        return self.limit_nano - self.spent_nano - self.reserved_nano


class Reservation:
    """A request's part of a lease. Without a lease it holds nothing, for requests that are admitted without credit."""

    __slots__ = ("is_settled", "lease", "nano", "payer")

    def __init__(self, payer: Payer, lease: Lease | None, nano: int) -> None:
        self.payer = payer
        self.lease = lease
        self.nano = nano
        self.is_settled = False

    @property
    def lease_id(self) -> str | None:
        return self.lease.lease_id if self.lease is not None else None

    def try_extend(self, nano: int) -> bool:
        """Reserve `nano` more if that needs no call. A running request takes precedence over waiting ones."""
        assert not self.is_settled
        lease = self.lease
        if lease is not None:
            if lease.is_dropped or nano > lease.limit_nano - lease.spent_nano - lease.reserved_nano:
                return False
            lease.reserved_nano += nano
        self.nano += nano
        return True

    def settle(self, actual_nano: int) -> None:
        """Record the cost of the request and free the rest. Only the first call has an effect."""
        if self.is_settled:
            return
        self.is_settled = True
        if self.lease is not None:
            self.lease.reserved_nano -= self.nano
            self.lease.spent_nano += actual_nano
            self.lease.payer_lease.note_spent(actual_nano)


class PendingReservation:
    """A reservation that waits for the balance service: at least `least_nano`, preferably `most_nano`.

    With an `extended` reservation, these are the amounts to extend it by.
    """

    __slots__ = (
        "extended",
        "is_heard",
        "least_nano",
        "most_nano",
        "not_before_s",
        "refusal",
        "reserved",
        "wake",
    )

    def __init__(self, least_nano: int, most_nano: int, wake: Callable[[], None]) -> None:
        self.least_nano = least_nano
        self.most_nano = most_nano
        self.wake = wake
        self.extended: Reservation | None = None
        self.reserved: Reservation | None = None
        # Set if the balance service rejected the amount.
        self.refusal: Refusal | None = None
        # Whether the balance service has responded since the reservation waits.
        self.is_heard = False
        self.not_before_s = 0.0

    @property
    def is_decided(self) -> bool:
        return self.reserved is not None or self.refusal is not None

    def carried_nano(self, lease: Lease | None) -> int:
        """The part of the extended reservation that is on another lease and must move to this one."""
        return self.extended.nano if self.extended is not None and self.extended.lease is not lease else 0


class PayerLease:
    """One payer's credit on this edge: a lease, and the reservations that wait for credit."""

    def __init__(self, payer: Payer, on_change: Callable[["PayerLease"], None]) -> None:
        """Start empty. `on_change` is called if credit becomes free while reservations wait."""
        self.payer = payer
        self.lease: Lease | None = None
        self.waiting: list[PendingReservation] = []
        # The account or a budget is short of credit, so idle credit must be returned.
        self.is_short = False
        self.call: Call | None = None
        self._asked_for: PendingReservation | None = None
        self._burned_nano = 0
        self._idle_ticks = 0
        self._on_change = on_change

    @property
    def is_empty(self) -> bool:
        return self.lease is None and self.call is None and not self.waiting

    # --- reserving and spending ---------------------------------------------------------------------------------------

    def try_reserve(self, nano: int, now_s: float) -> Reservation | None:
        """Reserve if that needs no call and no other reservation waits."""
        lease = self.lease
        if lease is None or self.waiting or nano > lease.limit_nano - lease.spent_nano - lease.reserved_nano:
            return None
        if now_s >= lease.period_ends_s:
            return None
        lease.reserved_nano += nano
        self._idle_ticks = 0
        return Reservation(self.payer, lease, nano)

    def note_spent(self, nano: int) -> None:
        self._burned_nano += nano
        self._idle_ticks = 0
        if self.waiting:
            self._on_change(self)

    def tick(self) -> None:
        """Count idle time. Called about once a second."""
        self._idle_ticks += 1

    def fade(self) -> None:
        """Decay the recent spend.

        Called four times per lease duration, so that it converges to the spend of one duration.
        """
        self._burned_nano = self._burned_nano * 3 // 4

    # --- waiting reservations -----------------------------------------------------------------------------------------

    def enqueue(self, pending: PendingReservation) -> None:
        """Add a reservation in arrival order.

        Extensions of running requests come first, because their end frees credit.
        """
        place = len(self.waiting)
        if pending.extended is not None:
            place = next((n for n, other in enumerate(self.waiting) if other.extended is None), place)
        self.waiting.insert(place, pending)
        self._idle_ticks = 0

    def withdraw(self, pending: PendingReservation) -> None:
        if pending in self.waiting:
            self.waiting.remove(pending)

    def serve(self, now_s: float) -> None:
        """Give free credit to waiting reservations, in order. One that must retry later may be overtaken."""
        for pending in tuple(self.waiting):
            if self._give(pending):
                self.waiting.remove(pending)
                pending.wake()
            elif pending.not_before_s <= now_s:
                return

    def _give(self, pending: PendingReservation) -> bool:
        lease = self.lease
        if lease is None:
            return False
        carried_nano = pending.carried_nano(lease)
        free_nano = lease.free_nano - carried_nano
        # Give less than the preferred amount only after the balance service was asked for more.
        if free_nano < (pending.least_nano if pending.is_heard else pending.most_nano):
            return False
        nano = min(pending.most_nano, free_nano)
        lease.reserved_nano += carried_nano + nano
        reservation = pending.extended
        if reservation is None:
            pending.reserved = Reservation(self.payer, lease, nano)
            return True
        if carried_nano and reservation.lease is not None:
            reservation.lease.reserved_nano -= carried_nano
        reservation.lease = lease
        reservation.nano += nano
        pending.reserved = reservation
        return True

    # --- calls --------------------------------------------------------------------------------------------------------

    def next_call(self, now_s: float, boot_id: str, new_id: Callable[[], str]) -> Call | None:
        """Return the next call, if any; pass its response to `take`.

        A call that lowers the limit lowers it here first.
        """
        assert self.call is None
        pending = next((pending for pending in self.waiting if pending.not_before_s <= now_s), None)
        if pending is not None:
            self._asked_for = pending
            self.call = self._ask_for(pending, boot_id, new_id)
        elif self.lease is not None:
            # Also while all reservations wait to retry: two edges that each hold a part of what both need would starve.
            self.call = self._give_back(self.lease)
        return self.call

    def close(self) -> Call | None:
        """Return the call that closes an unused lease."""
        if self.lease is None or self.lease.reserved_nano:
            return None
        self.call = self._lower(self.lease, close=True)
        return self.call

    def _ask_for(self, pending: PendingReservation, boot_id: str, new_id: Callable[[], str]) -> Call:
        lease = self.lease
        least_nano = pending.least_nano + pending.carried_nano(lease)
        # On a short account, request only the needed amount, because others need the rest.
        desired_nano = 0 if self.is_short else self._burned_nano
        wanted_nano = max(sum(one.most_nano + one.carried_nano(lease) for one in self.waiting), desired_nano)
        if lease is None:
            account_id, budgets = self.payer
            return Grant(new_id(), boot_id, account_id, least_nano, max(least_nano, wanted_nano), budgets)
        # Always above the current limit: an extension to the current limit would grant nothing.
        limit_nano = max(lease.committed_nano + least_nano, lease.limit_nano + 1)
        wanted_nano = max(lease.committed_nano + wanted_nano, limit_nano)
        return self._update(lease, limit_nano, wanted_nano)

    def _give_back(self, lease: Lease) -> Call | None:
        if not lease.reserved_nano and not self.waiting and self._idle_ticks >= IDLE_TICKS:
            return self._lower(lease, close=True)
        if self.is_short and lease.free_nano > 0:
            return self._lower(lease)
        return None

    def _lower(self, lease: Lease, *, close: bool = False) -> Call:
        lease.limit_nano = min(lease.limit_nano, lease.committed_nano)
        return self._update(lease, lease.committed_nano, 0, close=close)

    def _update(self, lease: Lease, limit_nano: int, wanted_nano: int, *, close: bool = False) -> Call:
        return UpdateLease(
            lease.lease_id, lease.boot_id, self.payer.account_id, limit_nano, wanted_nano, close, lease.rev + 1
        )

    def take(self, answer: Answer, now_s: float) -> None:
        """Apply the response to the call in flight."""
        call, self.call = self.call, None
        assert call is not None
        pending, self._asked_for = self._asked_for, None
        for waiting in self.waiting:
            waiting.is_heard = waiting.is_heard or waiting is pending or answer.outcome is not LeaseOutcome.DONE
        if answer.outcome in (LeaseOutcome.DONE, LeaseOutcome.CONFLICT):
            self._adopt(call, answer)
        elif pending is not None:
            self._refuse(pending, answer, now_s)

    def _adopt(self, call: Call, answer: Answer) -> None:
        view, lease = answer.lease, self.lease
        if view is None or not view.is_open:
            self.lease = None if lease is None or lease.lease_id == call.lease_id else lease
        elif lease is not None and lease.lease_id == call.lease_id:
            lease.limit_nano, lease.rev = view.limit_nano, view.rev
        elif isinstance(call, Grant) and lease is None:
            self.lease = Lease(
                self, call.lease_id, call.boot_id, view.limit_nano, view.rev, period_ends_s=answer.period_ends_s
            )

    def _refuse(self, refused: PendingReservation, answer: Answer, now_s: float) -> None:
        """Also reject every waiting reservation that needs at least as much as the rejected one."""
        self.is_short = self.is_short or answer.outcome is LeaseOutcome.RETRY
        for pending in tuple(self.waiting):
            if pending is not refused and pending.least_nano < refused.least_nano:
                continue
            if self._give(pending):
                self.waiting.remove(pending)
                pending.wake()
            elif answer.outcome is LeaseOutcome.RETRY or self._is_held_here(pending, answer):
                pending.not_before_s = now_s + (answer.retry_after_s or RETRY_AFTER_S)
            else:
                pending.refusal = Refusal(answer.most_nano, answer.budget)
                self.waiting.remove(pending)
                pending.wake()

    def _is_held_here(self, pending: PendingReservation, answer: Answer) -> bool:
        """Whether other requests of this edge hold the missing amount.

        The balance service does not know of requests, and treats the whole limit of the lease as spent.
        """
        lease, view = self.lease, answer.lease
        if lease is None or view is None:
            return False
        own_nano = pending.extended.nano if pending.extended is not None else 0
        others_nano = lease.reserved_nano - (own_nano - pending.carried_nano(lease))
        left_nano = answer.most_nano - max(0, lease.spent_nano - view.settled_nano)
        return others_nano > 0 and own_nano + pending.least_nano <= left_nano

    def fail(self) -> None:
        """Discard the call in flight and its lease, after the call was rejected as invalid."""
        self.call = self._asked_for = None
        self.drop()

    def end_period(self, now_s: float) -> Lease | None:
        """Drop and return the lease if its budget period has ended. `closing` closes it once it is unused.

        Running requests settle on it. If they extend their reservations, they move to a lease of the new period.
        """
        lease = self.lease
        if lease is None or self.call is not None or now_s < lease.period_ends_s:
            return None
        self.drop()
        return lease

    def drop(self) -> None:
        """Stop reserving from the lease. Its reservations move to another lease if they are extended."""
        if self.lease is not None:
            self.lease.is_dropped = True
            self.lease = None


def closing(lease: Lease) -> UpdateLease | None:
    """Return the call that closes a lease of a past period, once nothing is reserved on it."""
    if lease.reserved_nano:
        return None
    account_id = lease.payer_lease.payer.account_id
    return UpdateLease(lease.lease_id, lease.boot_id, account_id, lease.spent_nano, 0, close=True, rev=lease.rev + 1)
