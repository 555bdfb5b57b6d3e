"""All price and plan versions in memory, to rate usage again that an edge has rated."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import psycopg

from tollgate_billing.catalog import store
from tollgate_common.errors import Poison
from tollgate_common.events import TokensUsed
from tollgate_common.postgres.connection import Pool
from tollgate_common.rating import Line, Prices, rate
from tollgate_common.retries import retry

MAX_AMOUNT_NANO = (1 << 63) - 1
# All price versions and all plans' multipliers.
Versions = tuple[Mapping[str, Prices], Mapping[str, int]]


class Rating(NamedTuple):
    """The lines and factors of a charge's amount."""

    lines: tuple[Line, ...] = ()
    request_nano: int = 0
    multiplier_bps: int = 0
    tier_above_tokens: int = 0


class Catalog:
    """All versions by name. A version never changes, so a known one is never read again. `learn` reads unknown ones."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._prices: dict[str, Prices] = {}
        self._multipliers: dict[str, int] = {}

    @property
    def versions(self) -> Versions:
        """All prices, and all plans' multipliers, by version."""
        return self._prices, self._multipliers

    async def load(self) -> None:
        """Read all versions. Wait while PostgreSQL is unavailable."""
        await retry(self._read, "reading the catalog", psycopg.OperationalError)

    async def _read(self) -> None:
        async with self._pool.connection() as connection:
            self._prices = await store.all_prices(connection)
            self._multipliers = await store.all_multipliers(connection)

    async def learn(self, versions: AbstractSet[str]) -> None:
        """Read the catalog again if one of these price and plan versions is unknown."""
        if versions - self._prices.keys() - self._multipliers.keys():
            await self.load()

    def rate(self, event: TokensUsed) -> Rating:
        """Return the charge's lines after checking that the edge rated the event the same way.

        Raises:
            Poison: a version is unknown, or the amount differs from what these versions yield for these tokens.
        """
        return check_rating(event, self._prices, self._multipliers)


def check_rating(event: TokensUsed, prices: Mapping[str, Prices], multipliers: Mapping[str, int]) -> Rating:
    """Rate an event by the versions that it names.

    Raises:
        Poison: as `Catalog.rate`.
    """
    priced = prices.get(event.price_version)
    if priced is None:
        raise Poison(f"price version {event.price_version!r} is not in the catalog")
    multiplier_bps = multipliers.get(event.plan_version)
    if multiplier_bps is None:
        raise Poison(f"plan version {event.plan_version!r} is not in the catalog")
    try:
        rated = rate(event.tokens, priced, multiplier_bps)
    except ValueError as error:
        raise Poison(str(error)) from error
    if rated.amount_nano != event.amount_nano:
        raise Poison(
            f"request {event.request.request_id} has the amount {event.amount_nano} nano-units, but "
            f"{event.price_version} and {event.plan_version} yield {rated.amount_nano}"
        )
    if rated.amount_nano > MAX_AMOUNT_NANO:
        raise Poison(
            f"request {event.request.request_id} costs {rated.amount_nano} nano-units; the maximum is {MAX_AMOUNT_NANO}"
        )
    return Rating(rated.lines, rated.request_nano, multiplier_bps, rated.tier_above_tokens)
