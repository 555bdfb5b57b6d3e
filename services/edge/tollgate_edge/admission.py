"""Whether an account may spend: its credit is reserved on leases, or, without a balance service, only looked at."""

from typing import Protocol

from tollgate_common.compacted import CompactedTopic
from tollgate_common.events import decode_balance
from tollgate_common.topics import Topic
from tollgate_edge.errors import BalanceUnavailable, out_of_credit
from tollgate_edge.lease_desk import LeaseDesk
from tollgate_edge.leases import Payer, Reservation


class Balances:
    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._available_nano: dict[str, int] = {}
        self.topic = CompactedTopic(bootstrap, Topic.BALANCES.named(prefix), self._apply)

    def available_nano(self, account_id: str) -> int:
        """What the account could spend when it was last heard of; an unknown account has nothing."""
        return self._available_nano.get(account_id, 0)

    def _apply(self, account_id: str, value: bytes | None) -> None:
        if value is None:
            self._available_nano.pop(account_id, None)
        else:
            self._available_nano[account_id] = decode_balance(value).available_nano


class Admission(Protocol):
    async def reserve(self, payer: Payer, least_nano: int, most_nano: int) -> Reservation:
        """Reserve `most_nano` if that can be had, `least_nano` at least.

        Raises:
            ApiError: 402, or 503 if nobody could be asked.
        """

    async def extend(self, reservation: Reservation, nano: int) -> None:
        """Reserve so much more.

        Raises:
            as `reserve`.
        """


class KnownBalances:
    """For development and a single edge: lets an account in while its last published balance is above zero.

    Nothing is held, so requests in flight at once may overdraw it. Keys with budgets are refused: nobody counts those.
    """

    def __init__(self, balances: Balances) -> None:
        self._balances = balances

    async def reserve(self, payer: Payer, least_nano: int, most_nano: int) -> Reservation:  # noqa: ARG002 - nothing is held
        if payer.budgets:
            raise BalanceUnavailable
        if self._balances.available_nano(payer.account_id) <= 0:
            raise out_of_credit()
        return Reservation(payer, None, most_nano)

    async def extend(self, reservation: Reservation, nano: int) -> None:
        reservation.try_extend(nano)


class LeasedCredit:
    """No account is overspent, however many edges there are."""

    def __init__(self, desk: LeaseDesk, balances: Balances, *, fail_open_above_nano: int | None) -> None:
        """Admit by `desk`.

        Args:
            desk: holds the leases.
            balances: the last that was heard of each account.
            fail_open_above_nano: let accounts in that had more than this while the balance service is away. None
                refuses them; what it lets in may overdraw, and is written off. Keys with budgets are always refused.
        """
        self._desk = desk
        self._balances = balances
        self._fail_open_above_nano = fail_open_above_nano

    async def reserve(self, payer: Payer, least_nano: int, most_nano: int) -> Reservation:
        try:
            return await self._desk.reserve(payer, least_nano, most_nano)
        except BalanceUnavailable:
            floor_nano = self._fail_open_above_nano
            # What is let in so counts in no budget.
            if floor_nano is None or payer.budgets or self._balances.available_nano(payer.account_id) <= floor_nano:
                raise
            return Reservation(payer, None, most_nano)

    async def extend(self, reservation: Reservation, nano: int) -> None:
        await self._desk.extend(reservation, nano)
