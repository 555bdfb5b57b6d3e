"""What budgets allot: pure, like the leases that are granted under them."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple


class Allotment(NamedTuple):
    """What a budget allots to one of its periods, which ends `ends_in_ms` from now; a total has no end.

    `spent_nano` is the usage settled on leases that were granted under it, `held_nano` the sum of their holds. Together
    they exceed `amount_nano` only by usage beyond reservations, or because the budget was lowered.
    """

    allotment_id: int
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


Allotments = tuple[Allotment, ...]


def room_nano(available_nano: int, allotments: Collection[Allotment]) -> int:
    """What can be granted: of the account, and under each of the budgets."""
    return min((available_nano, *(allotment.left_nano for allotment in allotments)))


def moved(allotments: Collection[Allotment], held_nano: int, spent_nano: int = 0) -> Allotments:
    """After a lease under them holds so much more, and so much more of it is spent."""
    return tuple(
        allotment._replace(held_nano=allotment.held_nano + held_nano, spent_nano=allotment.spent_nano + spent_nano)
        for allotment in allotments
    )


def ends_in_ms(allotments: Collection[Allotment]) -> int | None:
    """Until the first of the periods ends; None if none does."""
    return min((allotment.ends_in_ms for allotment in allotments if allotment.ends_in_ms is not None), default=None)
