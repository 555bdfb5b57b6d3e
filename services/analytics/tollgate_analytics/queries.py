"""What may be asked for: the parameters of the APIs, read and checked.

Each function raises `Problem` with status 400 that names the field, what was wrong and what would be right.
"""

import base64
import binascii
import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

from tollgate_common.errors import Problem

DEFAULT_RANGE = timedelta(days=30)
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
# Well within what the store's times can hold.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
MAX_FILTER_VALUES = 100


class Dimension(StrEnum):
    MODEL = "model"
    API_KEY = "api_key"


class Granularity(StrEnum):
    HOUR = "hour"
    DAY = "day"


# The longest range, so that an answer stays small enough to read and to send.
MAX_RANGE = {Granularity.HOUR: timedelta(days=31), Granularity.DAY: timedelta(days=366), None: timedelta(days=366)}


def milliseconds(moment: datetime) -> int:
    """Since 1970, exactly: a float of `timestamp()` would be off by one now and then."""
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


class UsageQuery(NamedTuple):
    """Which of an account's usage to add up, and by what. Empty filters let everything through."""

    start: datetime
    end: datetime
    group_by: tuple[Dimension, ...]
    granularity: Granularity | None
    models: list[str]
    key_ids: list[str]


class Cursor(NamedTuple):
    """The place of a request in its account's list: the next page holds what closed before it."""

    at_ms: int
    request_id: str

    @staticmethod
    def after(at: datetime, request_id: str) -> "Cursor":
        return Cursor(milliseconds(at), request_id)

    def text(self) -> str:
        return base64.urlsafe_b64encode(f"{self.at_ms}.{self.request_id}".encode()).decode().rstrip("=")


NEWEST = Cursor.after(LATEST, "")


def wrong(field: str, detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "invalid_parameter", f"{field}: {detail}", field=field)


def check_names(given: Collection[str], allowed: Collection[str]) -> None:
    """Refuse a parameter that nobody reads: a misspelt filter would otherwise show everything."""
    for name in given:
        if name not in allowed:
            raise wrong(name, f"no such parameter; allowed are {', '.join(allowed)}")


def parse_usage(
    *,
    start: str | None,
    end: str | None,
    group_by: list[str],
    granularity: str | None,
    models: list[str],
    api_keys: list[str],
    now: datetime,
) -> UsageQuery:
    until = now if end is None else _parse_time("end", end)
    since = until - DEFAULT_RANGE if start is None else _parse_time("start", start)
    step = None if granularity is None else Granularity(_choice("granularity", granularity, Granularity))
    if since >= until:
        raise wrong("start", f"{_text(since)} is not before the end, {_text(until)}")
    if until - since > MAX_RANGE[step]:
        by = f"with granularity={step}" if step else "for totals"
        raise wrong("start", f"the range is too long: {by} it may span {MAX_RANGE[step].days} days at most")
    return UsageQuery(
        since, until, _parse_group_by(group_by), step, _filter("model", models), _filter("api_key", api_keys)
    )


def parse_cursor(text: str | None) -> Cursor:
    if text is None:
        return NEWEST
    try:
        at_ms, request_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(".")
        cursor = Cursor(int(at_ms), request_id)
    except (binascii.Error, ValueError) as error:
        raise wrong("cursor", "not a cursor; pass the next_cursor of an earlier answer as it came") from error
    if not 0 <= cursor.at_ms <= NEWEST.at_ms:
        raise wrong("cursor", "not a cursor; pass the next_cursor of an earlier answer as it came")
    return cursor


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


def _parse_group_by(texts: list[str]) -> tuple[Dimension, ...]:
    """`model,api_key` in one, or one each."""
    if not texts:
        return tuple(Dimension)
    names = [_choice("group_by", name.strip(), Dimension) for text in texts for name in text.split(",")]
    return tuple(dimension for dimension in Dimension if dimension in names)


def _choice(field: str, value: str, allowed: type[StrEnum]) -> str:
    if value not in list(allowed):
        raise wrong(field, f"{value!r} is unknown; allowed are {', '.join(allowed)}")
    return value


def _filter(field: str, values: list[str]) -> list[str]:
    if len(values) > MAX_FILTER_VALUES:
        raise wrong(field, f"{len(values)} values; {MAX_FILTER_VALUES} at most")
    return values


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
