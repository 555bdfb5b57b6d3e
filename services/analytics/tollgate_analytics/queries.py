"""What may be asked for: the parameters of the APIs, read and checked.

Each function raises `Problem` with status 400 that names the field, what was wrong and what would be right.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from tollgate_analytics.dimensions import IN_HOURS, VALUES, Dimension
from tollgate_common.errors import Problem

DEFAULT_RANGE = timedelta(days=30)
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
# Well within what the store's times can hold.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MAX_FILTER_VALUES = 100
# The slots of the statements.
MAX_DIMENSIONS = 6
MAX_TOP = 100
MAX_GROUPS = 10_000
DEFAULT_GROUPS = 1_000

Filters = Mapping[Dimension, Sequence[str]]
NO_FILTERS: Filters = MappingProxyType({})


class Granularity(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


# The longest range, so that an answer stays small enough to read and to send.
MAX_RANGE = {
    Granularity.MINUTE: timedelta(days=1),
    Granularity.HOUR: timedelta(days=31),
    Granularity.DAY: timedelta(days=366),
    Granularity.WEEK: timedelta(days=366 * 3),
    Granularity.MONTH: timedelta(days=366 * 10),
    None: timedelta(days=366 * 10),
}


class Range(NamedTuple):
    """`[start, end)`, in UTC and whole milliseconds."""

    start: datetime
    end: datetime

    @property
    def before(self) -> "Range":
        """The range of the same length that ends where this one begins."""
        return Range(max(EARLIEST, self.start - (self.end - self.start)), self.start)


# What a list is of unless a range is asked for.
EVER = Range(EARLIEST, LATEST - DAY)


class UsageQuery(NamedTuple):
    """Which usage to add up, and by what. `filters` lets through what has one of the values of each dimension in it."""

    range: Range
    group_by: tuple[Dimension, ...] = ()
    granularity: Granularity | None = None
    filters: Filters = NO_FILTERS
    time_zone: str = "UTC"
    top: int = 0
    """Groups beyond these many, by cost, are added up as one; 0 keeps all apart."""

    @property
    def needs_rows(self) -> bool:
        """Whether sums by UTC hour cannot answer it: minutes, other dimensions, days that begin within an hour."""
        if self.granularity is Granularity.MINUTE or not IN_HOURS.issuperset({*self.group_by, *self.filters}):
            return True
        return self.granularity is not None and not _begins_with_utc(HOUR, self.time_zone, self.range)

    @property
    def has_utc_days(self) -> bool:
        """Whether its days are those of UTC."""
        return _begins_with_utc(DAY, self.time_zone, self.range)


def milliseconds(moment: datetime) -> int:
    """Since 1970, exactly: a float of `timestamp()` would be off by one now and then."""
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def from_milliseconds(count: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=count)


def wrong(field: str, detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "invalid_parameter", f"{field}: {detail}", field=field)


def check_names(given: Collection[str], allowed: Collection[str]) -> None:
    """Refuse a parameter that nobody reads: a misspelt filter would otherwise show everything."""
    for name in given:
        if name not in allowed:
            raise wrong(name, f"no such parameter; allowed are {', '.join(allowed) or 'none'}")


def parse_range(start: str | None, end: str | None, now: datetime) -> Range:
    until = now if end is None else _parse_time("end", end)
    since = until - DEFAULT_RANGE if start is None else _parse_time("start", start)
    if since >= until:
        raise wrong("start", f"{_text(since)} is not before the end, {_text(until)}")
    return Range(since, until)


def parse_granularity(text: str | None, over: Range) -> Granularity | None:
    step = None if text is None else Granularity(_choice("granularity", text, Granularity))
    if over.end - over.start > MAX_RANGE[step]:
        by = f"with granularity={step}" if step else "for totals"
        raise wrong("start", f"the range is too long: {by} it may span {MAX_RANGE[step].days} days at most")
    return step


def parse_group_by(texts: Sequence[str]) -> tuple[Dimension, ...]:
    """`model,api_key` in one, or one each; nothing is by model and key, `none` is one group of all."""
    if not texts:
        return (Dimension.MODEL, Dimension.API_KEY)
    if list(texts) == ["none"]:
        return ()
    names = [_choice("group_by", name.strip(), Dimension) for text in texts for name in text.split(",")]
    if len(set(names)) > MAX_DIMENSIONS:
        raise wrong("group_by", f"{len(set(names))} dimensions; {MAX_DIMENSIONS} at most in one question")
    return tuple(dimension for dimension in Dimension if dimension in names)


def parse_filters(given: Mapping[Dimension, Sequence[str]]) -> Filters:
    filters = {dimension: _filter(dimension, values) for dimension, values in given.items() if values}
    if len(filters) > MAX_DIMENSIONS:
        last = list(filters)[-1]
        raise wrong(last, f"{len(filters)} dimensions are filtered; {MAX_DIMENSIONS} at most in one question")
    return filters


def parse_time_zone(text: str) -> str:
    # More than these has a file on some machines: zones that count leap seconds, which the store does not know.
    if text not in _time_zones():
        raise wrong(
            "time_zone", f"{text!r} is no IANA time zone; expected one such as UTC, Europe/Berlin or America/New_York"
        )
    return text


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _parse_time(field: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.upper()) if RFC_3339.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None or not EARLIEST <= moment < LATEST:
        raise wrong(
            field,
            f"{text!r} is no RFC 3339 time from 2000 to 2099; expected one such as 2026-11-01T00:00:00Z "
            "(write the + of an offset as %2B)",
        )
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _choice(field: str, value: str, allowed: Iterable[str]) -> str:
    if value not in [*allowed]:
        raise wrong(field, f"{value!r} is unknown; allowed are {', '.join(allowed)}")
    return value


def _filter(dimension: Dimension, values: Sequence[str]) -> list[str]:
    if len(values) > MAX_FILTER_VALUES:
        raise wrong(dimension, f"{len(values)} values; {MAX_FILTER_VALUES} at most")
    if dimension in VALUES:
        return [_choice(dimension, value, VALUES[dimension]) for value in values]
    if dimension is Dimension.STATUS and not all(value.isascii() and value.isdigit() for value in values):
        raise wrong(dimension, f"{values} has what is no HTTP status; expected numbers such as 429")
    return list(values)


def _begins_with_utc(step: timedelta, time_zone: str, over: Range) -> bool:
    """Whether local hours, or days, begin with UTC's throughout a range: half-hour zones' do not."""
    zone = ZoneInfo(time_zone)
    # A zone changes its offset for months at least.
    count = (over.end - over.start) // timedelta(days=28) + 1
    moments = [over.start + (over.end - over.start) * place / count for place in range(count + 1)]
    return all((moment.astimezone(zone).utcoffset() or timedelta()) % step == timedelta() for moment in moments)


def whole_hours(over: Range) -> Range | None:
    """The whole hours within a range, if it has any."""
    first = over.start.replace(minute=0, second=0, microsecond=0)
    first = first if first == over.start else first + HOUR
    last = over.end.replace(minute=0, second=0, microsecond=0)
    return Range(first, last) if first < last else None


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
