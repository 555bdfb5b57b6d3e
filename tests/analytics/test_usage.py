"""GET /v1/usage equals a recount of the events, whatever is asked for."""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from analytics.conftest import Analytics, roll_up_all
from analytics.traffic import MODELS, SUMS, Edge, groups_of, recount, seeded, traffic
from tollgate_analytics.query.dimensions import HOURLY_DIMENSIONS, Dimension
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.store import GroupSums, Store
from tollgate_analytics.query.usage_query import Granularity, TimeRange, UsageQuery
from tollgate_analytics.statements import SQL
from tollgate_common.clock import utc_now
from tollgate_common.events import Outcome
from tollgate_common.money import decimal_from_nano
from tollgate_common.statements import Statements

pytestmark = pytest.mark.engines

ACCOUNTS = ("acc-a", "acc-d")
EVERYTHING = timedelta(days=4)


def random_question(chance: random.Random, now: datetime) -> dict[str, Any]:
    start = now - timedelta(milliseconds=chance.randrange(1, 4 * 86_400_000))
    end = start + timedelta(milliseconds=chance.choice((1, 60_000, 3_600_000, 86_400_000)) * chance.randrange(1, 30))
    if chance.random() < 0.3:
        start, end = (moment.replace(minute=0, second=0, microsecond=0) for moment in (start, end + timedelta(hours=1)))
    return {
        "start": start,
        "end": end,
        "group_by": chance.sample(list(Dimension), chance.choice((1, 1, 2, 3, 6))),
        "granularity": chance.choice((None, "minute", "hour", "day", "week", "month")),
        "time_zone": chance.choice(("UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns")),
        "filters": {dimension: some_values(chance, dimension) for dimension in chance.sample(list(Dimension), 2)},
    }


def some_values(chance: random.Random, dimension: Dimension) -> list[str]:
    known = {
        Dimension.MODEL: MODELS,
        Dimension.API_KEY: [f"{account}-key-{number}" for account in ACCOUNTS for number in (0, 1)],
        Dimension.STREAM: ("true", "false"),
        Dimension.STATUS_CLASS: ("2xx", "4xx", "5xx"),
        Dimension.STATUS: ("200", "429", "502"),
        Dimension.OUTCOME: list(Outcome),
        Dimension.ERROR_CODE: ("", "rate_limit_exceeded"),
        Dimension.END_USER: ("", "user-1", "user-2"),
        Dimension.ENDPOINT: ("/v1/chat/completions",),
    }.get(dimension)
    return chance.sample(known, max(1, len(known) - 1)) if known else []


