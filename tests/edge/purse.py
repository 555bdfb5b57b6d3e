"""An account's credit, and what is paid from it."""

from datetime import UTC, datetime

from tollgate_common.events import PlanVersion, PriceVersion
from tollgate_common.rating import Prices
from tollgate_edge.credit.leases.state import Lease, Payer, PayerLease, Reservation
from tollgate_edge.http.errors import CreditSpent
from tollgate_edge.pricing.catalog import Tariff

PAYER = Payer("account")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def tariff(prices: Prices, multiplier_bps: int = 10_000) -> Tariff:
    return Tariff(
        PriceVersion(price_version="price", valid_from=LONG_AGO, prices=prices),
        PlanVersion(plan_version="plan", valid_from=LONG_AGO, multiplier_bps=multiplier_bps),
    )


class Purse:
    """An account's credit, without anybody else who wants it."""

    def __init__(self, nano: int) -> None:
        self.nano = nano

    async def reserve(self, payer: Payer, least_nano: int, most_nano: int) -> Reservation:
        nano = self._take(least_nano, most_nano)
        # A lease that has nothing else: to grow, the purse must be asked.
        lease = Lease(PayerLease(payer, lambda _: None), "lease", "boot", nano, 1)
        reservation = Reservation(payer, lease, 0)
        assert reservation.try_extend(nano)
        return reservation

    async def extend(self, reservation: Reservation, nano: int) -> None:
        assert reservation.lease is not None
        reservation.lease.limit_nano += self._take(nano, nano)
        assert reservation.try_extend(nano)

    def _take(self, least_nano: int, most_nano: int) -> int:
        if least_nano > self.nano:
            raise CreditSpent(least_nano, self.nano)
        taken = min(most_nano, self.nano)
        self.nano -= taken
        return taken
