"""The charges as a reconciliation source, and the check that rates them again from the catalog."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_billing.catalog import store
from tollgate_billing.database import SQL
from tollgate_billing.reconciliation.report import Misrated
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.postgres.connection import Pool
from tollgate_common.rating import CLASSES, Prices, Unpriced
from tollgate_common.reconciliation.sink_source import SinkReconciliationSource, projection_drifts
from tollgate_common.reconciliation.source import MAX_LISTED, Drift, Range
from tollgate_common.topics import Topic

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The value of a missing price in reconciliation_misrated.sql.
UNPRICED = -1


class RatedAgain(NamedTuple):
    """Charges that differ from the catalog's rating: the first ones, their number, and the sum of the differences."""

    listed: tuple[Misrated, ...] = ()
    charges: int = 0
    difference_nano: int = 0


class ChargeReconciliationSource(SinkReconciliationSource):
    """`tollgate_common.reconciliation.source.ReconciliationSource` of the charges."""

    def __init__(self, clickhouse: AsyncClient, pool: Pool, brokers: Brokers, prefix: str, group: str) -> None:
        super().__init__(clickhouse, "charges", brokers, prefix, group)
        self._pool = pool

    async def drifts(self, since: datetime) -> Sequence[Drift]:
        async def days(settings: Mapping[str, int]) -> Sequence[Sequence[int]]:
            parameters = {"since_s": (since - EPOCH).days * 86_400}
            result = await self._clickhouse.query(
                SQL["reconciliation_days"], parameters=parameters, settings=dict(settings)
            )
            return result.result_rows

        return await projection_drifts(days, "charges by day", ("rows", "amount_nano"))

    async def rate_again(self, ranges: Sequence[Range]) -> RatedAgain:
        """Rate every charge of the ranges from its tokens and the versions that it names."""
        places = {
            "topic": Topic.USAGE.named(self._prefix),
            "partitions": [part.partition for part in ranges],
            "starts": [part.start for part in ranges],
            "ends": [part.end for part in ranges],
        }
        named = await self._clickhouse.query(SQL["reconciliation_versions"], parameters=places)
        catalog = await self._catalog(
            {price for price, _ in named.result_rows}, {plan for _, plan in named.result_rows}
        )
        found = await self._clickhouse.query(
            SQL["reconciliation_misrated"], parameters=places | catalog | {"limit": MAX_LISTED}
        )
        rows = list(found.named_results())
        if not rows:
            return RatedAgain()
        return RatedAgain(tuple(map(_misrated, rows)), rows[0]["found"], rows[0]["difference_nano"])

    async def _catalog(self, prices: set[str], plans: set[str]) -> dict[str, Any]:
        """Return the existing ones of the named versions, as columns."""
        async with self._pool.connection() as connection:
            known = {name: price for name, price in (await store.all_prices(connection)).items() if name in prices}
            multipliers = {
                name: bps for name, bps in (await store.all_multipliers(connection)).items() if name in plans
            }
        return {
            "plan_versions": list(multipliers),
            "multipliers": list(multipliers.values()),
            **_columns(known),
        }


def _columns(known: Mapping[str, Prices]) -> dict[str, Any]:
    """Return the versions, the start of each in the price lists, and the bounds of the tiers that follow it."""
    places: list[int] = []
    flat: list[Prices] = []
    for prices in known.values():
        places.append(len(flat) + 1)
        flat += [prices, *(tier.prices for tier in prices.tiers)]
    return {
        "price_versions": list(known),
        "places": places,
        "bounds": [[tier.above_tokens for tier in prices.tiers] for prices in known.values()],
        "request_nano": [prices.request_nano for prices in flat],
        **{name: [_price(prices, name) for prices in flat] for name in CLASSES},
    }


def _price(prices: Prices, name: str) -> int:
    try:
        return prices.of(name)
    except Unpriced:
        return UNPRICED


def _misrated(row: Mapping[str, Any]) -> Misrated:
    fields = {name: row[name] for name in Misrated.model_fields}
    return Misrated(**fields | {"rated_nano": row["rated_nano"] if row["is_known"] else None})
