"""What is old goes once what stays is proven; reports by hour, and later by day, are the same before and after."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from analytics.conftest import Analytics, roll_up_all
from analytics.traffic import traffic
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.retained_range import check_usage_retained
from tollgate_analytics.query.usage_query import Granularity, TimeRange, UsageQuery
from tollgate_analytics.reconciliation.source import RequestReconciliationSource
from tollgate_analytics.retention.floor import RetentionFloor, find_retention_floor
from tollgate_analytics.retention.worker import Retention
from tollgate_analytics.settings import AnalyticsSettings
from tollgate_analytics.times import end_of_month
from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem

ROWS_DAYS, HOURS_DAYS = 60, 90


def of(analytics: Analytics, announcement_period: timedelta = timedelta()) -> Retention:
    return Retention(
        analytics.clickhouse, rows_days=ROWS_DAYS, hours_days=HOURS_DAYS, announcement_period=announcement_period
    )


def in_days(days: int) -> datetime:
    """So many days after this month's end."""
    now = utc_now()
    return end_of_month(now.year * 100 + now.month) + timedelta(days=days)


async def usage(analytics: Analytics, headers: dict[str, str], **question: str) -> Any:
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    parameters = {
        "start": (midnight - timedelta(days=5)).isoformat(),
        "end": (midnight + timedelta(days=1)).isoformat(),
        "group_by": "model,status",
    }
    answer = await analytics.http.get("/v1/usage", params=parameters | question, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def sent_and_rolled_up(analytics: Analytics, seed: int) -> dict[str, str]:
    sent = traffic(seed=seed, requests=120, accounts=["acc-a", "acc-d"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    await roll_up_all(analytics)
    return (await analytics.add_key("acc-a", "acc-a-key-0", "laptop"))[1]


async def rows(analytics: Analytics) -> int:
    return await analytics.scalar("SELECT count() FROM request_events")


async def hours(analytics: Analytics) -> int:
    return await analytics.scalar("SELECT uniqExact(hour) FROM usage_hours")


@pytest.mark.engines
async def test_reports_are_the_same_when_rows_have_gone_and_hours_have_become_days(analytics: Analytics) -> None:
    headers = await sent_and_rolled_up(analytics, seed=31)
    by_hour = await usage(analytics, headers, granularity="hour")
    by_day = await usage(analytics, headers, granularity="day")
    assert by_hour["data"]
    assert by_day["data"]

    await of(analytics).drop_old(in_days(ROWS_DAYS - 1))
    assert await rows(analytics) > 0
    await of(analytics).drop_old(in_days(ROWS_DAYS))
    assert await rows(analytics) == 0
    assert await usage(analytics, headers, granularity="hour") == by_hour

    # The clock of the roll-up has to have passed the month, as it has by then.
    await analytics.clickhouse.command(
        "INSERT INTO usage_hours (account_id, hour, until, measures) SELECT 'acc-z', {at:DateTime}, {at:DateTime}, [1]",
        parameters={"at": in_days(40).replace(tzinfo=None)},
    )
    await of(analytics).drop_old(in_days(HOURS_DAYS))
    assert await hours(analytics) <= 6
    assert await usage(analytics, headers, granularity="day") == by_day
    assert await usage(analytics, headers, granularity="month")
    assert await analytics.scalar("SELECT count() FROM system.tables WHERE startsWith(name, 'usage_days_')") == 0


@pytest.mark.engines
async def test_a_month_is_written_down_before_it_goes(analytics: Analytics) -> None:
    await sent_and_rolled_up(analytics, seed=32)
    before = await rows(analytics)
    slow = of(analytics, announcement_period=timedelta(minutes=10))
    await slow.drop_old(in_days(ROWS_DAYS))
    await slow.drop_old(in_days(ROWS_DAYS))
    assert await rows(analytics) == before
    month = utc_now().year * 100 + utc_now().month
    assert await find_retention_floor(analytics.clickhouse) == RetentionFloor(rows_from=end_of_month(month))
    assert (
        await RequestReconciliationSource(analytics.clickhouse, analytics.brokers, "", "").kept()
    ).rows_from == end_of_month(month)


@pytest.mark.engines
@pytest.mark.parametrize(
    "damage",
    [
        "INSERT INTO usage_hours SELECT * FROM usage_hours LIMIT 1",
        "ALTER TABLE usage_hours DELETE WHERE account_id = 'acc-d'",
        "ALTER TABLE usage_hours UPDATE provider = 'another' WHERE account_id = 'acc-d'",
    ],
)
async def test_rows_stay_when_the_sums_are_not_theirs(analytics: Analytics, damage: str) -> None:
    await sent_and_rolled_up(analytics, seed=33)
    before = await rows(analytics)
    await analytics.clickhouse.command(damage, settings={"mutations_sync": 2})

    for _ in range(2):
        await of(analytics).drop_old(in_days(ROWS_DAYS))

    assert await rows(analytics) == before
    assert await find_retention_floor(analytics.clickhouse) == RetentionFloor()


@pytest.mark.engines
async def test_rows_that_are_not_rolled_up_stay(analytics: Analytics) -> None:
    await sent_and_rolled_up(analytics, seed=34)
    late = traffic(seed=35, requests=5, accounts=["acc-a"])
    before = await rows(analytics)
    await analytics.send(late)
    await analytics.until_rows(before + len(late))
    await of(analytics).drop_old(in_days(ROWS_DAYS))
    assert await rows(analytics) == before + len(late)


@pytest.mark.engines
async def test_several_at_once_and_what_a_killed_one_left(analytics: Analytics) -> None:
    headers = await sent_and_rolled_up(analytics, seed=36)
    by_day = await usage(analytics, headers, granularity="day")
    await analytics.clickhouse.command("CREATE TABLE usage_days_0123 AS usage_hours")
    await analytics.clickhouse.command(
        "INSERT INTO usage_hours (account_id, hour, until, measures) SELECT 'acc-z', {at:DateTime}, {at:DateTime}, [1]",
        parameters={"at": in_days(40).replace(tzinfo=None)},
    )
    for _ in range(3):
        # One may find that another has dropped what it works on, and fails; what is there is right all the same.
        await asyncio.gather(*(of(analytics).drop_old(in_days(HOURS_DAYS)) for _ in range(3)), return_exceptions=True)
        assert await usage(analytics, headers, granularity="day") == by_day
    await of(analytics).drop_old(in_days(HOURS_DAYS))
    assert await rows(analytics) == 0
    assert await hours(analytics) <= 6
    assert await usage(analytics, headers, granularity="day") == by_day


KEPT = RetentionFloor(rows_from=datetime(2026, 9, 1, tzinfo=UTC), hours_from=datetime(2026, 3, 1, tzinfo=UTC))
JUNE, JANUARY = datetime(2026, 6, 1, 5, tzinfo=UTC), datetime(2026, 1, 10, tzinfo=UTC)
NOW = datetime(2026, 11, 24, 12, 34, tzinfo=UTC)


MINUTES = timedelta(minutes=7)
G, D = Granularity, Dimension


@pytest.mark.parametrize(
    "query",
    [
        UsageQuery(TimeRange(NOW - timedelta(days=30), NOW), (D.END_USER,), G.HOUR),
        UsageQuery(TimeRange(JUNE, NOW), (D.MODEL,), G.HOUR),
        UsageQuery(TimeRange(JUNE, NOW), (D.STATUS,), G.DAY, time_zone="America/New_York"),
        UsageQuery(TimeRange(JANUARY, NOW), (D.MODEL,), G.WEEK),
        UsageQuery(TimeRange(JANUARY, JUNE), (D.MODEL,)),
    ],
)
def test_what_is_kept_finely_enough_is_answered(query: UsageQuery) -> None:
    check_usage_retained(KEPT, query)


@pytest.mark.parametrize(
    ("query", "field", "hint"),
    [
        (UsageQuery(TimeRange(JUNE, NOW), (D.END_USER,)), "start", "2026-09-01"),
        (UsageQuery(TimeRange(JUNE, NOW), (), G.DAY, time_zone="Asia/Kolkata"), "start", "2026-09-01"),
        (UsageQuery(TimeRange(JUNE + MINUTES, NOW)), "start", "whole hour"),
        (UsageQuery(TimeRange(JUNE, JUNE + MINUTES)), "end", "whole hour"),
        (UsageQuery(TimeRange(JANUARY + timedelta(hours=1), NOW)), "start", "midnight"),
        (UsageQuery(TimeRange(JANUARY, JANUARY + timedelta(hours=30))), "end", "midnight"),
        (UsageQuery(TimeRange(JANUARY, NOW), (), G.HOUR), "granularity", "day"),
        (UsageQuery(TimeRange(JANUARY, NOW), (), G.DAY, time_zone="Europe/Berlin"), "granularity", "UTC"),
    ],
)
def test_what_could_be_answered_in_part_only_is_refused(query: UsageQuery, field: str, hint: str) -> None:
    with pytest.raises(Problem) as refused:
        check_usage_retained(KEPT, query)
    assert refused.value.status == 400
    assert refused.value.field == field
    assert hint in refused.value.detail


@pytest.mark.parametrize(
    ("raw", "hourly", "hint"), [(30, 0, "at least 60"), (0, 400, "forever"), (400, 100, "which is 400")]
)
def test_ages_that_make_no_sense_are_refused_at_the_start(raw: int, hourly: int, hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        AnalyticsSettings(
            port=1,
            kafka_bootstrap="k:9092",
            clickhouse_url=SecretStr("http://c:8123/d"),
            analytics_raw_days=raw,
            analytics_hourly_days=hourly,
        )
