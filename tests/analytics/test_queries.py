"""What may be asked for, and what the refusals say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_analytics.queries import (
    EARLIEST,
    LATEST,
    MAX_FILTER_VALUES,
    NEWEST,
    Cursor,
    Dimension,
    Granularity,
    check_names,
    milliseconds,
    parse_cursor,
    parse_usage,
)
from tollgate_analytics.store import HOUR, whole_hours
from tollgate_common.errors import Problem

NOW = datetime(2026, 11, 23, 12, 34, 56, 789_000, tzinfo=UTC)
MOMENTS = st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
DEFAULTS: dict[str, Any] = {
    "start": None,
    "end": None,
    "group_by": [],
    "granularity": None,
    "models": [],
    "api_keys": [],
    "now": NOW,
}


def test_without_parameters_it_is_the_last_30_days_by_model_and_key() -> None:
    query = parse_usage(**DEFAULTS)
    assert (query.start, query.end) == (NOW - timedelta(days=30), NOW)
    assert query.group_by == (Dimension.MODEL, Dimension.API_KEY)
    assert query.granularity is None


@pytest.mark.parametrize("group_by", [["api_key,model"], ["api_key", "model"], ["model, api_key", "model"]])
def test_groups_come_in_one_parameter_or_several(group_by: list[str]) -> None:
    assert parse_usage(**DEFAULTS | {"group_by": group_by}).group_by == (Dimension.MODEL, Dimension.API_KEY)


def test_times_with_an_offset_are_utc_and_whole_milliseconds() -> None:
    query = parse_usage(**DEFAULTS | {"start": "2026-11-01T00:00:00.1239+02:00", "end": "2026-11-02T00:00:00z"})
    assert query.start == datetime(2026, 10, 31, 22, 0, 0, 123_000, tzinfo=UTC)
    assert query.end == datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "field", "says"),
    [
        ({"group_by": ["user"]}, "group_by", "allowed are model, api_key"),
        ({"group_by": [""]}, "group_by", "allowed are model, api_key"),
        ({"group_by": ["model;DROP TABLE request_events"]}, "group_by", "allowed are model, api_key"),
        ({"granularity": "minute"}, "granularity", "allowed are hour, day"),
        ({"start": "yesterday"}, "start", "2026-11-01T00:00:00Z"),
        ({"start": "2026-11-01"}, "start", "2026-11-01T00:00:00Z"),
        ({"start": "1764000000"}, "start", "2026-11-01T00:00:00Z"),
        ({"end": "2026-13-01T00:00:00Z"}, "end", "2026-11-01T00:00:00Z"),
        ({"end": "2026-11-01T00:00:00 02:00"}, "end", "%2B"),
        ({"end": "0001-01-01T00:00:00+14:00"}, "end", "from 2000 to 2099"),
        ({"end": "9999-12-31T23:59:59Z"}, "end", "from 2000 to 2099"),
        ({"start": "2026-12-01T00:00:00Z"}, "start", "not before the end"),
        ({"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}, "start", "not before the end"),
        ({"start": "2025-01-01T00:00:00Z"}, "start", "for totals it may span 366 days"),
        ({"start": "2026-01-01T00:00:00Z", "granularity": "hour"}, "start", "granularity=hour it may span 31 days"),
        ({"models": ["m"] * (MAX_FILTER_VALUES + 1)}, "model", "100 at most"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_would_be_right(wrong: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(Problem) as refused:
        parse_usage(**DEFAULTS | wrong)
    assert refused.value.status == 400
    assert refused.value.field == field
    assert says in refused.value.detail


def test_a_parameter_that_nobody_reads_is_refused() -> None:
    with pytest.raises(Problem, match="granuality: no such parameter; allowed are start, granularity"):
        check_names(["start", "granuality"], ("start", "granularity"))


@pytest.mark.parametrize("granularity", [None, *Granularity])
def test_the_longest_range_is_allowed(granularity: Granularity | None) -> None:
    days = 31 if granularity is Granularity.HOUR else 366
    start = (NOW - timedelta(days=days)).isoformat()
    assert parse_usage(**DEFAULTS | {"start": start, "granularity": granularity}).end == NOW


@given(at=MOMENTS, request_id=st.uuids().map(str))
def test_a_cursor_comes_back_as_it_went(at: datetime, request_id: str) -> None:
    cursor = Cursor.after(at, request_id)
    assert parse_cursor(cursor.text()) == cursor


def test_without_a_cursor_the_newest_come_first() -> None:
    assert parse_cursor(None) == NEWEST


@pytest.mark.parametrize("text", ["", "x", "AAAA", "é", "MTIz", "LTEueA", "OTk5OTk5OTk5OTk5OTk5OTk5LngK", "eC54"])
def test_a_cursor_from_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="not a cursor") as refused:
        parse_cursor(text)
    assert refused.value.field == "cursor"


@given(at=MOMENTS)
def test_milliseconds_are_exact(at: datetime) -> None:
    assert datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds(at)) == at


@given(start=MOMENTS, length=st.timedeltas(timedelta(milliseconds=1), timedelta(days=3)))
def test_whole_hours_and_the_edges_cover_the_range_once(start: datetime, length: timedelta) -> None:
    end = start + length
    first, last = whole_hours(start, end)
    assert start <= first <= last <= end
    if first == last:
        assert first == end
        return
    assert (first - datetime.fromtimestamp(0, UTC)) % HOUR == timedelta(0)
    assert (last - datetime.fromtimestamp(0, UTC)) % HOUR == timedelta(0)
    assert first - start < HOUR
    assert end - last < HOUR
