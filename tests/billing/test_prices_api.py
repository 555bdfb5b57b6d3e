"""GET and POST /v1/prices: who may, and what is refused and why."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from billing.conftest import AS_OPERATOR, OPERATOR_TOKEN, Billing
from tollgate_billing.app import build_app
from tollgate_billing.charges.store import Charges
from tollgate_common.clock import utc_now
from tollgate_common.postgres import connection as postgres

pytestmark = pytest.mark.engines

TOMORROW = "2099-01-01T00:00:00Z"
GOOD: dict[str, Any] = {"model": "gpt-4o", "provider": "openai", "prices": {"input": 5, "output": 6}}


async def test_a_price_is_set_scheduled_and_listed(billing: Billing) -> None:
    before = utc_now()
    now = await billing.http.post("/v1/prices", json=GOOD, headers=AS_OPERATOR)
    assert now.status_code == 201, now.text
    body = now.json()
    assert body["source"] == "operator"
    assert body["prices"] == {"input": 5, "output": 6, "request_nano": 0}
    assert before <= datetime.fromisoformat(body["valid_from"]) <= utc_now()
    wanted = GOOD | {"valid_from": "2099-01-01T02:00:00+02:00", "prices": {"input": 1, "output": 2, "reasoning": 3}}
    later = await billing.http.post("/v1/prices", json=wanted, headers=AS_OPERATOR)
    assert later.status_code == 201, later.text
    assert later.json()["price_version"] == "gpt-4o@2099-01-01.1"
    assert later.json()["valid_from"] == TOMORROW
    listed = (await billing.http.get("/v1/prices", params={"model": "gpt-4o"})).json()["data"]
    assert [model["model"] for model in listed] == ["gpt-4o"]
    assert [version["price_version"] for version in listed[0]["versions"]][1:] == [
        body["price_version"],
        later.json()["price_version"],
    ]
    everything = (await billing.http.get("/v1/prices")).json()["data"]
    assert len(everything) > 50


async def test_a_new_model_of_a_new_provider_is_taken_if_it_is_meant(billing: Billing) -> None:
    new = GOOD | {"model": "our-llama", "provider": "our-gpus", "context_tokens": 8_192}
    meant = new | {"is_new_model": True, "is_new_provider": True}
    assert (await billing.http.post("/v1/prices", json=meant, headers=AS_OPERATOR)).status_code == 201
    record = await billing.model("our-llama")
    assert (record.provider, record.context_tokens) == ("our-gpus", 8_192)


# What is sent instead of `GOOD`; the answer's status, code and field, and what its detail says among other things.
REFUSED: list[tuple[dict[str, Any], int, str, str, str]] = [
    ({"prices": {"input": -1, "output": 0}}, 422, "price_out_of_range", "prices.input", "the price of input is -1"),
    ({"prices": {"input": 1 << 63, "output": 0}}, 422, "price_out_of_range", "prices.input", "nano-units"),
    ({"prices": {"input": 1}}, 422, "price_missing", "prices.output", "price of output is missing"),
    ({"prices": {"input": 1, "ouput": 2}}, 422, "unknown_token_class", "prices.ouput", "did you mean output"),
    ({"prices": {"input": 0.5, "output": 2}}, 422, "invalid_input", "prices.input", "integer"),
    ({"prices": {"input": "5", "output": 2}}, 422, "invalid_input", "prices.input", "integer"),
    ({"prices": {"input": True, "output": 2}}, 422, "invalid_input", "prices.input", "integer"),
    ({"model": "gpt-4o-mni"}, 422, "unknown_model", "model", "did you mean gpt-4o-mini"),
    ({"model": "gpt 4", "is_new_model": True}, 422, "invalid_model", "model", "must match"),
    ({"model": "new", "provider": "opnai"}, 422, "unknown_provider", "provider", "did you mean openai"),
    ({"model": "new", "provider": "Ours", "is_new_provider": True}, 422, "invalid_provider", "provider", "must"),
    ({"provider": "azure"}, 409, "wrong_provider", "provider", "gpt-4o is provided by openai, not by azure"),
    ({"valid_from": "2020-01-01T00:00:00Z"}, 422, "valid_from_past", "valid_from", "is past"),
    ({"valid_from": "2099-01-01T00:00:00"}, 422, "invalid_input", "valid_from", "timezone"),
    ({"valid_from": "tomorrow"}, 422, "invalid_input", "valid_from", "datetime"),
    ({"vaild_from": TOMORROW}, 422, "invalid_input", "vaild_from", "not permitted"),
    ({"context_tokens": 0}, 422, "invalid_input", "context_tokens", "greater than or equal to 1"),
]


async def test_what_is_wrong_is_said(billing: Billing) -> None:
    for changes, status, code, field, hint in REFUSED:
        answer = await billing.http.post("/v1/prices", json=GOOD | changes, headers=AS_OPERATOR)
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field)
        assert hint in problem["detail"]
        assert answer.headers["content-type"] == "application/problem+json"


async def test_two_versions_cannot_begin_at_once(billing: Billing) -> None:
    wanted = GOOD | {"valid_from": TOMORROW}
    first, second = [await billing.http.post("/v1/prices", json=wanted, headers=AS_OPERATOR) for _ in range(2)]
    assert first.status_code == 201
    assert (second.status_code, second.json()["code"]) == (409, "valid_from_taken")
    assert first.json()["price_version"] in second.json()["detail"]


async def test_a_clock_that_is_a_little_behind_is_forgiven(billing: Billing) -> None:
    a_moment_ago = (datetime.now(UTC) - timedelta(seconds=20)).isoformat()
    answer = await billing.http.post("/v1/prices", json=GOOD | {"valid_from": a_moment_ago}, headers=AS_OPERATOR)
    assert answer.status_code == 201, answer.text


async def test_only_an_operator_sets_prices(billing: Billing) -> None:
    for token in ("", "wrong", OPERATOR_TOKEN + "x", "é"):
        headers = {b"Authorization": f"Bearer {token}".encode()}
        answer = await billing.http.post("/v1/prices", json=GOOD, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_operator_token")
    as_customer = await billing.add_key("acc-a")
    assert (await billing.http.post("/v1/prices", json=GOOD, headers=as_customer)).status_code == 401


async def test_without_a_secret_nobody_is_an_operator(billing: Billing) -> None:
    app = build_app(billing.pool, Charges(billing.clickhouse), billing.keys, None, lambda: None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://billing") as http:
        answer = await http.post("/v1/prices", json=GOOD, headers={"Authorization": "Bearer "})
    assert (answer.status_code, answer.json()["code"]) == (403, "operator_api_disabled")


async def test_an_unknown_model_has_no_price(billing: Billing) -> None:
    answer = await billing.http.get("/v1/prices", params={"model": "gpt-4o-mni"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
    assert "did you mean gpt-4o-mini" in answer.json()["detail"]


async def test_a_store_that_is_away_is_no_fault_of_the_caller(billing: Billing, postgres_dsn: str) -> None:
    headers = await billing.add_key("acc-a")
    async with await postgres.connect(postgres_dsn) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    answers = [await billing.http.get("/v1/prices")]
    await billing.clickhouse.command("DROP TABLE charges")
    answers.append(await billing.http.get("/v1/charges", headers=headers))
    for answer in answers:
        assert (answer.status_code, answer.json().get("code")) == (503, "store_unavailable")
    assert (await billing.http.get("/v1/prices")).status_code == 200
