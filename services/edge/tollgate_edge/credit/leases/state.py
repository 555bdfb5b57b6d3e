"""The edge's half of the credit leases: what is reserved, what is spent, and which call to make next.

Pure and synchronous; `lease_desk` makes the calls. docs/leases.md is the contract. For each `Payer`, an account and the
budgets that bound it, there is one `PayerLease` with at most one lease and at most one call under way. Guarantee:
`reserved + spent` of a lease exceeds what it authorises only by usage beyond reservations; its own limit is lowered
before its shrink or close is asked for, and raised only by an answer.
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from tollgate_common.events import Budget
from tollgate_common.lease_protocol import BudgetView, LeaseOutcome

# A wallet that nobody used for so many ticks of the manager gives its lease back.
IDLE_TICKS = 5
# Who waits for other requests of this edge asks again after this, or is served when one of them ends.
RETRY_AFTER_S = 0.25


class Payer(NamedTuple):
    """Whose credit pays, and which budgets bound how much of it."""

    account_id: str
    budgets: tuple[Budget, ...] = ()


class Grant(NamedTuple):
    """Asks for a new lease of `needed_nano` at least."""

    lease_id: str
    boot_id: str
    account_id: str
    needed_nano: int
    wanted_nano: int
    budgets: tuple[Budget, ...] = ()


class UpdateLease(NamedTuple):
    """Sets what a lease authorises, an absolute amount: extends, shrinks or closes it."""

    lease_id: str
    boot_id: str
    account_id: str
    limit_nano: int
    wanted_nano: int
    close: bool
    rev: int


Call = Grant | UpdateLease


class LeaseView(NamedTuple):
    """A lease as the balance service has it."""

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
    """The one that refuses."""
    period_ends_s: float = inf
    """On the edge's clock: when the first period ends that the lease was granted under."""

    @property
    def most_nano(self) -> int:
        """All that could ever be had, were nothing held."""
        return self.posted_nano if self.budget is None else self.budget.amount_nano - self.budget.spent_nano


class Refusal(NamedTuple):
    """`left_nano` is what was posted, or left of the budget that refuses."""

    left_nano: int
    budget: BudgetView | None = None


class Lease:
    __slots__ = (
        "boot_id",
        "is_dropped",
        "lease_id",
        "limit_nano",
        "period_ends_s",
        "reserved_nano",
        "rev",
        "spent_nano",
        "wallet",
    )

    def __init__(
        self,
        wallet: "PayerLease",
        lease_id: str,
        boot_id: str,
        limit_nano: int,
        rev: int,
        *,
        period_ends_s: float = inf,
    ) -> None:
        self.wallet = wallet
        self.lease_id = lease_id
        self.boot_id = boot_id
        # What may be spent here: what is authorised, or less while a call to lower that is under way.
        self.limit_nano = limit_nano
        self.rev = rev
        self.spent_nano = 0
        self.reserved_nano = 0
        # From then on it counts in a budget's past period.
        self.period_ends_s = period_ends_s
        # Its boot is dead for the balance service, or its period is over: nothing more is taken from it.
        self.is_dropped = False

    @property
    def committed_nano(self) -> int:
        return self.spent_nano + self.reserved_nano

    @property
    def free_nano(self) -> int:
        """Below zero once usage went beyond its reservations."""
        return self.limit_nano - self.spent_nano - self.reserved_nano


class Reservation:
    """A request's part of a lease. Without a lease it holds nothing: the operator lets such requests in."""

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
        """Reserve `nano` more if that costs no call. A request under way goes before those that wait to begin."""
        assert not self.is_settled
        lease = self.lease
        if lease is not None:
            if lease.is_dropped or nano > lease.limit_nano - lease.spent_nano - lease.reserved_nano:
                return False
            lease.reserved_nano += nano
        self.nano += nano
        return True

    def settle(self, actual_nano: int) -> None:
        """The request has ended and cost this much: the rest is free again. Only the first call counts."""
        if self.is_settled:
            return
        self.is_settled = True
        if self.lease is not None:
            self.lease.reserved_nano -= self.nano
            self.lease.spent_nano += actual_nano
            self.lease.wallet.note_spent(actual_nano)


