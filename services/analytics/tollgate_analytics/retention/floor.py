"""The times from which each level of detail is retained."""

from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_analytics.statements import SQL
from tollgate_analytics.times import EPOCH, end_of_month


class RetentionFloor(NamedTuple):
    """The time from which all rows exist, and the time from which sums by hour exist. Sums by day are never dropped.

    Both are the beginning of a month, in UTC.
    """

    rows_from: datetime = EPOCH
    hours_from: datetime = EPOCH


async def find_retention_floor(clickhouse: AsyncClient) -> RetentionFloor:
    rows = (await clickhouse.query(SQL["retention_floor"])).result_rows
    months = {tier: month for tier, month in rows}  # noqa: C416 - the driver's rows are lists, `dict` types need pairs
    return RetentionFloor(*(end_of_month(months[tier]) if tier in months else EPOCH for tier in ("rows", "hours")))
