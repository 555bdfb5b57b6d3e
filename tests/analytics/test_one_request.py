"""One request in full, and all of them as files."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from analytics.conftest import Analytics
from analytics.traffic import traffic
from tollgate_common.events import (
    ModelRecord,
    PlanRecord,
    PlanVersion,
    PriceVersion,
    RequestClosed,
    TokensUsed,
    encode,
)
from tollgate_common.ids import new_id
from tollgate_common.rating import Prices, Tier, rate
from tollgate_common.topics import Topic

pytestmark = pytest.mark.engines

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
UNITS = Prices(input=3, output=9, request_nano=5, images=7, audio_seconds=8, characters=9, searches=10)
PRICES = replace(UNITS, tiers=(Tier(20_000, replace(UNITS, input=6, request_nano=6)),))


async def test_a_request_tells_its_tokens_lines_and_attempts(analytics: Analytics) -> None:
    sent = traffic(seed=41, requests=25, accounts=["acc-a"], days=0.001)
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    used = {event.request.request_id: event for _, event in sent if isinstance(event, TokensUsed)}
    await know_prices(analytics, headers, next(id_ for id_, usage in used.items() if usage.tokens.total))
    for closed in (event for _, event in sent if isinstance(event, RequestClosed)):
        request_id = closed.request.request_id
        told = (await analytics.http.get("/v1/generation", params={"id": request_id}, headers=headers)).json()
        usage = used.get(request_id)
        assert (told["id"], told["state"], told["status"]) == (request_id, "closed", closed.status)
        assert told["cost_nano"] == (usage.amount_nano if usage else 0)
        quantities = {line["item"]: line["quantity"] for line in told["cost_lines"]}
        assert all(getattr(usage.tokens, item) == quantity for item, quantity in quantities.items() if usage)
        if usage:
            rated = rate(usage.tokens, PRICES)
            assert [line["price_nano"] for line in told["cost_lines"]] == [line.price for line in rated.lines]
            assert (told["request_nano"], told["tier_above_tokens"]) == (rated.request_nano, rated.tier_above_tokens)
            assert told["multiplier_bps"] == 9_000
        assert bool(quantities) == bool(usage and any(vars_of(usage)))
        failed = [attempt["target"] for attempt in told["attempts"] if not attempt["served"]]
        assert failed == [attempt.target for attempt in closed.failed_attempts]
        assert len(told["attempts"]) - len(failed) == (closed.outcome != "refused")


async def know_prices(analytics: Analytics, headers: dict[str, str], request_id: str) -> None:
    """Publish what the traffic names; until then, no price is told."""

    async def told() -> Any:
        return (await analytics.http.get("/v1/generation", params={"id": request_id}, headers=headers)).json()

    unknown = await told()
    assert {line["price_nano"] for line in unknown["cost_lines"]} == {None}
    assert (unknown["request_nano"], unknown["multiplier_bps"]) == (None, None)
    price = PriceVersion(price_version="p1", valid_from=LONG_AGO, prices=PRICES)
    plan = PlanVersion(plan_version="standard@1", valid_from=LONG_AGO, multiplier_bps=9_000)
    for key, record in {
        "model:gpt-4o": ModelRecord(model="gpt-4o", provider="openai", versions=(price,)),
        "plan:standard": PlanRecord(plan="standard", versions=(plan,)),
    }.items():
        topic = Topic.CATALOGUE.named(analytics.prefix)
        await analytics.producer.send_and_wait(topic, encode(record), key.encode())

    async def are_known() -> bool:
        known = await told()
        return None not in (known["request_nano"], known["multiplier_bps"])

    await analytics.until(are_known)


def vars_of(usage: TokensUsed) -> list[int]:
    return [getattr(usage.tokens, name) for name in usage.tokens.__struct_fields__]


async def test_what_is_no_request_of_the_caller_is_not_found(analytics: Analytics) -> None:
    sent = traffic(seed=42, requests=1, accounts=["acc-a"], days=0.001)
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, stranger = await analytics.add_key("acc-c", "acc-c-key-0", "stranger")
    theirs = next(event.request.request_id for _, event in sent if isinstance(event, RequestClosed))
    for request_id, status in ((theirs, 404), (new_id(), 404), ("x", 400)):
        answer = await analytics.http.get("/v1/generation", params={"id": request_id}, headers=stranger)
        assert (answer.status_code, answer.json()["field"]) == (status, "id")


async def test_a_file_has_every_request_once_in_each_format(analytics: Analytics) -> None:
    sent = traffic(seed=43, requests=120, accounts=["acc-a", "acc-d"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")

    async def download(**parameters: str) -> bytes:
        answer = await analytics.http.get("/v1/requests/export", params=parameters, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.content

    mine = [event for _, event in sent if getattr(getattr(event, "request", None), "account_id", "") == "acc-a"]
    ended = {event.request.request_id: event for event in mine if isinstance(event, RequestClosed)}
    expected = {
        request_id: sum(
            event.amount_nano
            for event in mine
            if isinstance(event, TokensUsed) and event.request.request_id == request_id
        )
        for request_id in ended
    }
    as_csv = list(csv.DictReader(io.StringIO((await download(format="csv")).decode())))
    as_lines = [json.loads(line) for line in (await download(format="jsonl")).splitlines()]
    for rows in (as_csv, as_lines):
        assert len(rows) == len(expected)
        assert {row["id"]: int(row["cost_nano"]) for row in rows} == expected
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
        assert {row["id"]: int(row["status"]) for row in rows} == {key: event.status for key, event in ended.items()}
    parquet = await download(format="parquet")
    await analytics.clickhouse.command("CREATE TABLE file (id String, cost_nano Int64) ENGINE = Memory")
    await analytics.clickhouse.raw_insert("file", insert_block=parquet, fmt="Parquet")
    stored = await analytics.clickhouse.query("SELECT id, cost_nano FROM file")
    assert {row[0]: row[1] for row in stored.result_rows} == expected
    refused = [json.loads(line) for line in (await download(format="jsonl", outcome="refused")).splitlines()]
    assert {row["id"] for row in refused} == {key for key, event in ended.items() if event.outcome == "refused"}


@pytest.mark.parametrize(
    ("parameters", "status", "field"),
    [
        ({"format": "xlsx"}, 400, "format"),
        ({"start": "2026-01-01T00:00:00Z"}, 400, "start"),
        ({"outcome": "fine"}, 400, "outcome"),
    ],
)
async def test_a_file_that_cannot_be_is_refused(
    analytics: Analytics, parameters: dict[str, Any], status: int, field: str
) -> None:
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    answer = await analytics.http.get("/v1/requests/export", params=parameters, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (status, field)


async def test_pages_go_on_into_the_months_before(analytics: Analytics) -> None:
    sent = traffic(seed=46, requests=12, accounts=["acc-a"], days=120)
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    closed = sorted(
        (event for _, event in sent if isinstance(event, RequestClosed)),
        key=lambda event: (event.at, event.request.request_id),
        reverse=True,
    )
    told: list[str] = []
    parameters = {"limit": "5"}
    while True:
        page = (await analytics.http.get("/v1/requests", params=parameters, headers=headers)).json()
        told += [request["id"] for request in page["data"]]
        if page["next_cursor"] is None:
            break
        parameters["cursor"] = page["next_cursor"]
    assert told == [event.request.request_id for event in closed]
