"""What is rolled up and what is not yet add up to a recount of the events, whoever rolls up, and however often."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from analytics.conftest import Analytics, roll_up_all
from analytics.traffic import groups_of, recount, traffic
from tollgate_analytics.measures import MEASURES
from tollgate_analytics.query.store import LIMITS
from tollgate_analytics.reconciliation.source import RequestReconciliationSource
from tollgate_analytics.rollup.usage_hours import (
    SINGLE_PART_SETTINGS,
    Progress,
    _month_end,
    find_progress,
    find_rolled_up_until,
    insert_sums,
    last_cutoff,
    roll_up,
)
from tollgate_analytics.statements import SQL
from tollgate_analytics.times import milliseconds
from tollgate_common.clock import utc_now

pytestmark = pytest.mark.engines

LONG_AGO = timedelta(days=400)


async def sums(analytics: Analytics) -> list[int]:
    return list((await analytics.clickhouse.query("SELECT sumForEach(measures) FROM usage_hours")).result_rows[0][0])


async def test_reports_are_the_same_before_amid_and_after(analytics: Analytics) -> None:
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    sent = traffic(seed=21, requests=200, accounts=["acc-a", "acc-d"])
    start, end = utc_now() - timedelta(days=4), utc_now() + timedelta(minutes=1)
    parameters = {
        "start": start.isoformat(),
        "end": end.isoformat(),
        "group_by": "model,api_key",
        "granularity": "day",
    }

    async def is_right(so_far: int) -> None:
        await analytics.until_rows(so_far)
        answer = (await analytics.http.get("/v1/usage", params=parameters, headers=headers)).json()
        assert groups_of(answer) == recount(sent[:so_far], "acc-a", start=start, end=end, granularity="day")

    half = len(sent) // 2
    await analytics.send(sent[:half])
    await is_right(half)
    await roll_up_all(analytics)
    await is_right(half)
    # Events of long past hours come late, as from a spool: their hours have been rolled up, they have not.
    await analytics.send(sent[half:])
    await is_right(len(sent))
    await roll_up_all(analytics)
    await is_right(len(sent))


async def test_two_who_roll_up_at_once_count_once(analytics: Analytics) -> None:
    sent = traffic(seed=22, requests=100, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    since = await find_rolled_up_until(analytics.clickhouse)
    found = await analytics.clickhouse.query("SELECT max(insert_by) FROM request_events")
    newest: datetime = found.result_rows[0][0].replace(tzinfo=UTC)
    ends = [newest + timedelta(milliseconds=number) for number in (1, 2, 3)]

    await asyncio.gather(*(insert_sums(analytics.clickhouse, since, end) for end in ends))

    requests = await analytics.scalar("SELECT count() FROM request_events WHERE kind = 'closed'")
    assert (await sums(analytics))[0] == requests
    assert await analytics.scalar("SELECT uniqExact(until) FROM usage_hours") == 1


async def test_a_first_try_that_lands_late_is_dropped(analytics: Analytics) -> None:
    sent = traffic(seed=23, requests=50, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    until = await roll_up_all(analytics)
    before = await sums(analytics)

    # Another block than the first, in the same partition: the engine compares the token, not the rows.
    await analytics.clickhouse.command(
        SQL["roll_up"],
        parameters={"since_ms": 0, "until_ms": milliseconds(until) + 1},
        settings=SINGLE_PART_SETTINGS | {"insert_deduplication_token": "usage_hours:0"},
    )

    assert await sums(analytics) == before


async def test_a_token_that_was_noted_and_lost_is_not_the_end(analytics: Analytics) -> None:
    """As when the engine dies between noting a token and storing its part."""
    sent = traffic(seed=24, requests=50, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    await roll_up_all(analytics)
    before = await sums(analytics)
    # Parts that go away leave their tokens noted.
    await analytics.clickhouse.command("ALTER TABLE usage_hours DETACH PARTITION ALL")
    assert await find_rolled_up_until(analytics.clickhouse) == datetime.fromtimestamp(0, UTC)

    await roll_up_all(analytics)

    assert await sums(analytics) == before


async def test_what_a_report_reads_of_sums_ends_where_they_say(analytics: Analytics) -> None:
    """A roll-up that lands while a statement is planned is seen by all of it or by none."""
    add = "INSERT INTO usage_hours (account_id, hour, until, measures) SELECT 'acc-a', 0, {until:UInt32}, [1]"
    await analytics.clickhouse.command(add, parameters={"until": 1})
    slow = (
        "SELECT max(until), (SELECT max(until) FROM usage_hours) "
        "FROM (SELECT until FROM usage_hours WHERE (SELECT sleep(1)) = 0)"
    )
    asked = asyncio.create_task(analytics.clickhouse.query(slow, settings=dict(LIMITS)))
    await asyncio.sleep(0.3)
    await analytics.clickhouse.command(add, parameters={"until": 2})

    ((read, told),) = (await asked).result_rows

    assert read == told


async def test_only_what_has_settled_is_rolled_up(analytics: Analytics) -> None:
    sent = traffic(seed=25, requests=50, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))

    assert not await roll_up(analytics.clickhouse)
    assert await sums(analytics) == []

    # As if two hours had passed.
    assert await roll_up(analytics.clickhouse, settled_after=timedelta(hours=-2))
    progress = await find_progress(analytics.clickhouse)
    # In the last hours of a month it ends with the month instead of at a cutoff.
    assert progress.rolled_up in {last_cutoff(progress.rolled_up), _month_end(utc_now())}
    assert progress.rolled_up > progress.now
    assert not await roll_up(analytics.clickhouse, settled_after=timedelta(hours=-2))


async def test_the_reconciler_is_told_of_sums_that_are_wrong(analytics: Analytics) -> None:
    sent = traffic(seed=26, requests=50, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    until = await roll_up_all(analytics)
    books = RequestReconciliationSource(analytics.clickhouse, analytics.brokers, analytics.prefix, "group")
    assert await books.drifts(utc_now() - LONG_AGO) == []

    amount = MEASURES.index("amount_nano") + 1
    await analytics.clickhouse.command(
        "INSERT INTO usage_hours (account_id, hour, until, measures) "
        "SELECT 'acc-a', now(), {until:DateTime64(3)}, arrayMap(n -> n = {amount:UInt8} ? 7 : 0, range(1, 28))",
        parameters={"until": until, "amount": amount},
    )

    (drift,) = await books.drifts(utc_now() - LONG_AGO)
    assert drift.what == "amount_nano of usage_hours"
    assert drift.stored - drift.rows == 7


def test_roll_ups_end_where_an_hour_has_settled() -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    cut = noon + timedelta(minutes=2, seconds=30)
    assert last_cutoff(noon) == cut - timedelta(hours=1)
    assert last_cutoff(cut) == last_cutoff(cut + timedelta(minutes=59)) == cut
    assert Progress(cut, None, noon).first is None


MONTHS_APART = [
    datetime(2026, 11, 30, 22, 30, tzinfo=UTC),
    datetime(2026, 11, 30, 23, 59, 59, 998_000, tzinfo=UTC),
    datetime(2026, 11, 30, 23, 59, 59, 999_000, tzinfo=UTC),
    datetime(2026, 12, 31, 12, tzinfo=UTC),
    datetime(2028, 2, 1, tzinfo=UTC),
]


@pytest.mark.parametrize("first", MONTHS_APART)
def test_all_ends_of_a_roll_up_lie_in_one_partition(first: datetime) -> None:
    """Tokens are remembered by partition, which is the month of a roll-up's end: two ends in two months count twice."""
    earliest, latest = first + timedelta(milliseconds=1), _month_end(first)
    assert earliest <= latest
    assert (earliest.year, earliest.month) == (latest.year, latest.month)
    after = latest + timedelta(milliseconds=1)
    assert (after.year, after.month) != (latest.year, latest.month)