def as_parameters(question: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {
        "start": question["start"].isoformat(),
        "end": question["end"].isoformat(),
        "group_by": ",".join(question["group_by"]),
        "time_zone": question["time_zone"],
        **question["filters"],
    }
    return parameters | ({"granularity": question["granularity"]} if question["granularity"] else {})


async def test_numbers_equal_a_recount_of_the_events(analytics: Analytics) -> None:
    sent = traffic(seed=1, requests=800, accounts=ACCOUNTS)
    # Each edge sends some of its events again, as after an acknowledgement that was lost.
    await analytics.send(sent + seeded(2).sample(sent, 300))
    await analytics.until_rows(len(sent))
    headers = {account: (await analytics.add_key(account, f"{account}-key-0", "laptop"))[1] for account in ACCOUNTS}

    chance, now, with_data = seeded(3), utc_now(), 0
    for _ in range(24):
        account, question = chance.choice(ACCOUNTS), random_question(chance, now)
        if question["granularity"] == "minute":
            question["end"] = min(question["end"], question["start"] + timedelta(days=1))
        answer = await analytics.http.get("/v1/usage", params=as_parameters(question), headers=headers[account])
        assert answer.status_code == 200, answer.text
        group_by = answer.json()["group_by"]
        assert set(group_by) == set(question["group_by"])
        question |= {
            "group_by": group_by,
            "filters": {name: some for name, some in question["filters"].items() if some},
        }
        expected = recount(sent, account, **question)
        assert groups_of(answer.json(), group_by) == expected, question
        total = answer.json()["total"]
        assert {name: total[name] for name in SUMS} == {
            name: sum(group[name] for group in expected.values()) for name in SUMS
        }
        assert total["cost"] == decimal_from_nano(total["cost_nano"])
        with_data += bool(expected)
    assert with_data >= 8
    assert await analytics.scalar("SELECT count() FROM request_events") == len(sent)


async def test_measures_are_what_the_table_would_work_out(analytics: Analytics) -> None:
    sent = traffic(seed=10, requests=200, accounts=ACCOUNTS)
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    found = await analytics.clickhouse.query(
        "SELECT default_expression FROM system.columns "
        "WHERE database = currentDatabase() AND table = 'request_events' AND name = 'measures'"
    )
    wrong = f"SELECT count() FROM request_events WHERE measures != {found.result_rows[0][0]}"  # noqa: S608 - the DDL's own
    assert await analytics.scalar(wrong) == 0
    assert await analytics.scalar("SELECT countIf(notEmpty(measures)) FROM request_events") > 0


async def test_defaults_are_the_last_30_days_by_model_and_key(analytics: Analytics) -> None:
    sent = traffic(seed=4, requests=50, accounts=ACCOUNTS)
    old = list(Edge(seeded(5)).request("acc-a", "acc-a-key-0", utc_now() - timedelta(days=31)))
    await analytics.send(sent + old)
    await analytics.until_rows(len(sent) + len(old))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")

    answer = (await analytics.http.get("/v1/usage", headers=headers)).json()

    now = utc_now()
    assert groups_of(answer) == recount(sent, "acc-a", start=now - timedelta(days=5), end=now + timedelta(seconds=10))
    assert answer["group_by"] == ["model", "api_key"]
    assert answer["granularity"] is None
    start, end = (datetime.fromisoformat(answer[name]) for name in ("start", "end"))
    assert end - start == timedelta(days=30)
    assert all("time" not in row for row in answer["data"])


async def test_keys_have_names_until_they_are_revoked(analytics: Analytics) -> None:
    sent = traffic(seed=6, requests=20, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    revoked, other_headers = await analytics.add_key("acc-a", "acc-a-key-1", "old server")
    parameters = {"group_by": "api_key"}

    rows = (await analytics.http.get("/v1/usage", params=parameters, headers=headers)).json()["data"]
    assert {row["api_key"]["id"]: row["api_key"]["name"] for row in rows} == {
        "acc-a-key-0": "laptop",
        "acc-a-key-1": "old server",
    }
    assert all("model" not in row for row in rows)

    await analytics.publish_key(revoked, None)
    await analytics.until_status(401, "/v1/usage", other_headers)
    rows = (await analytics.http.get("/v1/usage", params=parameters, headers=headers)).json()["data"]
    assert {"id": "acc-a-key-1"} in [row["api_key"] for row in rows]


async def test_another_account_sees_nothing(analytics: Analytics) -> None:
    sent = traffic(seed=7, requests=30, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-c", "acc-c-key-0", "stranger")

    for parameters in ({}, {"api_key": "acc-a-key-0"}, {"model": MODELS[0]}, {"granularity": "hour"}):
        answer = (await analytics.http.get("/v1/usage", params=parameters, headers=headers)).json()
        assert answer["data"] == []
        assert answer["total"]["requests"] == answer["total"]["cost_nano"] == 0
    assert (await analytics.http.get("/v1/requests", headers=headers)).json() == {"data": [], "next_cursor": None}


async def test_whole_hours_outlive_their_rows(analytics: Analytics) -> None:
    sent = traffic(seed=8, requests=300, accounts=ACCOUNTS)
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    end = utc_now().replace(minute=0, second=0, microsecond=0)

    async def ask() -> list[list[GroupSums]]:
        questions = []
        for dimension in sorted(HOURLY_DIMENSIONS):
            values = some_values(seeded(9), dimension)
            filters = {dimension: values} if values else {}
            questions.append(UsageQuery(TimeRange(end - EVERYTHING, end), (dimension,), Granularity.DAY, filters))
        return [await Store(analytics.clickhouse).usage(Scope("acc-a"), query, limit=10_000) for query in questions]

    from_rows = await ask()
    await roll_up_all(analytics)
    await analytics.clickhouse.command("TRUNCATE TABLE request_events")

    assert await ask() == from_rows
    assert all(from_rows)


async def test_freshness_and_recovery_read_their_projections(analytics: Analytics) -> None:
    """On rows enough that the engine has a choice: on a handful it reads the table itself."""
    await analytics.clickhouse.command(
        "INSERT INTO request_events (topic, partition, offset, boot_id, seq, block_month, insert_by, kind, account_id) "
        "SELECT 'topic', number % 4, number, 'boot', intDiv(number, 4), 202611, now() + 60, 'opened', number % 97 "
        "FROM numbers(100_000)"
    )
    recovery = {"table": "request_events", "topic": "topic", "partition": 3, "before": 100_000, "floor": "b"}
    for sql, parameters, projection in (
        (SQL["newest"], {}, "newest"),
        (Statements("tollgate_common")["sink_boots"], recovery, "sequence"),
    ):
        explained = await analytics.clickhouse.query(f"EXPLAIN {sql}", parameters=parameters)
        assert f"({projection})" in str(explained.result_rows)
