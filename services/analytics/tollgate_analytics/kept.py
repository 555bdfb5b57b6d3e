"""What is kept how far back, and the refusal of what could be answered in part only."""

from datetime import UTC, datetime
from typing import NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_analytics.queries import DAY, HOUR, Granularity, Range, UsageQuery, wrong
from tollgate_analytics.slots import SQL

EPOCH = datetime.fromtimestamp(0, UTC)


class Kept(NamedTuple):
    """From when on there are all rows, and sums by hour. Sums by day there are for ever.

    Both are the beginning of a month, in UTC.
    """

    rows_from: datetime = EPOCH
    hours_from: datetime = EPOCH

    def check_rows(self, over: Range, what: str) -> None:
        """Refuse a question that needs the rows of a time whose rows have been dropped.

        Raises:
            Problem: 400.
        """
        if over.start < self.rows_from:
            raise wrong("start", f"{what} is kept from {self.rows_from:%Y-%m-%d} on; ask for a range that begins there")

    def check(self, query: UsageQuery) -> None:
        """As `check_rows`, for a report: by hours or days it may begin earlier, if it begins and ends with them."""
        over = query.range
        if query.needs_rows:
            self.check_rows(over, "usage by minutes, or by these dimensions, or in this time zone,")
        for field, moment in (("start", over.start), ("end", over.end)):
            if moment < self.rows_from and (moment - EPOCH) % HOUR:
                raise wrong(field, f"before {self.rows_from:%Y-%m-%d} usage is kept by the hour; give a whole hour")
            if moment < self.hours_from and (moment - EPOCH) % DAY:
                raise wrong(field, f"before {self.hours_from:%Y-%m-%d} usage is kept by the day; give midnight in UTC")
        if over.start < self.hours_from and query.granularity is not None and not _adds_up_days(query):
            raise wrong(
                "granularity",
                f"before {self.hours_from:%Y-%m-%d} usage is kept by the day; ask by day, week or month, in UTC",
            )


def _adds_up_days(query: UsageQuery) -> bool:
    return query.granularity is not Granularity.HOUR and query.has_utc_days


async def find_kept(clickhouse: AsyncClient) -> Kept:
    found = {tier: month for tier, month in (await clickhouse.query(SQL["kept"])).result_rows}  # noqa: C416 - rows are lists
    return Kept(*(after(found[tier]) if tier in found else EPOCH for tier in ("rows", "hours")))


def after(month: int) -> datetime:
    """When a month such as 202611 is over."""
    years, months = divmod(month // 100 * 12 + month % 100, 12)
    return datetime(years, months + 1, 1, tzinfo=UTC)
