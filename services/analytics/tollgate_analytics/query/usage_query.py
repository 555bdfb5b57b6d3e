"""The model of a usage query: its time range, dimensions, granularity and filters."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tollgate_analytics.query.dimensions import HOURLY_DIMENSIONS, Dimension
from tollgate_analytics.times import DAY, HOUR

# Well within the range that the store's time columns can hold.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)

Filters = Mapping[Dimension, Sequence[str]]
NO_FILTERS: Filters = MappingProxyType({})


class Granularity(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class TimeRange(NamedTuple):
    """`[start, end)`, in UTC and whole milliseconds."""

    start: datetime
    end: datetime

    @property
    def before(self) -> "TimeRange":
        """The range of the same length that ends where this one begins."""
        return TimeRange(max(EARLIEST, self.start - (self.end - self.start)), self.start)


# The range of a request list without `start` and `end`.
EVER = TimeRange(EARLIEST, LATEST - DAY)


class UsageQuery(NamedTuple):
    """The usage to add up, and the dimensions to group it by.

    `filters` selects the events that have one of the listed values in every listed dimension.
    """

    range: TimeRange
    group_by: tuple[Dimension, ...] = ()
    granularity: Granularity | None = None
    filters: Filters = NO_FILTERS
    time_zone: str = "UTC"
    top: int = 0
    """Groups beyond this many, by cost, are added up as one; 0 keeps all groups apart."""

    @property
    def needs_rows(self) -> bool:
        """Whether sums by UTC hour cannot answer the query.

        That is so for minutes, for dimensions that `usage_hours` lacks, and for time zones whose buckets begin within
        a UTC hour.
        """
        if self.granularity is Granularity.MINUTE or not HOURLY_DIMENSIONS.issuperset({*self.group_by, *self.filters}):
            return True
        return self.granularity is not None and not _begins_with_utc(HOUR, self.time_zone, self.range)

    @property
    def has_utc_days(self) -> bool:
        """Whether the query's days begin at midnight UTC."""
        return _begins_with_utc(DAY, self.time_zone, self.range)


def whole_hours(time_range: TimeRange) -> TimeRange | None:
    """Return the whole hours within a range, or None if it contains none."""
    first = time_range.start.replace(minute=0, second=0, microsecond=0)
    first = first if first == time_range.start else first + HOUR
    last = time_range.end.replace(minute=0, second=0, microsecond=0)
    return TimeRange(first, last) if first < last else None


def _begins_with_utc(step: timedelta, time_zone: str, time_range: TimeRange) -> bool:
    """Whether local hours (or days) begin with those of UTC throughout a range; in half-hour zones they do not."""
    zone = ZoneInfo(time_zone)
    # A zone keeps its offset for months, so one sample in 28 days finds every change.
    count = (time_range.end - time_range.start) // timedelta(days=28) + 1
    moments = [time_range.start + (time_range.end - time_range.start) * index / count for index in range(count + 1)]
    return all((moment.astimezone(zone).utcoffset() or timedelta()) % step == timedelta() for moment in moments)
