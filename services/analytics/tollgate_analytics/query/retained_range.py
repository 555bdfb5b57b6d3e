"""The check that the store still holds all data of a query's range; a partial result would look like a complete one."""

from tollgate_analytics.query.parameters import invalid_parameter
from tollgate_analytics.query.usage_query import Granularity, TimeRange, UsageQuery
from tollgate_analytics.retention.floor import RetentionFloor
from tollgate_analytics.times import DAY, EPOCH, HOUR


def check_rows_retained(floor: RetentionFloor, time_range: TimeRange, data: str) -> None:
    """Reject a query that needs rows from a time whose rows have been dropped.

    Args:
        floor: the times from which data is retained.
        time_range: the range of the query.
        data: the data that the query needs, for the error text.

    Raises:
        Problem: 400.
    """
    if time_range.start < floor.rows_from:
        raise invalid_parameter(
            "start",
            f"{time_range.start:%Y-%m-%d} is too early: {data} is retained from {floor.rows_from:%Y-%m-%d}; "
            "request a range that begins there or later",
        )


def check_usage_retained(floor: RetentionFloor, query: UsageQuery) -> None:
    """Reject a report over dropped data.

    Sums by hour, and later by day, outlive the rows. A report may begin before the rows if it begins and ends with a
    whole hour or day.

    Raises:
        Problem: 400.
    """
    time_range = query.range
    if query.needs_rows:
        check_rows_retained(floor, time_range, "usage by minute, by these dimensions or in this time zone")
    for field, moment in (("start", time_range.start), ("end", time_range.end)):
        if moment < floor.rows_from and (moment - EPOCH) % HOUR:
            raise invalid_parameter(
                field,
                f"{moment:%Y-%m-%dT%H:%M:%SZ} is not a whole hour; before {floor.rows_from:%Y-%m-%d} usage is "
                "retained by the hour",
            )
        if moment < floor.hours_from and (moment - EPOCH) % DAY:
            raise invalid_parameter(
                field,
                f"{moment:%Y-%m-%dT%H:%M:%SZ} is not midnight UTC; before {floor.hours_from:%Y-%m-%d} usage is "
                "retained by the day",
            )
    if time_range.start < floor.hours_from and query.granularity is not None and not _adds_up_days(query):
        raise invalid_parameter(
            "granularity",
            f"{query.granularity} in {query.time_zone} is too fine: before {floor.hours_from:%Y-%m-%d} usage is "
            "retained by the day; request day, week or month, in UTC",
        )


def _adds_up_days(query: UsageQuery) -> bool:
    return query.granularity is not Granularity.HOUR and query.has_utc_days
