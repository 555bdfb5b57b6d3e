"""Operators over HTTP: what they may do with prices, plans and quarantine, and what is refused and why."""

from typing import Any

import pytest

from billing.conftest import AS_OPERATOR, Billing

pytestmark = pytest.mark.engines

FAR, PAST = "2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
PRICE: dict[str, Any] = {"model": "gpt-4o", "provider": "openai", "prices": {"input": 5, "output": 6}}
PLAN: dict[str, Any] = {"plan": "silver", "multiplier_bps": 9_500}

# Path, body, the answer's status, code and field, and what its detail says among other things.
REFUSED: list[tuple[str, dict[str, Any], int, str, str, str]] = [
    ("/v1/prices", PRICE | {"valid_from": PAST}, 422, "valid_from_past", "valid_from", "is_correction"),
    ("/v1/prices", PRICE | {"is_correction": True}, 422, "valid_from_missing", "valid_from", "since when"),
    ("/v1/prices", PRICE | {"currency": "EUR"}, 422, "wrong_currency", "currency", "expected USD"),
    ("/v1/prices", PRICE | {"cost": {"input": -1, "output": 0}}, 422, "price_out_of_range", "cost.input", "-1"),
    ("/v1/prices", PRICE | {"cost": {"input": 1}}, 422, "price_missing", "cost.output", "price of output is missing"),
    (
        "/v1/prices",
        PRICE | {"prices": {"input": 1, "output": 1, "image": 1}},
        422,
        "unknown_token_class",
        "prices.image",
        "did you mean images",
    ),
    (
        "/v1/prices",
        PRICE | {"tiers": [{"above_tokens": 5, "prices": {"inputs": 1}}]},
        422,
        "unknown_token_class",
        "tiers.0.prices.inputs",
        "did you mean input",
    ),
    (
        "/v1/prices",
        PRICE | {"tiers": [{"above_tokens": bound, "prices": {}} for bound in (9, 9)]},
        422,
        "invalid_tiers",
        "tiers",
        "expected ascending bounds",
    ),
    ("/v1/price-imports", {"providers": ["opnai"]}, 422, "unknown_provider", "providers", "did you mean openai"),
    ("/v1/models/describe", {"model": "gpt-4oo"}, 404, "unknown_model", "model", "did you mean gpt-4o"),
    (
        "/v1/models/describe",
        {"model": "gpt-4o", "max_output_tokens": 0},
        422,
        "invalid_input",
        "max_output_tokens",
        "greater than or equal to 1",
    ),
    (
        "/v1/models/describe",
        {"model": "gpt-4o", "capabilities": ["a word"]},
        422,
        "invalid_input",
        "capabilities.0",
        "match",
    ),
    ("/v1/plans", PLAN | {"multiplier_bps": -1}, 422, "multiplier_out_of_range", "multiplier_bps", "0 (free)"),
    ("/v1/plans", PLAN | {"multiplier_bps": 100_001}, 422, "multiplier_out_of_range", "multiplier_bps", "100000"),
    ("/v1/plans", PLAN | {"multiplier_bps": 1.5}, 422, "invalid_input", "multiplier_bps", "integer"),
    ("/v1/plans", PLAN | {"plan": "Silver"}, 422, "invalid_plan", "plan", "must match"),
    ("/v1/plans", PLAN | {"plan": "standard"}, 409, "plan_exists", "plan", "schedule a version"),
    ("/v1/plans", PLAN | {"valid_from": PAST}, 422, "valid_from_past", "valid_from", "is past"),
    ("/v1/plans/standart/versions", {"multiplier_bps": 1}, 404, "plan_not_found", "plan", "did you mean standard"),
    ("/v1/plans/standard/versions", {"multiplier_bps": 10**6}, 422, "multiplier_out_of_range", "multiplier_bps", ""),
    ("/v1/plans/standard/retire", {}, 409, "plan_in_use", "plan", "new accounts"),
    ("/v1/quarantines", {"model": "gpt-4", "reason": " "}, 422, "invalid_input", "reason", "at least 3"),
    ("/v1/quarantines", {"model": "gpt-4oo", "reason": "why"}, 404, "unknown_model", "model", "did you mean gpt-4o"),
    ("/v1/quarantines/lift", {"model": "gpt-4o", "reason": "why"}, 409, "not_quarantined", "model", "is not"),
]


async def test_what_is_wrong_is_said(billing: Billing) -> None:
    for path, body, status, code, field, hint in REFUSED:
        answer = await billing.http.post(path, json=body, headers=AS_OPERATOR)
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field), (path, body)
        assert hint in problem["detail"], (path, body)


async def test_only_operators_are_let_in(billing: Billing) -> None:
    as_customer = await billing.add_key("acc-a")
    calls = [("POST", path, body) for path, body, *_ in REFUSED]
    calls += [("GET", path, {}) for path in ("/v1/price-versions", "/v1/plans", "/v1/quarantines")]
    for method, path, body in calls:
        answer = await billing.http.request(method, path, json=body, headers=as_customer)
        assert answer.status_code == 401, path


