"""Whether an account may spend: its credit is reserved on leases, or only looked at: `TOLLGATE_ADMISSION`."""

from typing import Protocol

from tollgate_common.events import decode_balance
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.compacted import CompactedTopic
from tollgate_common.topics import Topic
from tollgate_edge.credit.leases.state import Payer, Reservation
from tollgate_edge.http.errors import BalanceUnavailable, out_of_credit


class Balances:
    def __init__(self, brokers: Brokers, prefix: str) -> None:
        self._available_nano: dict[str, int] = {}
        self.topic = CompactedTopic(brokers, Topic.BALANCES.named(prefix), self._apply)

    def available_nano(self, account_id: str) -> int:
        """What the account could spend when it was last heard of; an unknown account has nothing."""
        return self._available_nano.get(account_id, 0)

    def _apply(self, account_id: str, value: bytes | None) -> None:
        if value is None:
            self._available_nano.pop(account_id, None)
        else:
            self._available_nano[account_id] = decode_balance(value).available_nano


class Admission(Protocol):
    """A `LeaseManager` is one: no account is overspent, however many edges there are. The others are below."""

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


class FailingOpen:
    """Lets accounts in that had credit while the balance service is away. What it lets in may overdraw them, and is
    written off; keys with budgets are refused: nobody would count it in one."""

    def __init__(self, leased: Admission, balances: Balances, *, above_nano: int) -> None:
        """Admit by `leased`, and without an answer those whose last published balance was more than `above_nano`."""
        self._leased = leased
        self._balances = balances
        self._above_nano = above_nano

    async def reserve(self, payer: Payer, least_nano: int, most_nano: int) -> Reservation:
        try:
            return await self._leased.reserve(payer, least_nano, most_nano)
        except BalanceUnavailable:
            if payer.budgets or self._balances.available_nano(payer.account_id) <= self._above_nano:
                raise
            return Reservation(payer, None, most_nano)

    async def extend(self, reservation: Reservation, nano: int) -> None:
        await self._leased.extend(reservation, nano)
