"""Requests that are rejected before any store is used: this application's pool is never opened."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from accounts.answers import PASSWORD, RULES, assert_problem, parse_promo_code
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.readiness import Readiness
from tollgate_common.postgres import connection as postgres


@pytest.fixture
def app(passwords: Passwords) -> FastAPI:
    return build_app(postgres.create_pool("postgresql://unused"), passwords, lambda: None, rules=RULES)


@pytest.fixture
def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://accounts")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": PASSWORD}, "email"),
        ({"email": "ada", "password": PASSWORD}, "email"),
        ({"email": "Ada <ada@example.com>", "password": PASSWORD}, "email"),
        ({"email": "ada\x00@example.com", "password": PASSWORD}, "email"),
        ({"email": "ada@example.com"}, "password"),
        ({"email": "ada@example.com", "password": "too short"}, "password"),
        ({"email": "ada@example.com", "password": "x" * 1025}, "password"),
        ({"email": "ada@example.com", "password": 1234567890}, "password"),
        ({"email": "ada@example.com", "password": PASSWORD, "promo_code": "a b"}, "promo_code"),
        ({"email": "ada@example.com", "password": PASSWORD, "promocode": "WELCOME"}, "promocode"),
    ],
)
async def test_what_a_sign_up_refuses(client: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    problem = assert_problem(await client.post("/v1/accounts", json=body), 422, "invalid_input", field)
    assert PASSWORD not in str(problem)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (rb"{", "body"),
        (rb'"text"', "body"),
        (rb'{"email": "ada@example.com", "password": "\ud800 and nine more"}', "password"),
        (rb'{"email": "\ud800@example.com", "password": "correct horse battery staple"}', "email"),
    ],
)
async def test_what_is_no_json_or_no_unicode(client: httpx.AsyncClient, body: bytes, field: str) -> None:
    answer = await client.post("/v1/accounts", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "invalid_input", field)


async def test_a_body_in_no_known_encoding(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/sessions", content=b"\xff", headers={"Content-Type": "application/json"})
    assert_problem(answer, 400, "bad_request")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "session_required"),
        ({"Authorization": "Basic YWRhOnB3"}, 401, "session_required"),
        ({"Authorization": "Bearer tg_an-api-key"}, 401, "invalid_session"),
        # Only a session token requires a query.
        ({"Authorization": "Bearer tgs_unknown"}, 503, "store_unavailable"),
    ],
)
async def test_without_a_session(
    app: FastAPI, client: httpx.AsyncClient, headers: dict[str, str], status: int, code: str
) -> None:
    paths = app.openapi()["paths"]
    protected = [
        (method, path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if operation.get("security") and not path.startswith("/internal/")
    ]
    assert protected
    for method, path in protected:
        answer = await client.request(method, path.replace("{key_id}", "laptop"), headers=headers)
        assert_problem(answer, status, code)
        assert status != 401 or answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_database_that_does_not_answer(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/accounts", json={"email": "ada@example.com", "password": PASSWORD})
    assert_problem(answer, 503, "store_unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_readiness_begins_with_waiting() -> None:
    assert Readiness(postgres.create_pool("postgresql://unused"), "tollgate_accounts").waiting_for() == "the database"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a b", "--amount-usd", "10"], "'a b' is not a promo code"),
        (["WELCOME"], "--amount-usd"),
        (["WELCOME", "--amount-usd", "ten"], "'ten' is not an amount of money"),
        (["WELCOME", "--amount-usd", "0"], "$0 is not an allowed credit"),
        (["WELCOME", "--amount-usd", "1000001"], "at most $1000000.00"),
        (["WELCOME", "--amount-usd", "10", "--max-redemptions", "0"], "'0' is not a whole number from 1"),
        (["WELCOME", "--amount-usd", "10", "--ends-at", "2027-01-01"], "'2027-01-01' is not a time with a time zone"),
        (["WELCOME", "--amount-usd", "10", "--ends-at", "soon"], "'soon' is not a time with a time zone"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_promo_code(*arguments)
    assert message in capsys.readouterr().err
