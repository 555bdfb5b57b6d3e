"""What may be asked for, and what the refusals say."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_analytics.query.cursors import (
    NEWEST,
    BucketCursor,
    GroupCursor,
    RequestCursor,
    Snapshot,
    encode_cursor,
    parse_group_cursor,
    parse_request_cursor,
    request_list_digest,
    usage_digest,
)
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.parameters import (
    MAX_DIMENSIONS,
    MAX_FILTER_VALUES,
    MAX_RANGE,
    check_parameter_names,
    parse_filters,
    parse_granularity,
    parse_group_by,
    parse_range,
    parse_time_zone,
)
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.usage_query import EARLIEST, LATEST, Granularity, TimeRange, UsageQuery, whole_hours
from tollgate_analytics.times import HOUR, milliseconds
from tollgate_common.auth.callers import Caller
from tollgate_common.errors import Problem
from tollgate_common.events import KeyRecord, UsageScope

NOW = datetime(2026, 11, 23, 12, 34, 56, 789_000, tzinfo=UTC)
MOMENTS = st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
LAST_MONTH = TimeRange(NOW - timedelta(days=30), NOW)


def test_without_parameters_it_is_the_last_30_days_by_model_and_key() -> None:
    assert parse_range(None, None, NOW) == LAST_MONTH
    assert parse_group_by([]) == (Dimension.MODEL, Dimension.API_KEY)
    assert parse_granularity(None, LAST_MONTH) is None


@pytest.mark.parametrize("group_by", [["api_key,model"], ["api_key", "model"], ["model, api_key", "model"]])
def test_groups_come_in_one_parameter_or_several(group_by: list[str]) -> None:
    assert parse_group_by(group_by) == (Dimension.MODEL, Dimension.API_KEY)


def test_none_is_one_group() -> None:
    assert parse_group_by(["none"]) == ()


def test_times_with_an_offset_are_utc_and_whole_milliseconds() -> None:
    time_range = parse_range("2026-11-01T00:00:00.1239+02:00", "2026-11-02T00:00:00z", NOW)
    assert time_range.start == datetime(2026, 10, 31, 22, 0, 0, 123_000, tzinfo=UTC)
    assert time_range.end == datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("refused", "field", "says"),
    [
        (lambda: parse_group_by(["user"]), "group_by", "allowed are model, api_key, project"),
        (lambda: parse_group_by([""]), "group_by", "allowed are model, api_key"),
        (lambda: parse_group_by(["none", "model"]), "group_by", "allowed are model, api_key"),
        (lambda: parse_group_by(["model;DROP TABLE request_events"]), "group_by", "allowed are model, api_key"),
        (lambda: parse_group_by(list(Dimension)), "group_by", "6 at most"),
        (lambda: parse_granularity("second", LAST_MONTH), "granularity", "allowed are minute, hour, day, week, month"),
        (lambda: parse_range("yesterday", None, NOW), "start", "2026-11-01T00:00:00Z"),
        (lambda: parse_range("2026-11-01", None, NOW), "start", "2026-11-01T00:00:00Z"),
        (lambda: parse_range("1764000000", None, NOW), "start", "2026-11-01T00:00:00Z"),
        (lambda: parse_range(None, "2026-13-01T00:00:00Z", NOW), "end", "2026-11-01T00:00:00Z"),
        (lambda: parse_range(None, "2026-11-01T00:00:00 02:00", NOW), "end", "%2B"),
        (lambda: parse_range(None, "0001-01-01T00:00:00+14:00", NOW), "end", "from 2000 to 2099"),
        (lambda: parse_range(None, "9999-12-31T23:59:59Z", NOW), "end", "from 2000 to 2099"),
        (lambda: parse_range("2026-12-01T00:00:00Z", None, NOW), "start", "not before the end"),
        (lambda: parse_range("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z", NOW), "start", "not before the end"),
        (lambda: parse_filters({Dimension.MODEL: ["m"] * (MAX_FILTER_VALUES + 1)}), "model", "100 at most"),
        (lambda: parse_filters({Dimension.STREAM: ["yes"]}), "stream", "allowed are true, false"),
        (lambda: parse_filters({Dimension.STATUS_CLASS: ["6xx"]}), "status_class", "allowed are 1xx, 2xx"),
        (lambda: parse_filters({Dimension.STATUS: ["ok"]}), "status", "numbers such as 429"),
        (lambda: parse_filters({Dimension.OUTCOME: ["done"]}), "outcome", "allowed are completed, refused"),
        (
            lambda: parse_filters({name: ["true"] for name in list(Dimension)[: MAX_DIMENSIONS + 1]}),
            "stream",
            "6 at most",
        ),
        (lambda: parse_time_zone("Mars/Olympus"), "time_zone", "Europe/Berlin"),
        (lambda: parse_time_zone("../../etc/passwd"), "time_zone", "Europe/Berlin"),
        (lambda: parse_time_zone(""), "time_zone", "Europe/Berlin"),
        (lambda: parse_time_zone("right/UTC"), "time_zone", "Europe/Berlin"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_would_be_right(
    refused: Callable[[], object], field: str, says: str
) -> None:
    with pytest.raises(Problem) as problem:
        refused()
    assert problem.value.status == 400
    assert problem.value.field == field
    assert says in problem.value.detail


def test_a_parameter_that_nobody_reads_is_refused() -> None:
    with pytest.raises(Problem, match="granuality: unknown parameter; allowed are start, granularity"):
        check_parameter_names(["start", "granuality"], ("start", "granularity"))


@pytest.mark.parametrize("granularity", [None, *Granularity])
def test_the_longest_range_is_allowed_and_no_longer_one(granularity: Granularity | None) -> None:
    longest = TimeRange(NOW - MAX_RANGE[granularity], NOW)
    assert parse_granularity(granularity, longest) == granularity
    with pytest.raises(Problem, match="the range is too long") as problem:
        parse_granularity(granularity, longest._replace(end=NOW + timedelta(milliseconds=1)))
    assert problem.value.field == "start"


@pytest.mark.parametrize(
    ("query", "needs_rows"),
    [
        (UsageQuery(LAST_MONTH, (Dimension.MODEL,), Granularity.DAY), False),
        (UsageQuery(LAST_MONTH, (Dimension.END_USER,)), True),
        (UsageQuery(LAST_MONTH, (), None, {Dimension.STATUS: ["429"]}), False),
        (UsageQuery(LAST_MONTH, (), None, {Dimension.FINISH_REASON: ["stop"]}), True),
        (UsageQuery(LAST_MONTH, (), Granularity.MINUTE), True),
        (UsageQuery(LAST_MONTH, (), Granularity.DAY, time_zone="America/New_York"), False),
        (UsageQuery(LAST_MONTH, (), Granularity.DAY, time_zone="Asia/Kolkata"), True),
        # Half an hour in summer, a whole one in winter.
        (UsageQuery(LAST_MONTH, (), Granularity.DAY, time_zone="Australia/Lord_Howe"), False),
        (
            UsageQuery(
                LAST_MONTH._replace(start=NOW - timedelta(days=200)),
                (),
                Granularity.DAY,
                time_zone="Australia/Lord_Howe",
            ),
            True,
        ),
        (UsageQuery(LAST_MONTH, (), None, time_zone="Asia/Kolkata"), False),
    ],
)
def test_what_hours_cannot_answer_is_read_from_the_rows(query: UsageQuery, needs_rows: bool) -> None:
    assert query.needs_rows is needs_rows


def test_the_range_before_is_as_long_and_ends_where_this_one_begins() -> None:
    before = LAST_MONTH.before
    assert before.end == LAST_MONTH.start
    assert before.end - before.start == LAST_MONTH.end - LAST_MONTH.start


MARK = request_list_digest(Scope("acc-a"), {}, None, None)


@given(at=MOMENTS, request_id=st.uuids().map(str))
def test_a_cursor_comes_back_as_it_went(at: datetime, request_id: str) -> None:
    cursor = RequestCursor.after(at, request_id)
    assert parse_request_cursor(encode_cursor(cursor, MARK), MARK) == cursor


def test_without_a_cursor_the_newest_come_first() -> None:
    assert parse_request_cursor(None, MARK) == NEWEST


def test_a_cursor_of_groups_keeps_their_range() -> None:
    query = UsageQuery(LAST_MONTH, (Dimension.MODEL,))
    mark = usage_digest(Scope("acc-a"), query)
    cursor = GroupCursor(20, milliseconds(LAST_MONTH.start), milliseconds(LAST_MONTH.end), Snapshot(5, 6, 7))
    found = parse_group_cursor(encode_cursor(cursor, mark), usage_digest(Scope("acc-a"), query))
    assert (found, found.range) == (cursor, LAST_MONTH)


NOTHING = Snapshot(0, 0, 0)
FROM_ELSEWHERE = [
    "",
    "x",
    "AAAA",
    "é",
    "MTIz",
    encode_cursor(NEWEST, request_list_digest(Scope("acc-b"), {}, None, None)),
    encode_cursor(NEWEST, request_list_digest(Scope("acc-a", only_key="k"), {}, None, None)),
    encode_cursor(NEWEST, request_list_digest(Scope("acc-a"), {Dimension.MODEL: ["m"]}, None, None)),
    encode_cursor(RequestCursor(-1, "x"), MARK),
    encode_cursor(GroupCursor(1, 0, 1, NOTHING), MARK),
]


@pytest.mark.parametrize("text", FROM_ELSEWHERE)
def test_a_cursor_from_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="not a cursor") as refused:
        parse_request_cursor(text, MARK)
    assert refused.value.field == "cursor"


WRONG_GROUPS = [
    GroupCursor(1 << 40, 0, 1, NOTHING),
    GroupCursor(1, 1, 1, NOTHING),
    GroupCursor(1, 0, 1, Snapshot(-1, 0, 0)),
    GroupCursor(1, 0, 1, Snapshot(1 << 60, 0, 0)),
    GroupCursor(1, 0, 1, Snapshot(0, -1, 0)),
    GroupCursor(1, 0, 1, Snapshot(0, 0, 1 << 63)),
]


@pytest.mark.parametrize(
    "text",
    [
        *FROM_ELSEWHERE[:-1],
        *(encode_cursor(cursor, MARK) for cursor in WRONG_GROUPS),
        encode_cursor(BucketCursor(1, 2), MARK),
    ],
)
def test_a_cursor_of_groups_from_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="not a cursor"):
        parse_group_cursor(text, MARK)


def test_a_key_sees_what_its_scope_lets_it() -> None:
    def scope_of(usage_scope: UsageScope, project_id: str) -> Scope:
        key = KeyRecord(key_id="k", account_id="a", name="n", plan="p", project_id=project_id, usage_scope=usage_scope)
        return Scope.of(Caller("a", usage_scope, key=key))

    assert scope_of(UsageScope.ACCOUNT, "prj") == Scope("a")
    assert scope_of(UsageScope.PROJECT, "prj") == Scope("a", only_project="prj")
    assert scope_of(UsageScope.KEY, "prj") == Scope("a", only_key="k")
    assert scope_of(UsageScope.PROJECT, "") == Scope("a", only_key="k")
    assert Scope.of(Caller("a", UsageScope.ACCOUNT, person_id="p")) == Scope("a")


@given(at=MOMENTS)
def test_milliseconds_are_exact(at: datetime) -> None:
    assert datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds(at)) == at


@given(start=MOMENTS, length=st.timedeltas(timedelta(milliseconds=1), timedelta(days=3)))
def test_whole_hours_and_the_edges_cover_the_range_once(start: datetime, length: timedelta) -> None:
    end = start + length
    whole = whole_hours(TimeRange(start, end))
    if whole is None:
        assert end - start < 2 * HOUR
        return
    first, last = whole
    assert start <= first < last <= end
    assert (first - datetime.fromtimestamp(0, UTC)) % HOUR == timedelta(0)
    assert (last - datetime.fromtimestamp(0, UTC)) % HOUR == timedelta(0)
    assert first - start < HOUR
    assert end - last < HOUR
