"""The parsers and checks of API parameters.

Each function raises `Problem` with status 400. The problem names the field, the wrong value and the allowed ones.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from zoneinfo import available_timezones

from tollgate_analytics.query.dimensions import ALLOWED_VALUES, Dimension
from tollgate_analytics.query.usage_query import EARLIEST, LATEST, Filters, Granularity, TimeRange
from tollgate_common.errors import Problem

DEFAULT_RANGE = timedelta(days=30)
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
MAX_FILTER_VALUES = 100
# The statements have this many slots for groups, and as many for filters.
MAX_DIMENSIONS = 6
MAX_TOP = 100
MAX_GROUPS = 10_000
DEFAULT_GROUPS = 1_000

# The maximum range for each granularity keeps a response small enough to read and to send.
MAX_RANGE = {
    Granularity.MINUTE: timedelta(days=1),
    Granularity.HOUR: timedelta(days=31),
    Granularity.DAY: timedelta(days=366),
    Granularity.WEEK: timedelta(days=366 * 3),
    Granularity.MONTH: timedelta(days=366 * 10),
    None: timedelta(days=366 * 10),
}


def invalid_parameter(field: str, detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "invalid_parameter", f"{field}: {detail}", field=field)


def check_parameter_names(given: Collection[str], allowed: Collection[str]) -> None:
    """Reject unknown parameters: a misspelled filter would otherwise be ignored and show everything."""
    for name in given:
        if name not in allowed:
            raise invalid_parameter(name, f"unknown parameter; allowed are {', '.join(allowed) or 'none'}")


def parse_range(start: str | None, end: str | None, now: datetime) -> TimeRange:
    until = now if end is None else _parse_time("end", end)
    since = until - DEFAULT_RANGE if start is None else _parse_time("start", start)
    if since >= until:
        raise invalid_parameter("start", f"{_format_time(since)} is not before the end, {_format_time(until)}")
    return TimeRange(since, until)


def parse_granularity(text: str | None, time_range: TimeRange) -> Granularity | None:
    step = None if text is None else Granularity(_choice("granularity", text, Granularity))
    if time_range.end - time_range.start > MAX_RANGE[step]:
        by = f"with granularity={step}" if step else "for totals"
        raise invalid_parameter("start", f"the range is too long: {by} the maximum is {MAX_RANGE[step].days} days")
    return step


def parse_group_by(texts: Sequence[str]) -> tuple[Dimension, ...]:
    """Parse `model,api_key`, in one parameter or one each. The default is model and key; `none` is one group of all."""
    if not texts:
        return (Dimension.MODEL, Dimension.API_KEY)
    if list(texts) == ["none"]:
        return ()
    names = [_choice("group_by", name.strip(), Dimension) for text in texts for name in text.split(",")]
    if len(set(names)) > MAX_DIMENSIONS:
        raise invalid_parameter("group_by", f"{len(set(names))} dimensions; {MAX_DIMENSIONS} at most in one query")
    return tuple(dimension for dimension in Dimension if dimension in names)


def parse_filters(given: Mapping[Dimension, Sequence[str]]) -> Filters:
    filters = {dimension: _filter(dimension, values) for dimension, values in given.items() if values}
    if len(filters) > MAX_DIMENSIONS:
        last = list(filters)[-1]
        raise invalid_parameter(last, f"{len(filters)} dimensions have filters; {MAX_DIMENSIONS} at most in one query")
    return filters


def parse_time_zone(text: str) -> str:
    # The zone files of some machines also define zones with leap seconds, which the store does not know.
    if text not in _time_zones():
        raise invalid_parameter(
            "time_zone",
            f"{text!r} is not an IANA time zone; expected one such as UTC, Europe/Berlin or America/New_York",
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
        raise invalid_parameter(
            field,
            f"{text!r} is not an RFC 3339 time from 2000 to 2099; expected one such as 2026-11-01T00:00:00Z "
            "(encode the + of an offset as %2B)",
        )
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _choice(field: str, value: str, allowed: Iterable[str]) -> str:
    if value not in [*allowed]:
        raise invalid_parameter(field, f"{value!r} is unknown; allowed are {', '.join(allowed)}")
    return value


def _filter(dimension: Dimension, values: Sequence[str]) -> list[str]:
    if len(values) > MAX_FILTER_VALUES:
        raise invalid_parameter(dimension, f"{len(values)} values; {MAX_FILTER_VALUES} at most")
    if dimension in ALLOWED_VALUES:
        return [_choice(dimension, value, ALLOWED_VALUES[dimension]) for value in values]
    if dimension is Dimension.STATUS and not all(value.isascii() and value.isdigit() for value in values):
        raise invalid_parameter(
            dimension, f"{values} contains a value that is not an HTTP status; expected numbers such as 429"
        )
    return list(values)


def _format_time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