async def test_what_a_model_can_is_told_to_everyone(billing: Billing) -> None:
    before = await billing.model("gpt-4o-mini")
    for metadata in ({"max_output_tokens": 16_384, "capabilities": ["tools", "vision"]}, {"context_tokens": 100_000}):
        body = {"model": "gpt-4o-mini", **metadata}
        answer = await billing.http.post("/v1/models/describe", json=body, headers=AS_OPERATOR)
        assert answer.status_code == 200, answer.text

    async def is_told() -> bool:
        return (await billing.model("gpt-4o-mini")).context_tokens == 100_000

    await billing.until(is_told)
    record = await billing.model("gpt-4o-mini")
    assert (record.context_tokens, record.max_output_tokens) == (100_000, 16_384)
    assert record.capabilities == ("tools", "vision")
    assert record.versions == before.versions
    (listed,) = (await billing.http.get("/v1/prices", params={"model": "gpt-4o-mini"})).json()["data"]
    assert (listed["max_output_tokens"], listed["capabilities"]) == (16_384, ["tools", "vision"])


async def test_history_costs_and_corrections_over_http(billing: Billing) -> None:
    scheduled = PRICE | {"valid_from": FAR, "cost": {"input": 1, "output": 2}}
    first = await billing.http.post("/v1/prices", json=scheduled, headers=AS_OPERATOR)
    assert first.status_code == 201, first.text
    assert first.json()["cost"] == {"input": 1, "output": 2, "request_nano": 0}
    again = await billing.http.post("/v1/prices", json=scheduled, headers=AS_OPERATOR)
    assert (again.status_code, again.json()["code"]) == (409, "valid_from_taken")
    correction = scheduled | {"is_correction": True, "prices": {"input": 7, "output": 8}}
    second = await billing.http.post("/v1/prices", json=correction, headers=AS_OPERATOR)
    assert second.status_code == 201, second.text
    for as_of, price in ((first.json()["recorded_at"], 5), (second.json()["recorded_at"], 7)):
        query = {"model": "gpt-4o", "at": FAR, "as_of": as_of}
        found = (await billing.http.get("/v1/price-versions", params=query, headers=AS_OPERATOR)).json()
        assert [version["prices"]["input"] for version in found["data"][0]["versions"]] == [price]
    everything = (await billing.http.get("/v1/price-versions", params={"model": "gpt-4o"}, headers=AS_OPERATOR)).json()
    assert [version["is_correction"] for version in everything["data"][0]["versions"]] == [False, False, True]
    # What the provider asks is the operator's business.
    public = (await billing.http.get("/v1/prices", params={"model": "gpt-4o"})).text
    assert "cost" not in public


async def test_an_import_and_plans_over_http(billing: Billing) -> None:
    for dry_run in (True, False):
        answer = await billing.http.post("/v1/price-imports", json={"dry_run": dry_run}, headers=AS_OPERATOR)
        result = answer.json()
        assert (answer.status_code, result["dry_run"], result["added"]) == (200, dry_run, []), answer.text
        assert "gpt-4o" in result["unchanged"]
    dry = {"dry_run": True, "providers": ["anthropic"]}
    told = (await billing.http.post("/v1/price-imports", json=dry, headers=AS_OPERATOR)).json()
    claude = next(change for change in told["added"] if change["model"] == "claude-sonnet-4-5")
    assert claude["before"] is None
    assert claude["version"]["tiers"][0]["above_tokens"] == 200_000
    for path, body in (
        ("/v1/plans", PLAN),
        ("/v1/plans/silver/versions", {"multiplier_bps": 9_000, "valid_from": FAR}),
    ):
        answer = await billing.http.post(path, json=body, headers=AS_OPERATOR)
        assert answer.status_code == 201, answer.text
    retired = await billing.http.post("/v1/plans/silver/retire", json={"retired_at": FAR}, headers=AS_OPERATOR)
    assert (retired.status_code, retired.json()["retired_at"]) == (200, FAR)
    plans = (await billing.http.get("/v1/plans", headers=AS_OPERATOR)).json()["data"]
    assert [(plan["plan"], len(plan["versions"])) for plan in plans] == [("silver", 2), ("standard", 1)]


async def test_an_operator_quarantines_a_model_and_lifts_it(billing: Billing) -> None:
    wanted = {"model": "gpt-4o-mini", "reason": "the provider changed it"}
    placed = await billing.http.post("/v1/quarantines", json=wanted, headers=AS_OPERATOR)
    assert placed.status_code == 201, placed.text
    [found] = placed.json()["data"]
    assert (found["model"], found["reason"], found["dead_letter"]) == (*wanted.values(), None)
    twice = await billing.http.post("/v1/quarantines", json=wanted, headers=AS_OPERATOR)
    assert (twice.status_code, twice.json()["code"]) == (409, "already_quarantined")

    async def is_known_as(reason: str) -> bool:
        return (await billing.model("gpt-4o-mini")).quarantined == reason

    await billing.until(lambda: is_known_as(wanted["reason"]))
    lifted = await billing.http.post("/v1/quarantines/lift", json=wanted, headers=AS_OPERATOR)
    assert (lifted.status_code, lifted.json()["data"]) == (200, [])
    await billing.until(lambda: is_known_as(""))
