"""Budget windows as pure data: the amount, spending and holds of a budget in one of its periods."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple


class BudgetWindow(NamedTuple):
    """A budget in one of its periods, which ends `ends_in_ms` from now. A total budget has one window without end.

    `spent_nano` is the usage settled on leases that were granted under it; `held_nano` is the sum of their holds. Both
    together exceed `amount_nano` only by usage beyond reservations, or after the budget was lowered.
    """

    window_id: int
    account_id: str
    budget_id: str
    period: str
    amount_nano: int
    spent_nano: int = 0
    held_nano: int = 0
    ends_at: datetime | None = None
    ends_in_ms: int | None = None

    @property
    def left_nano(self) -> int:
        return max(0, self.amount_nano - self.spent_nano - self.held_nano)


BudgetWindows = tuple[BudgetWindow, ...]


def headroom_nano(available_nano: int, windows: Collection[BudgetWindow]) -> int:
    """Return the largest amount that fits into the account's available credit and into every window."""
    return min((available_nano, *(window.left_nano for window in windows)))


def moved(windows: Collection[BudgetWindow], held_nano: int, spent_nano: int = 0) -> BudgetWindows:
    """Return the windows after a lease under them holds `held_nano` more and has spent `spent_nano` more."""
    return tuple(
        window._replace(held_nano=window.held_nano + held_nano, spent_nano=window.spent_nano + spent_nano)
        for window in windows
    )


def ends_in_ms(windows: Collection[BudgetWindow]) -> int | None:
    """Return the time until the first window ends, or None if none ends."""
    return min((window.ends_in_ms for window in windows if window.ends_in_ms is not None), default=None)