class Want:
    """A reservation that must wait for the balance service: `least_nano` at least, `most_nano` if it can be had.

    With an `extended` reservation it is the amount by which that one must grow.
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
        # The balance service said that this is more than there is.
        self.refusal: Refusal | None = None
        # Whether the balance service has answered since this waits.
        self.is_heard = False
        self.not_before_s = 0.0

    @property
    def is_decided(self) -> bool:
        return self.reserved is not None or self.refusal is not None

    def carried_nano(self, lease: Lease | None) -> int:
        """What must be reserved anew because it stands on a lease that is gone."""
        return self.extended.nano if self.extended is not None and self.extended.lease is not lease else 0


class PayerLease:
    """What one edge has of one payer's credit."""

    def __init__(self, payer: Payer, on_change: Callable[["PayerLease"], None]) -> None:
        """Start empty; `on_change` is called when credit came free while somebody waits."""
        self.payer = payer
        self.lease: Lease | None = None
        self.waiting: list[Want] = []
        # The account or a budget is short: the balance service wants back what is idle here.
        self.is_short = False
        self.call: Call | None = None
        self._asked_for: Want | None = None
        self._burned_nano = 0
        self._idle_ticks = 0
        self._on_change = on_change

    @property
    def is_empty(self) -> bool:
        return self.lease is None and self.call is None and not self.waiting

    # --- reserving and spending ---------------------------------------------------------------------------------------

    def try_reserve(self, nano: int, now_s: float) -> Reservation | None:
        """Reserve if that costs no call and nobody waits for it longer."""
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
        """Grow older; called about once a second."""
        self._idle_ticks += 1

    def fade(self) -> None:
        """Called four times in the length of a lease: at a constant pace, `burned` is what is spent in that length."""
        self._burned_nano = self._burned_nano * 3 // 4

    # --- those who wait -----------------------------------------------------------------------------------------------

    def enqueue(self, want: Want) -> None:
        """In order of coming, but a request under way goes before those that wait to begin: its end frees credit."""
        place = len(self.waiting)
        if want.extended is not None:
            place = next((n for n, other in enumerate(self.waiting) if other.extended is None), place)
        self.waiting.insert(place, want)
        self._idle_ticks = 0

    def withdraw(self, want: Want) -> None:
        if want in self.waiting:
            self.waiting.remove(want)

    def serve(self, now_s: float) -> None:
        """Give what is free to those who wait, in order; who was told to ask later may be overtaken."""
        for want in tuple(self.waiting):
            if self._give(want):
                self.waiting.remove(want)
                want.wake()
            elif want.not_before_s <= now_s:
                return

    def _give(self, want: Want) -> bool:
        lease = self.lease
        if lease is None:
            return False
        carried_nano = want.carried_nano(lease)
        free_nano = lease.free_nano - carried_nano
        # Less than is liked only once the balance service was asked for more.
        if free_nano < (want.least_nano if want.is_heard else want.most_nano):
            return False
        nano = min(want.most_nano, free_nano)
        lease.reserved_nano += carried_nano + nano
        reservation = want.extended
        if reservation is None:
            want.reserved = Reservation(self.payer, lease, nano)
            return True
        if carried_nano and reservation.lease is not None:
            reservation.lease.reserved_nano -= carried_nano
        reservation.lease = lease
        reservation.nano += nano
        want.reserved = reservation
        return True

    # --- calls --------------------------------------------------------------------------------------------------------

    def next_call(self, now_s: float, boot_id: str, new_id: Callable[[], str]) -> Call | None:
        """The call to make now, if any; `take` must be given its answer. Lowers the lease's own limit first."""
        assert self.call is None
        want = next((want for want in self.waiting if want.not_before_s <= now_s), None)
        if want is not None:
            self._asked_for = want
            self.call = self._ask_for(want, boot_id, new_id)
        elif self.lease is not None:
            # Also while all wait to ask again: two edges that each hold a part of what both need would starve both.
            self.call = self._give_back(self.lease)
        return self.call

    def close(self) -> Call | None:
        """The call that ends an unused lease at once."""
        if self.lease is None or self.lease.reserved_nano:
            return None
        self.call = self._lower(self.lease, close=True)
        return self.call

    def _ask_for(self, want: Want, boot_id: str, new_id: Callable[[], str]) -> Call:
        lease = self.lease
        least_nano = want.least_nano + want.carried_nano(lease)
        # On a short account only what is needed: others need the rest.
        desired_nano = 0 if self.is_short else self._burned_nano
        wanted_nano = max(sum(one.most_nano + one.carried_nano(lease) for one in self.waiting), desired_nano)
        if lease is None:
            account_id, budgets = self.payer
            return Grant(new_id(), boot_id, account_id, least_nano, max(least_nano, wanted_nano), budgets)
        # More than the limit in any case: an extension to what is there already would be answered without any.
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
        """The answer to the call under way."""
        call, self.call = self.call, None
        assert call is not None
        want, self._asked_for = self._asked_for, None
        for waiting in self.waiting:
            waiting.is_heard = waiting.is_heard or waiting is want or answer.outcome is not LeaseOutcome.DONE
        if answer.outcome in (LeaseOutcome.DONE, LeaseOutcome.CONFLICT):
            self._adopt(call, answer)
        elif want is not None:
            self._refuse(want, answer, now_s)

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

    def _refuse(self, refused: Want, answer: Answer, now_s: float) -> None:
        """Who needs as much as the one who was refused need not ask."""
        self.is_short = self.is_short or answer.outcome is LeaseOutcome.RETRY
        for want in tuple(self.waiting):
            if want is not refused and want.least_nano < refused.least_nano:
                continue
            if self._give(want):
                self.waiting.remove(want)
                want.wake()
            elif answer.outcome is LeaseOutcome.RETRY or self._is_held_here(want, answer):
                want.not_before_s = now_s + (answer.retry_after_s or RETRY_AFTER_S)
            else:
                want.refusal = Refusal(answer.most_nano, answer.budget)
                self.waiting.remove(want)
                want.wake()

    def _is_held_here(self, want: Want, answer: Answer) -> bool:
        """Whether other requests of this edge hold what is missing. The balance service, which knows of no requests,
        takes all that this lease holds for spent."""
        lease, view = self.lease, answer.lease
        if lease is None or view is None:
            return False
        own_nano = want.extended.nano if want.extended is not None else 0
        others_nano = lease.reserved_nano - (own_nano - want.carried_nano(lease))
        left_nano = answer.most_nano - max(0, lease.spent_nano - view.settled_nano)
        return others_nano > 0 and own_nano + want.least_nano <= left_nano

    def fail(self) -> None:
        """The call under way was not accepted: begin anew, without the lease that it was about."""
        self.call = self._asked_for = None
        self.drop()

    def end_period(self, now_s: float) -> Lease | None:
        """The lease whose budgets' period is over, if it is; `closing` ends it when nobody uses it any more.

        Requests under way end on it, unless they grow: then they move to a lease of the new period.
        """
        lease = self.lease
        if lease is None or self.call is not None or now_s < lease.period_ends_s:
            return None
        self.drop()
        return lease

    def drop(self) -> None:
        """Take nothing more from the lease. What is reserved on it moves when it grows."""
        if self.lease is not None:
            self.lease.is_dropped = True
            self.lease = None


def closing(lease: Lease) -> UpdateLease | None:
    """The call that closes a lease whose period is over, once nothing is reserved on it."""
    if lease.reserved_nano:
        return None
    account_id = lease.wallet.payer.account_id
    return UpdateLease(lease.lease_id, lease.boot_id, account_id, lease.spent_nano, 0, close=True, rev=lease.rev + 1)
