"""Retention: drops old rows once their sums are verified, and old sums by hour once their sums by day are.

A month of rows is dropped `rows_days` after its end. Its sums by hour remain, so reports by hour or longer do not
change. A month of sums by hour becomes sums by day `hours_days` after its end. Sums by day are never dropped.

* Nothing is dropped before a recount equals the data that remains. If it differs, the whole month remains, and each
  pass logs and counts the error.
* A month is first announced as expired, and dropped some minutes later. By then every instance has read the
  announcement, so none answers from a partly dropped month.
* Every step can be repeated. The last step for rows and for hours is atomic in the engine (`DROP PARTITION`, `REPLACE
  PARTITION`). Crash window: between any two steps; the next pass continues with the missing one.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from uuid import uuid4

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError
from prometheus_client import Gauge

from tollgate_analytics.rollup.usage_hours import find_progress, find_rolled_up_until
from tollgate_analytics.statements import SQL
from tollgate_analytics.times import end_of_month
from tollgate_common.retries import repeat

log = logging.getLogger(__name__)

UNVERIFIED_MONTHS = Gauge(
    "tollgate_analytics_unverified_months", "Months that are not dropped because a recount differs.", ["tier"]
)

INTERVAL_S = 600.0
FLOOR_REFRESH_INTERVAL_S = 60.0
# By then every instance has refreshed its retention floor and completed the queries that began before.
ANNOUNCEMENT_PERIOD = timedelta(minutes=10)
STAGING_PREFIX = "usage_days_"
RECOUNT_SETTINGS: Mapping[str, int] = {
    "max_threads": 1,
    "max_execution_time": 3600,
    "max_memory_usage": 2 << 30,
    "max_bytes_before_external_group_by": 512 << 20,
}
# Without these, the engine rejects dropping large partitions.
DROP_SETTINGS: Mapping[str, int] = {"max_partition_size_to_drop": 0, "max_table_size_to_drop": 0}


async def refresh_floor_loop(refresh: Callable[[], Awaitable[None]]) -> None:
    """Refresh the retention floor that reports use, until canceled."""
    await repeat(
        refresh, "refreshing the retention floor", ClickHouseError, OSError, interval_s=FLOOR_REFRESH_INTERVAL_S
    )


class Retention:
    """Drops a month of rows `rows_days` after its end, and of sums by hour `hours_days` after it; 0 means never."""

    def __init__(
        self,
        clickhouse: AsyncClient,
        *,
        rows_days: int,
        hours_days: int,
        announcement_period: timedelta = ANNOUNCEMENT_PERIOD,
    ) -> None:
        self._clickhouse = clickhouse
        self._rows_days = rows_days
        self._hours_days = hours_days
        self._known_after = announcement_period

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Drop old data until canceled. Retry while the store is unavailable."""

        async def turn() -> None:
            if is_leader():
                await self.drop_old((await find_progress(self._clickhouse)).now)

        await repeat(turn, "the retention pass", ClickHouseError, OSError, interval_s=INTERVAL_S)

    async def drop_old(self, now: datetime) -> None:
        """Run one pass. A month needs two passes: one announces it as expired, a later one drops it."""
        if self._rows_days:
            await self._drop_rows(now - timedelta(days=self._rows_days))
        if self._hours_days:
            await self._drop_hours(now - timedelta(days=self._hours_days))

    async def _drop_rows(self, before: datetime) -> None:
        unverified = 0
        for month in await self._months("request_events"):
            if end_of_month(month) > before:
                break
            rows, hours = [await self._digest(name, month=month) for name in ("digest_rows", "digest_hours")]
            if rows != hours:
                unverified += 1
                log.error(
                    "the rows of %s are not dropped: their (count, checksum) is %s, but that of usage_hours is %s; "
                    "roll them up again",
                    month,
                    rows,
                    hours,
                )
            elif await self._is_announced("rows", month):
                await self._command("drop_rows", month=month)
                log.info("dropped the rows of %s; %s sums by hour remain", month, hours[0])
        UNVERIFIED_MONTHS.labels("rows").set(unverified)

    async def _drop_hours(self, before: datetime) -> None:
        unverified = 0
        with_rows = await self._months("request_events")
        rolled_up = await find_rolled_up_until(self._clickhouse)
        for month in await self._months("usage_hours"):
            # The hours of a month with rows are still needed to verify the rows.
            if end_of_month(month) > min(before, rolled_up) or (with_rows and with_rows[0] <= month):
                break
            remaining = await self._clickhouse.query(SQL["remaining_hours"], parameters={"month": month})
            if (
                remaining.result_rows[0][0]
                and await self._is_announced("hours", month)
                and not await self._make_days(month)
            ):
                unverified += 1
        UNVERIFIED_MONTHS.labels("hours").set(unverified)

    async def _make_days(self, month: int) -> bool:
        """Replace a month of sums by hour with sums by day. Return False if they differ."""
        staging = STAGING_PREFIX + uuid4().hex
        await self._drop_leftovers()
        await self._command("staging_create", table=staging)
        try:
            await self._command("days_of_hours", table=staging, month=month)
            days, hours = [
                await self._digest("digest_days", month=month, table=table) for table in (staging, "usage_hours")
            ]
            if days != hours:
                log.error(
                    "the hours of %s remain: their (count, checksum) by day is %s, that of the days is %s",
                    month,
                    hours,
                    days,
                )
                return False
            await self._clickhouse.command(
                SQL["replace_hours"].replace("FROM staging", f"FROM {staging}"), parameters={"month": month}
            )
            log.info("replaced the hours of %s with %s sums by day", month, days[0])
            return True
        finally:
            await self._command("staging_drop", table=staging)

    async def _drop_leftovers(self) -> None:
        """Drop the tables of crashed passes. A pass that is still running fails then, and is repeated."""
        found = await self._clickhouse.query(SQL["staging_leftovers"], parameters={"prefix": STAGING_PREFIX})
        for (name,) in found.result_rows:
            await self._command("staging_drop", table=name)

    async def _is_announced(self, tier: str, month: int) -> bool:
        """Whether the month was announced as expired long enough ago. Announce it if it was not."""
        found = await self._clickhouse.query(SQL["expired"])
        ages = {(its_tier, its_month): age_s for its_tier, its_month, age_s in found.result_rows}
        if (tier, month) not in ages:
            await self._command("expire", tier=tier, month=month)
            log.info("announced the %s of %s as expired", tier, month)
            ages[tier, month] = 0
        return timedelta(seconds=ages[tier, month]) >= self._known_after

    async def _months(self, table: str) -> list[int]:
        found = await self._clickhouse.query(SQL["partitions"], parameters={"table": table})
        return [month for (month,) in found.result_rows]

    async def _digest(self, statement: str, **parameters: str | int) -> tuple[int, int]:
        found = await self._clickhouse.query(SQL[statement], parameters=parameters, settings=dict(RECOUNT_SETTINGS))
        count, checksum = found.result_rows[0]
        return int(count), int(checksum)

    async def _command(self, statement: str, **parameters: str | int) -> None:
        await self._clickhouse.command(SQL[statement], parameters=parameters, settings=dict(DROP_SETTINGS))
