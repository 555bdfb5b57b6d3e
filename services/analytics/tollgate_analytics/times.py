"""Times as the store keeps them: UTC, in whole milliseconds since 1970."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime.fromtimestamp(0, UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def milliseconds(moment: datetime) -> int:
    """Return the milliseconds since 1970 exactly; the float of `timestamp()` would sometimes be off by one."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(count: int) -> datetime:
    return EPOCH + timedelta(milliseconds=count)


def end_of_month(month: int) -> datetime:
    """Return the end of a month such as 202611: the first moment of the next one."""
    years, months = divmod(month // 100 * 12 + month % 100, 12)
    return datetime(years, months + 1, 1, tzinfo=UTC)
