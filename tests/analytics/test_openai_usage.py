"""OpenAI's Usage and Costs API, asked with OpenAI's own SDK."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, omit

from analytics.conftest import Analytics
from analytics.traffic import SUMS, add_tokens, counted, traffic
from tollgate_analytics.query.openai_usage import REPORTS
from tollgate_common.clock import utc_now
from tollgate_common.events import RequestClosed, TokensUsed

pytestmark = pytest.mark.engines

DAY = timedelta(days=1)


def client(analytics: Analytics, headers: dict[str, str]) -> AsyncOpenAI:
    key = headers["Authorization"].removeprefix("Bearer ")
    # The SDK names another package's client, which this one is in all that it calls.
    http: Any = analytics.http
    return AsyncOpenAI(api_key=key, admin_api_key=key, base_url="http://analytics/v1", http_client=http, max_retries=0)


def start_of_day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


async def test_pages_of_completions_add_up_to_a_recount(analytics: Analytics) -> None:
    sent = traffic(seed=51, requests=200, accounts=["acc-a", "acc-d"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    start, end = start_of_day(utc_now()) - 4 * DAY, start_of_day(utc_now()) + DAY
    organization = client(analytics, headers).admin.organization

    buckets: list[Any] = []
    page: str | None = None
    while True:
        answer = await organization.usage.completions(
            start_time=int(start.timestamp()),
            end_time=int(end.timestamp()),
            group_by=["model", "api_key_id"],
            limit=2,
            page=page or omit,
        )
        assert len(answer.data) <= 2
        buckets.extend(answer.data)
        page = answer.next_page
        assert answer.has_more == (page is not None)
        if page is None:
            break

    assert [bucket.start_time for bucket in buckets] == [int((start + n * DAY).timestamp()) for n in range(5)]
    told = {
        (bucket.start_time, result.model, result.api_key_id): (
            result.num_model_requests,
            result.input_tokens,
            result.input_cached_tokens,
            result.output_tokens,
        )
        for bucket in buckets
        for result in bucket.results
    }
    expected: dict[Any, dict[str, int]] = {}
    for event in counted(sent, "acc-a", start, end):
        day = int(start_of_day(event.at.astimezone(UTC)).timestamp())
        group = expected.setdefault((day, event.request.model, event.request.key_id), dict.fromkeys(SUMS, 0))
        if isinstance(event, RequestClosed):
            group["requests"] += 1
        else:
            add_tokens(group, event.tokens)
    names = ("requests", "input_tokens", "cached_input_tokens", "output_tokens")
    assert told == {key: tuple(group[name] for name in names) for key, group in expected.items()}
    assert told


async def test_costs_are_exact_and_a_project_is_told_apart(analytics: Analytics) -> None:
    sent = traffic(seed=52, requests=60, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    start = start_of_day(utc_now()) - 4 * DAY
    parameters: dict[str, str | int] = {
        "start_time": int(start.timestamp()),
        "group_by[]": "project_id",
        "project_ids[]": "acc-a-project-1",
    }
    answer = await analytics.http.get("/v1/organization/costs", params=parameters, headers=headers)
    # The number as it stands in the answer, which a float might round.
    results = [r for bucket in httpx_json_exact(answer)["data"] for r in bucket["results"]]
    expected = sum(
        event.amount_nano
        for event in counted(sent, "acc-a", start, utc_now())
        if isinstance(event, TokensUsed) and event.request.project_id == "acc-a-project-1"
    )
    assert sum(result["amount"]["value"] for result in results) == Decimal(expected).scaleb(-9)
    assert {result["project_id"] for result in results} == {"acc-a-project-1"}


def httpx_json_exact(answer: httpx.Response) -> Any:
    return answer.json(parse_float=Decimal, parse_int=Decimal)


async def test_every_report_answers_the_sdk(analytics: Analytics) -> None:
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    usage = client(analytics, headers).admin.organization.usage
    start = int((utc_now() - 3 * DAY).timestamp())
    for path in REPORTS:
        report = getattr(usage, path.removeprefix("usage/"))
        answer = await report(start_time=start)
        assert answer.object == "page"
        assert [bucket.results for bucket in answer.data] == [[]] * 4


@pytest.mark.parametrize(
    ("parameters", "field", "says"),
    [
        ({}, "start_time", "seconds since 1970"),
        ({"start_time": "yesterday"}, "start_time", "seconds since 1970"),
        ({"start_time": "99999999999999999"}, "start_time", "seconds since 1970"),
        ({"start_time": "1793491200", "end_time": "1793404800"}, "start_time", "not before end_time"),
        ({"start_time": "1793491200", "bucket_width": "1w"}, "bucket_width", "allowed are 1d, 1h, 1m"),
        ({"start_time": "9" * 5_000}, "start_time", "seconds since 1970"),
        ({"start_time": "1_793_491_200"}, "start_time", "seconds since 1970"),
        ({"start_time": "1793491200", "limit": "32"}, "limit", "1 to 31"),
        ({"start_time": "1793491200", "limit": "9" * 5_000}, "limit", "1 to 31"),
        ({"start_time": "1793491200", "group_by": "colour"}, "group_by", "allowed are project_id"),
        ({"start_time": "1793491200", "page": "x"}, "page", "next_page of a response"),
        ({"start_time": "1793491200", "colour": "red"}, "colour", "unknown parameter"),
    ],
)
async def test_what_is_wrong_is_named(analytics: Analytics, parameters: dict[str, str], field: str, says: str) -> None:
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    answer = await analytics.http.get("/v1/organization/usage/completions", params=parameters, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["type"]) == (400, field, "invalid_request_error")
    assert says in error["message"]


async def test_the_sdk_reads_what_is_wrong(analytics: Analytics) -> None:
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    with pytest.raises(BadRequestError, match="1 to 31") as refused:
        await client(analytics, headers).admin.organization.usage.completions(start_time=1793491200, limit=32)
    assert (refused.value.param, refused.value.code) == ("limit", "invalid_parameter")


async def test_a_stranger_is_told_in_openais_words(analytics: Analytics) -> None:
    organization = client(analytics, {"Authorization": "Bearer sk-tg-nobody"}).admin.organization
    with pytest.raises(AuthenticationError) as refused:
        await organization.usage.costs(start_time=1793491200)
    assert refused.value.type == "invalid_request_error"
