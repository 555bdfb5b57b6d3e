"""What GET /v1/usage shows beside the sums: pages, the top groups, the period before, percentiles, narrow callers."""

import statistics
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest

from analytics.conftest import Analytics, roll_up_all
from analytics.traffic import SUMS, counted, groups_of, recount, traffic
from tollgate_common.clock import utc_now
from tollgate_common.events import KeyRecord, RequestClosed, UsageScope

pytestmark = pytest.mark.engines


async def ask(analytics: Analytics, headers: dict[str, str], **parameters: Any) -> dict[str, Any]:
    answer = await analytics.http.get("/v1/usage", params=parameters, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_pages_the_top_and_the_period_before_agree_with_a_recount(analytics: Analytics) -> None:
    sent = traffic(seed=91, requests=150, accounts=["acc-a", "acc-d"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    end = utc_now()
    start = end - timedelta(days=1, hours=7)
    shared = {"start": start.isoformat(), "end": end.isoformat(), "granularity": "day"}
    # The store keeps whole milliseconds, and so do the questions.
    start, end = (moment.replace(microsecond=moment.microsecond // 1000 * 1000) for moment in (start, end))
    expected = recount(sent, "acc-a", start=start, end=end, granularity="day")
    in_all = {name: sum(group[name] for group in expected.values()) for name in SUMS}

    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await ask(analytics, headers, **shared, limit=3, **cursor)
        assert {name: page["total"][name] for name in SUMS} == in_all
        pages.append(page)
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(pages) == -(-len(expected) // 3) > 2
    assert {key: sums for page in pages for key, sums in groups_of(page).items()} == expected

    compared = await ask(analytics, headers, **shared, group_by="model", compare="previous")
    before = recount(sent, "acc-a", start=start - (end - start), end=start, granularity="day", group_by=["model"])
    assert groups_of(compared["previous"], ["model"]) == before
    assert before

    top = await ask(analytics, headers, **shared, group_by="model,api_key", top=2)
    by_group: dict[tuple[str | None, ...], int] = defaultdict(int)
    for key, sums in expected.items():
        by_group[key[1:]] += sums["cost_nano"]
    dearest = set(sorted(by_group, key=lambda key: -by_group[key])[:2])
    named = [row for row in top["data"] if not row["other"]]
    assert {(row["model"], row["api_key"]["id"]) for row in named} == dearest
    others = [row for row in top["data"] if row["other"]]
    assert all("model" not in row for row in others)
    assert len({row["time"] for row in others}) == len(others)
    assert sum(row["cost_nano"] for row in top["data"]) == in_all["cost_nano"]
    assert sum(row["cost_nano"] for row in named) == sum(by_group[key] for key in dearest)


@pytest.mark.parametrize("group_by", [("model", "api_key"), ("model", "end_user")])
async def test_pages_tell_of_the_rows_that_the_first_one_found(analytics: Analytics, group_by: tuple[str, ...]) -> None:
    """More come between any two pages, into the same range and groups, and are rolled up, or not."""
    sent = traffic(seed=94, requests=200, accounts=["acc-a", "acc-d"])
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    shared = {"group_by": ",".join(group_by), "percentiles": "true", "limit": 3}
    step = len(sent) // 5
    await analytics.send(sent[:step])
    await analytics.until_rows(step)

    pages = [await ask(analytics, headers, **shared)]
    start, end = (datetime.fromisoformat(pages[0][name]) for name in ("start", "end"))
    while pages[-1]["next_cursor"] is not None:
        there = min(step * (len(pages) + 1), len(sent))
        await analytics.send(sent[step * len(pages) : there])
        await analytics.until_rows(there)
        if len(pages) % 2:
            await roll_up_all(analytics)
        pages.append(await ask(analytics, headers, **shared, cursor=pages[-1]["next_cursor"]))

    expected = recount(sent[:step], "acc-a", start=start, end=end, group_by=group_by)
    found = [(key, sums) for page in pages for key, sums in groups_of(page, group_by).items()]
    assert len(found) == len(expected) > 6
    assert dict(found) == expected
    costs = [sums["cost_nano"] for _, sums in found]
    assert costs == sorted(costs, reverse=True)
    in_all = {name: sum(group[name] for group in expected.values()) for name in SUMS}
    assert [{name: page["total"][name] for name in SUMS} for page in pages] == [in_all] * len(pages)
    for page in pages:
        assert all(("latency_ms" in row) is (row["requests"] > 0) for row in page["data"])

    # Nobody who begins anew is kept from what has come.
    anew = await ask(analytics, headers, group_by=shared["group_by"], start=pages[0]["start"], end=pages[0]["end"])
    assert groups_of(anew, group_by) == recount(sent[:there], "acc-a", start=start, end=end, group_by=group_by)


async def test_pages_outlive_sums_that_are_thrown_away(analytics: Analytics) -> None:
    sent = traffic(seed=95, requests=60, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    await roll_up_all(analytics)
    first = await ask(analytics, headers, limit=3)
    await analytics.clickhouse.command("TRUNCATE TABLE usage_hours")
    rest = await ask(analytics, headers, limit=100, cursor=first["next_cursor"])
    start, end = (datetime.fromisoformat(first[name]) for name in ("start", "end"))
    assert groups_of(first) | groups_of(rest) == recount(sent, "acc-a", start=start, end=end)


async def test_percentiles_are_those_of_the_single_requests(analytics: Analytics) -> None:
    sent = traffic(seed=92, requests=300, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    answer = await ask(analytics, headers, group_by="stream", percentiles="true")
    closed = [
        e
        for e in counted(sent, "acc-a", datetime.min.replace(tzinfo=utc_now().tzinfo), utc_now())
        if isinstance(e, RequestClosed)
    ]
    assert len(answer["data"]) == 2
    for row in answer["data"]:
        mine = [event for event in closed if event.request.stream is row["stream"]]
        for name in ("latency_ms", "first_token_ms"):
            values = [value for event in mine if (value := getattr(event, name)) is not None]
            cuts = statistics.quantiles(values, n=100, method="inclusive")
            for percentile in (50, 90, 95, 99):
                # A sketch: within a twentieth of the range, on a hundred values.
                assert row[name][f"p{percentile}"] == pytest.approx(cuts[percentile - 1], abs=250)
        assert row["mean_latency_ms"] == pytest.approx(statistics.mean(event.latency_ms for event in mine), abs=0.001)


async def test_a_narrow_key_sees_its_own_and_its_project(analytics: Analytics) -> None:
    sent = traffic(seed=93, requests=60, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    for scope, project_id, filters in (
        (UsageScope.KEY, "acc-a-project-1", {"api_key": ["acc-a-key-1"]}),
        (UsageScope.PROJECT, "acc-a-project-0", {"project": ["acc-a-project-0"]}),
    ):
        record = KeyRecord(
            key_id="acc-a-key-1",
            account_id="acc-a",
            name="n",
            plan="standard",
            project_id=project_id,
            usage_scope=scope,
        )
        headers = await analytics.add_record(record)
        now = utc_now()
        expected = recount(sent, "acc-a", start=now - timedelta(days=9), end=now + timedelta(1), filters=filters)
        assert groups_of(await ask(analytics, headers)) == expected
        assert groups_of(await ask(analytics, headers, api_key="acc-a-key-0")) == {
            key: sums for key, sums in expected.items() if key[2] == "acc-a-key-0"
        }
