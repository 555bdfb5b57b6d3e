"""What operators see equals a recount, and nobody else sees it."""

from collections import Counter
from collections.abc import Callable

import pytest

from analytics.conftest import OPERATOR_TOKEN, Analytics
from analytics.traffic import traffic
from tollgate_common.clock import utc_now
from tollgate_common.events import BalanceRecord, RequestClosed, TokensUsed, encode
from tollgate_common.topics import Topic

pytestmark = pytest.mark.engines

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


async def test_margins_equal_a_recount(analytics: Analytics) -> None:
    sent = traffic(seed=81, requests=80, accounts=["acc-a", "acc-d"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    used = [event for _, event in sent if isinstance(event, TokensUsed)]
    closed = [event for _, event in sent if isinstance(event, RequestClosed)]
    values: dict[str, Callable[[RequestClosed | TokensUsed], str]] = {
        "account": lambda event: event.request.account_id,
        "model": lambda event: event.request.model,
        "provider": lambda event: event.request.provider,
    }
    for group, value in values.items():
        answer = await analytics.http.get("/v1/operator/margins", params={"group_by": group}, headers=OPERATOR)
        told = {row["name"]: row for row in answer.json()["data"]}
        assert told.keys() == {value(event) for event in closed}
        for name, row in told.items():
            mine = [event for event in used if value(event) == name]
            ended = [event for event in closed if value(event) == name]
            known = [event for event in mine if event.provider_cost_nano is not None]
            cost = sum(event.provider_cost_nano or 0 for event in known)
            assert row["revenue_nano"] == sum(event.amount_nano for event in mine)
            assert row["provider_cost_nano"] == cost
            assert row["margin_nano"] == sum(event.amount_nano for event in known) - cost
            assert row["revenue_of_unknown_cost_nano"] == sum(e.amount_nano for e in mine if e not in known)
            assert (row["requests"], row["errors"]) == (len(ended), sum(event.status >= 400 for event in ended))
            assert row["attempts"] == sum(event.attempts for event in ended)


async def test_failed_attempts_are_counted_by_provider(analytics: Analytics) -> None:
    sent = traffic(seed=82, requests=40, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    rows = (await analytics.http.get("/v1/operator/failed-attempts", headers=OPERATOR)).json()
    failed = Counter(
        (attempt.provider, attempt.target, attempt.status)
        for _, event in sent
        if isinstance(event, RequestClosed)
        for attempt in event.failed_attempts
    )
    assert {(row["provider"], row["target"], row["status"]): row["failed"] for row in rows} == failed


async def test_who_runs_out_is_told_before(analytics: Analytics) -> None:
    sent = traffic(seed=83, requests=60, accounts=["acc-a", "acc-b", "acc-d"], days=0.2)
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    spent = Counter[str]()
    for _, event in sent:
        if isinstance(event, TokensUsed):
            spent[event.request.account_id] += event.amount_nano
    # Half a day's worth is left to one, years to another, and nothing is known of the third.
    for account_id, posted_nano in (("acc-a", spent["acc-a"] // 2), ("acc-b", spent["acc-b"] * 1000)):
        record = BalanceRecord(account_id=account_id, posted_nano=posted_nano, held_nano=0, version=1, at=utc_now())
        topic = Topic.BALANCES.named(analytics.prefix)
        await analytics.producer.send_and_wait(topic, encode(record), account_id.encode())

    async def told() -> bool:
        answer = await analytics.http.get("/v1/operator/running-out", headers=OPERATOR)
        return answer.status_code == 200 and [row["account_id"] for row in answer.json()] == ["acc-d", "acc-a"]

    await analytics.until(told)
    rows = (await analytics.http.get("/v1/operator/running-out", headers=OPERATOR)).json()
    assert {row["account_id"]: row["spent_nano"] for row in rows} == {name: spent[name] for name in ("acc-d", "acc-a")}
    assert 11 <= rows[1]["hours_left"] <= 13
    assert rows[0]["hours_left"] == 0


async def test_a_parameter_that_is_wrong_or_that_nobody_reads_is_named(analytics: Analytics) -> None:
    for question, field in (
        ("margins?by=model", "by"),
        ("margins?group_by=colour", "group_by"),
        ("failed-attempts?provider=openai", "provider"),
        ("running-out?within_hours=0", "within_hours"),
        ("running-out?limit=3", "limit"),
    ):
        answer = await analytics.http.get(f"/v1/operator/{question}", headers=OPERATOR)
        assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_only_operators_are_let_in(analytics: Analytics) -> None:
    _, customer = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    for path in ("margins", "failed-attempts", "running-out"):
        nobody: dict[str, str] = {}
        for headers in (nobody, customer):
            answer = await analytics.http.get(f"/v1/operator/{path}", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid_operator_token")
