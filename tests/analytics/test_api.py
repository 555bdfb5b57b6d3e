"""The API as a customer meets it: who may ask, pages of requests, freshness, and what a refusal looks like."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from analytics.conftest import Analytics
from analytics.traffic import traffic
from tollgate_common.auth import api_key as apikey
from tollgate_common.clock import utc_now
from tollgate_common.events import KeyRecord, RequestClosed, TokensUsed, encode
from tollgate_common.topics import Topic

pytestmark = pytest.mark.engines


async def test_nobody_gets_in_without_a_valid_key(analytics: Analytics) -> None:
    expired = apikey.generate()
    past = utc_now() - timedelta(seconds=1)
    record = KeyRecord(key_id="k", account_id="acc-a", name="old", plan="standard", expires_at=past)
    await analytics.publish_key(expired.hash, encode(record))
    for authorization, code in (
        (None, "missing_api_key"),
        ("", "missing_api_key"),
        ("Bearer", "missing_api_key"),
        ("Basic dGc6dGc=", "missing_api_key"),
        ("Bearer tg_nonsense", "invalid_api_key"),
        (f"Bearer {apikey.generate().text}", "invalid_api_key"),
        (f"Bearer {expired.text}", "invalid_api_key"),
    ):
        headers = {} if authorization is None else {"Authorization": authorization}
        for path in ("/v1/usage", "/v1/requests", "/v1/freshness"):
            answer = await analytics.http.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["code"] == code


async def test_a_refusal_names_the_field_and_what_is_allowed(analytics: Analytics) -> None:
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    for path, status, field, says in (
        ("/v1/usage?group_by=user", 400, "group_by", "allowed are model, api_key"),
        ("/v1/usage?granularity=second", 400, "granularity", "allowed are minute, hour, day"),
        ("/v1/usage?time_zone=Mars", 400, "time_zone", "Europe/Berlin"),
        ("/v1/usage?cursor=x", 400, "cursor", "next_cursor of a response"),
        ("/v1/usage?top=1000", 400, "top", "less than or equal to 100"),
        ("/v1/usage?compare=next", 400, "compare", "'previous'"),
        ("/v1/usage?start=yesterday", 400, "start", "expected one such as 2026-11-01T00:00:00Z"),
        ("/v1/usage?start=2026-11-01T00:00:00%2B00:00&end=2026-10-01T00:00:00Z", 400, "start", "not before the end"),
        ("/v1/usage?account_id=acc-b", 400, "account_id", "unknown parameter"),
        ("/v1/requests?limit=1000", 400, "limit", "less than or equal to 200"),
        ("/v1/requests?limit=many", 400, "limit", "valid integer"),
        ("/v1/generation", 400, "id", "Field required"),
        ("/v1/freshness?of=usage", 400, "of", "allowed are none"),
        ("/v1/live?model=gpt-4o", 400, "model", "allowed are none"),
        ("/v1/requests?cursor=x", 400, "cursor", "next_cursor of a response"),
    ):
        answer = await analytics.http.get(path, headers=headers)
        problem = answer.json()
        assert (answer.status_code, problem["status"], problem["field"]) == (status, status, field)
        assert says in problem["detail"]


async def test_pages_hold_every_request_once_the_newest_first(analytics: Analytics) -> None:
    sent = traffic(seed=21, requests=60, accounts=["acc-a", "acc-d"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")

    entries: list[dict[str, Any]] = []
    parameters: dict[str, str] = {"limit": "7"}
    for _ in range(10):
        page = (await analytics.http.get("/v1/requests", params=parameters, headers=headers)).json()
        entries.extend(page["data"])
        if page["next_cursor"] is None:
            break
        assert len(page["data"]) == 7
        parameters["cursor"] = page["next_cursor"]

    closed = [message.event for message in sent if isinstance(message.event, RequestClosed)]
    mine = sorted((event for event in closed if event.request.account_id == "acc-a"), key=newest_first, reverse=True)
    assert [entry["id"] for entry in entries] == [event.request.request_id for event in mine]
    used = {event.request.request_id: event for _, event in sent if isinstance(event, TokensUsed)}
    for entry, event in zip(entries, mine, strict=True):
        check_entry(entry, event, used.get(event.request.request_id))


def newest_first(event: RequestClosed) -> tuple[datetime, str]:
    return event.at, event.request.request_id


def check_entry(entry: dict[str, Any], closed: RequestClosed, used: TokensUsed | None) -> None:
    assert datetime.fromisoformat(entry["time"]) == closed.at
    assert datetime.fromisoformat(entry["opened_at"]) == closed.opened_at
    for name in ("model", "provider", "endpoint", "stream"):
        assert entry[name] == getattr(closed.request, name)
    for name in ("status", "outcome", "latency_ms", "first_token_ms"):
        assert entry[name] == getattr(closed, name)
    assert entry["cost_nano"] == (used.amount_nano if used else 0)
    assert entry["total_tokens"] == (used.tokens.total if used else 0)
    known = {"name": "laptop"} if closed.request.key_id == "acc-a-key-0" else {}
    assert entry["api_key"] == {"id": closed.request.key_id} | known


async def test_a_cursor_of_another_account_is_refused(analytics: Analytics) -> None:
    sent = traffic(seed=22, requests=20, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, mine = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    _, stranger = await analytics.add_key("acc-c", "acc-c-key-0", "stranger")
    cursor = (await analytics.http.get("/v1/requests?limit=1", headers=mine)).json()["next_cursor"]
    answer = await analytics.http.get("/v1/requests", params={"cursor": cursor}, headers=stranger)
    assert (answer.status_code, answer.json()["field"]) == (400, "cursor")


async def test_freshness_tells_the_newest_events_and_the_lag(analytics: Analytics) -> None:
    sent = traffic(seed=23, requests=40, accounts=["acc-a", "acc-d"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-c", "acc-c-key-0", "laptop")

    async def caught_up() -> bool:
        lag = (await analytics.http.get("/v1/freshness", headers=headers)).json()["lag"]
        return {(part["topic"], part["partition"]) for part in lag if part["lag"] == 0} == {
            (topic.named(analytics.prefix), partition)
            for topic in (Topic.REQUESTS, Topic.USAGE)
            for partition in (0, 1)
        }

    await analytics.until(caught_up)
    newest = (await analytics.http.get("/v1/freshness", headers=headers)).json()["newest"]
    assert set(newest) == {"opened", "closed", "used", "heartbeat", "lease_closed", "void"}
    assert datetime.fromisoformat(newest["closed"]) == max(
        event.at for _, event in sent if isinstance(event, RequestClosed)
    )


async def test_a_store_that_does_not_answer_is_a_503_and_too_much_data_a_400(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = traffic(seed=24, requests=5, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")

    monkeypatch.setattr("tollgate_analytics.query.store.LIMITS", {"readonly": 1, "max_rows_to_read": 1})
    answer = await analytics.http.get("/v1/usage", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "query_too_large")

    await analytics.clickhouse.command("DROP TABLE request_events")
    answer = await analytics.http.get("/v1/usage", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_freshness_is_a_metric_too(analytics: Analytics) -> None:
    sent = traffic(seed=25, requests=20, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    closed = max(event.at for _, event in sent if isinstance(event, RequestClosed))

    async def told() -> bool:
        lines = (await analytics.http.get("/metrics")).text.splitlines()
        newest = [line for line in lines if line.startswith('tollgate_analytics_newest_event_seconds{kind="closed"}')]
        topic = Topic.REQUESTS.named(analytics.prefix)
        lags = [line for line in lines if line.startswith("tollgate_analytics_lag_events{") and topic in line]
        return [float(line.split()[-1]) for line in newest] == [closed.timestamp()] and {
            float(line.split()[-1]) for line in lags
        } == {0.0}

    await analytics.until(told)
