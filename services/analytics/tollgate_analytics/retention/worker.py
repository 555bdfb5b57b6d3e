"""What is dropped when it is old: rows once their sums are proven, sums by hour once those by day are.

A month of rows goes `rows_days` after its end; sums by hour remain, and reports by hour or longer are the same as
before. A month of sums by hour becomes one of sums by day `hours_days` after its end; those remain for ever.

* Nothing is dropped before a recount equals what stays. Where it does not, nothing of that month goes, and the error is
  logged and counted at each pass.
* A month is written down as expired, then some minutes pass, then it goes: no instance that does not know of it answers
  with what is left of it.
* Each step can be repeated, and the last one of each is atomic in the engine (`DROP PARTITION`, `REPLACE PARTITION`).
  Crash window: between any two steps; the next pass begins with the one that is missing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from uuid import uuid4

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError
from prometheus_client import Gauge

from tollgate_analytics.retention.floor import end_of_month
from tollgate_analytics.rollup.usage_hours import find_progress, find_rolled_up
from tollgate_analytics.statements import SQL

log = logging.getLogger(__name__)

REFUSED = Gauge("tollgate_analytics_unverified_months", "Months that are kept because a recount differs.", ["tier"])

EVERY_S = 600.0
KNOW_EVERY_S = 60.0
# Every instance has asked what is kept by then, and answered what it was asked before.
KNOWN_AFTER = timedelta(minutes=10)
STAGING = "usage_days_"
RECOUNT: Mapping[str, int] = {
    "max_threads": 1,
    "max_execution_time": 3600,
    "max_memory_usage": 2 << 30,
    "max_bytes_before_external_group_by": 512 << 20,
}
# The engine would otherwise refuse to drop what is large.
DROP: Mapping[str, int] = {"max_partition_size_to_drop": 0, "max_table_size_to_drop": 0}


async def refresh_floor_loop(refresh: Callable[[], Awaitable[None]]) -> None:
    """Let reports know what is kept, until cancelled."""
    while True:
        await asyncio.sleep(KNOW_EVERY_S)
        try:
            await refresh()
        except (ClickHouseError, OSError) as error:
            log.warning("what is kept is as of before: %s", error)


class Retention:
    """`rows_days` and `hours_days` after the end of a month it goes; 0 keeps it for ever."""

    def __init__(
        self, clickhouse: AsyncClient, *, rows_days: int, hours_days: int, known_after: timedelta = KNOWN_AFTER
    ) -> None:
        self._clickhouse = clickhouse
        self._rows_days = rows_days
        self._hours_days = hours_days
        self._known_after = known_after

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Drop what is old, until cancelled. A store that does not answer is asked again."""
        while True:
            if is_leader():
                try:
                    await self.drop_old((await find_progress(self._clickhouse)).now)
                except (ClickHouseError, OSError) as error:
                    log.warning("nothing old was dropped: %s", error)
            await asyncio.sleep(EVERY_S)

    async def drop_old(self, now: datetime) -> None:
        """One pass. A month needs two: one that writes it down, one that drops it."""
        if self._rows_days:
            await self._drop_rows(now - timedelta(days=self._rows_days))
        if self._hours_days:
            await self._drop_hours(now - timedelta(days=self._hours_days))

    async def _drop_rows(self, before: datetime) -> None:
        unproven = 0
        for month in await self._months("request_events"):
            if end_of_month(month) > before:
                break
            rows, hours = [await self._digest(name, month=month) for name in ("digest_rows", "digest_hours")]
            if rows != hours:
                unproven += 1
                log.error("the rows of %s stay: (sums, checksum) of them is %s, of usage_hours %s", month, rows, hours)
            elif await self._is_known("rows", month):
                await self._command("drop_rows", month=month)
                log.info("the rows of %s were dropped; %s sums by hour remain", month, hours[0])
        REFUSED.labels("rows").set(unproven)

    async def _drop_hours(self, before: datetime) -> None:
        unproven = 0
        with_rows = await self._months("request_events")
        rolled_up = await find_rolled_up(self._clickhouse)
        for month in await self._months("usage_hours"):
            # Of a month with rows, the hours are still needed to prove them.
            if end_of_month(month) > min(before, rolled_up) or (with_rows and with_rows[0] <= month):
                break
            left = await self._clickhouse.query(SQL["hours_left"], parameters={"month": month})
            if left.result_rows[0][0] and await self._is_known("hours", month) and not await self._make_days(month):
                unproven += 1
        REFUSED.labels("hours").set(unproven)

    async def _make_days(self, month: int) -> bool:
        """Put sums by day in the place of a month of sums by hour; False if they are not the same."""
        staging = STAGING + uuid4().hex
        await self._drop_leftovers()
        await self._command("staging_create", table=staging)
        try:
            await self._command("days_of_hours", table=staging, month=month)
            days, hours = [
                await self._digest("digest_days", month=month, table=table) for table in (staging, "usage_hours")
            ]
            if days != hours:
                log.error("the hours of %s stay: (sums, checksum) of them is %s, of days %s", month, hours, days)
                return False
            await self._clickhouse.command(
                SQL["replace_hours"].replace("FROM staging", f"FROM {staging}"), parameters={"month": month}
            )
            log.info("the hours of %s became %s sums by day", month, days[0])
            return True
        finally:
            await self._command("staging_drop", table=staging)

    async def _drop_leftovers(self) -> None:
        """Of a pass that was killed. If it is another's that runs, that one fails and is repeated."""
        found = await self._clickhouse.query(SQL["staging_left"], parameters={"prefix": STAGING})
        for (name,) in found.result_rows:
            await self._command("staging_drop", table=name)

    async def _is_known(self, tier: str, month: int) -> bool:
        """Whether the month has been written down as expired long enough; if it has not been, it is now."""
        found = await self._clickhouse.query(SQL["expired"])
        ages = {(its_tier, its_month): age_s for its_tier, its_month, age_s in found.result_rows}
        if (tier, month) not in ages:
            await self._command("expire", tier=tier, month=month)
            log.info("the %s of %s are no longer kept", tier, month)
            ages[tier, month] = 0
        return timedelta(seconds=ages[tier, month]) >= self._known_after

    async def _months(self, table: str) -> list[int]:
        found = await self._clickhouse.query(SQL["partitions"], parameters={"table": table})
        return [month for (month,) in found.result_rows]

    async def _digest(self, statement: str, **parameters: str | int) -> tuple[int, int]:
        found = await self._clickhouse.query(SQL[statement], parameters=parameters, settings=dict(RECOUNT))
        count, checksum = found.result_rows[0]
        return int(count), int(checksum)

    async def _command(self, statement: str, **parameters: str | int) -> None:
        await self._clickhouse.command(SQL[statement], parameters=parameters, settings=dict(DROP))
