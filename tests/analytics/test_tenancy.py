"""Another account sees nothing: each statement and each route is found by itself, so that none can be forgotten."""

import re
from importlib.resources import files
from typing import Any

import pytest

from analytics.conftest import Analytics
from analytics.traffic import traffic
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.parameters import MAX_DIMENSIONS
from tollgate_analytics.query.sql_template import statement
from tollgate_common.events import KeyRecord, RequestClosed, UsageScope

TEXTS = {
    file.name.removesuffix(".sql"): file.read_text()
    for file in (files("tollgate_analytics") / "sql").iterdir()
    if file.name.endswith(".sql")
}
# Statements about the deployment, each with who may run it. Whoever adds one here says so.
OF_NO_ACCOUNT = {
    "newest": "any customer: it tells times, of the table as a whole",
    "heartbeats": "the reconciler",
    "unclosed": "the reconciler",
    "reconciliation_hours": "the reconciler",
    "reconciliation_rows": "the reconciler",
    "roll_up": "the roll-up",
    "roll_up_count": "the roll-up",
    "roll_up_state": "the roll-up",
    "rolled_up": "the roll-up",
    "retention_floor": "any customer: it tells times, of the table as a whole",
    **dict.fromkeys(
        (
            "days_of_hours",
            "digest_days",
            "digest_hours",
            "digest_rows",
            "drop_rows",
            "expire",
            "expired",
            "remaining_hours",
            "partitions",
            "replace_hours",
            "staging_create",
            "staging_drop",
            "staging_leftovers",
        ),
        "the retention",
    ),
    "operator_margin": "operators",
    "operator_attempts": "operators",
    "operator_burn": "operators",
}
OF_AN_ACCOUNT = sorted(TEXTS.keys() - OF_NO_ACCOUNT.keys())

SLOTS = range(1, MAX_DIMENSIONS + 1)
PARAMETERS: dict[str, Any] = {
    "start_ms": 0,
    "end_ms": 4_000_000_000_000,
    "from_ms": 0,
    "to_ms": 4_000_000_000_000,
    "before_ms": 4_000_000_000_000,
    "before_id": "z",
    "classes": [1, 2, 3, 4, 5],
    "granularity": "day",
    "time_zone": "UTC",
    "top_groups": [],
    "limit": 100,
    "offset": 0,
    "rolled_up_ms": 0,
    "closed_end": 1 << 62,
    "used_end": 1 << 62,
    "whole_start_ms": 0,
    "whole_end_ms": 4_000_000_000_000,
    "only_key": "",
    "only_project": "",
    **{f"group_{slot}": "nothing" for slot in SLOTS},
    **{f"filter_{slot}": "endpoint" for slot in SLOTS},
    **{f"values_{slot}": ["/v1/chat/completions"] for slot in SLOTS},
}


@pytest.mark.parametrize("name", OF_AN_ACCOUNT)
def test_each_reading_of_the_table_is_bound_to_an_account_and_its_scope(name: str) -> None:
    text = re.sub(r"--[^\n]*", "", TEXTS[name])
    text = text.replace("(SELECT max(until) FROM usage_hours)", "")
    readings = re.split(r"\bFROM (?:request_events|usage_hours)\b", text)[1:]
    assert readings
    for reading in readings:
        bound = " ".join(reading.split())
        assert bound.startswith(
            "WHERE account_id = {account_id:String} "
            "AND ({only_key:String} = '' OR key_id = {only_key:String}) "
            "AND ({only_project:String} = '' OR project_id = {only_project:String})"
        )


@pytest.mark.engines
async def test_each_statement_sees_what_the_caller_may_and_nothing_else(analytics: Analytics) -> None:
    sent = traffic(seed=71, requests=40, accounts=["acc-a"])
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    closed = next(event for _, event in sent if isinstance(event, RequestClosed) and event.outcome != "refused")
    known = {"request_id": closed.request.request_id, "request_ids": [closed.request.request_id]}
    mine = {"only_key": closed.request.key_id, "only_project": closed.request.project_id}

    async def rows(name: str, account_id: str, scope: dict[str, str]) -> int:
        parameters = PARAMETERS | known | {"account_id": account_id} | scope
        text = statement(name, parameters)
        asked = set(re.findall(r"\{(\w+):", text))
        assert asked <= parameters.keys(), "give the new parameter a value that shows everything"
        result = await analytics.clickhouse.query(text, parameters={key: parameters[key] for key in asked})
        return len(result.result_rows)

    for name in OF_AN_ACCOUNT:
        assert await rows(name, "acc-a", {}) > 0, (
            f"{name} shows the owner nothing, so that the rest would prove nothing"
        )
        assert await rows(name, "acc-a", mine) > 0
        assert await rows(name, "acc-c", {}) == 0
        assert await rows(name, "", {}) == 0
        assert await rows(name, "acc-a", {"only_key": "another"}) == 0
        assert await rows(name, "acc-a", {"only_project": "another"}) == 0


WITH_PARAMETERS: dict[str, dict[str, str]] = {
    "/v1/usage": {"group_by": ",".join(list(Dimension)[:MAX_DIMENSIONS])},
    "/v1/requests/export": {"format": "jsonl"},
}
NO_QUESTION = {"/v1/live", "/healthz", "/readyz", "/metrics"}


@pytest.mark.engines
async def test_no_route_shows_a_stranger_anything_of_another(analytics: Analytics) -> None:
    sent = traffic(seed=72, requests=30, accounts=["acc-a"], days=0.001)
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    closed = [event for _, event in sent if isinstance(event, RequestClosed)]
    secrets = {"acc-a", *(event.request.request_id for event in closed), *(event.request.key_id for event in closed)}
    _, owner = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    _, stranger = await analytics.add_key("acc-c", "acc-c-key-0", "stranger")
    narrow_key = KeyRecord(
        key_id="acc-a-key-9", account_id="acc-a", name="n", plan="standard", usage_scope=UsageScope.KEY
    )
    narrow = await analytics.add_record(narrow_key)

    paths = [path for path in analytics.app.openapi()["paths"] if path.startswith("/v1/")]
    assert len(paths) > 10
    for path in sorted(set(paths) - NO_QUESTION):
        parameters = {**WITH_PARAMETERS.get(path, {})}
        if path.startswith("/v1/organization"):
            parameters = {"start_time": str(int(closed[0].at.timestamp()) - 400_000), "group_by": "api_key_id"}
        if path == "/v1/generation":
            parameters = {"id": closed[0].request.request_id}
        if path.startswith("/v1/operator/"):
            for headers in (stranger, narrow, owner):
                assert (await analytics.http.get(path, headers=headers)).status_code == 401
            continue
        hidden = secrets - set(parameters.values())
        for headers in (stranger, narrow):
            answer = await analytics.http.get(path, params=parameters, headers=headers)
            assert answer.status_code in {200, 404}, answer.text
            assert not [secret for secret in hidden if secret in answer.text.replace("acc-a-key-9", "")]
            assert '"cost_nano":1' not in answer.text.replace(" ", "")
        told = await analytics.http.get(path, params=parameters, headers=owner)
        assert told.status_code == 200
        shows_nothing = path == "/v1/freshness" or "organization/usage" in path
        assert shows_nothing or told.text != (await analytics.http.get(path, params=parameters, headers=stranger)).text
