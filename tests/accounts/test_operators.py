"""Operators: who is one, what they can find, and what they can change. The audit log records each change."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Header
from pydantic import SecretStr

from accounts.answers import OPERATOR_TOKEN, RULES, SignedUp, assert_problem
from accounts.mailbox import Mailbox
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.operators import command
from tollgate_accounts.operators.balance_client import BalanceClient
from tollgate_accounts.settings import AccountsSettings
from tollgate_common.errors import CommandError
from tollgate_common.events import CreditAdjusted, CreditGranted, decode_credit, decode_key
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Pool

pytestmark = pytest.mark.engines

Headers = dict[str, str]
USD = 1_000_000_000
SERVICE_TOKEN = "a-services-token"


def balance_service() -> FastAPI:
    """Responds like the balance service; tests/balance checks the real responses."""
    app = FastAPI()

    @app.get("/internal/v1/accounts/{account_id}/balance")
    async def balance(account_id: str, authorization: Annotated[str, Header()]) -> dict[str, Any]:
        assert authorization == f"Bearer {SERVICE_TOKEN}"
        amounts = {"posted_nano": 7, "held_nano": 2, "available_nano": 5}
        shown = {"posted": "0.000000007", "held": "0.000000002", "available": "0.000000005"}
        return {"account_id": account_id, "currency": "USD"} | amounts | shown

    return app


async def authorization() -> str:
    return SERVICE_TOKEN


@pytest.fixture
async def client(pool: Pool, passwords: Passwords) -> AsyncIterator[httpx.AsyncClient]:
    balance = BalanceClient("http://balance", authorization, httpx.ASGITransport(balance_service()))
    app = build_app(
        pool, passwords, lambda: None, rules=RULES, operator_token=SecretStr(OPERATOR_TOKEN), balance=balance
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://accounts") as client:
        yield client


async def account_of(client: httpx.AsyncClient, headers: Headers) -> str:
    return str((await client.get("/v1/account", headers=headers)).json()["account_id"])


async def create_key(client: httpx.AsyncClient, headers: Headers) -> dict[str, Any]:
    answer = await client.post("/v1/keys", json={"name": "laptop"}, headers=headers)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def entries(client: httpx.AsyncClient, headers: Headers, path: str = "/v1/audit-log") -> list[dict[str, Any]]:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


# --- finding --------------------------------------------------------------------------------------------------------


async def test_an_account_by_each_of_its_names(
    client: httpx.AsyncClient, ada: Headers, signed_up: SignedUp, operator: Headers
) -> None:
    await create_key(client, await signed_up("bob@example.com"))
    key, account_id = await create_key(client, ada), await account_of(client, ada)
    for query in (
        {"account_id": account_id},
        {"email": "ADA@example.com"},
        {"key_id": key["id"]},
        {"key_prefix": key["key"][:7]},
        {"key_prefix": key["key"]},
    ):
        answer = await client.get("/v1/operator/accounts", params=query, headers=operator)
        assert [account["account_id"] for account in answer.json()["accounts"]] == [account_id], query
    for absent in ({"account_id": new_id()}, {"email": "eve@example.com"}, {"key_id": new_id()}):
        found = (await client.get("/v1/operator/accounts", params=absent, headers=operator)).json()["accounts"]
        assert found == []


async def test_a_search_names_one_thing(client: httpx.AsyncClient, operator: Headers) -> None:
    for query, code, field in (
        ({}, "ambiguous_search", "account_id"),
        ({"email": "ada@example.com", "key_id": new_id()}, "ambiguous_search", "account_id"),
        ({"email": "ada"}, "invalid_input", "email"),
        ({"key_prefix": "tg_%"}, "invalid_input", "key_prefix"),
        ({"key_prefix": "sk-"}, "invalid_input", "key_prefix"),
    ):
        answer = await client.get("/v1/operator/accounts", params=query, headers=operator)
        assert_problem(answer, 422, code, field)


async def test_what_operators_see_of_an_account(client: httpx.AsyncClient, ada: Headers, operator: Headers) -> None:
    key, account_id = await create_key(client, ada), await account_of(client, ada)
    details = (await client.get(f"/v1/operator/accounts/{account_id}", headers=operator)).json()
    assert (details["account_id"], details["suspended_at"]) == (account_id, None)
    assert [(member["email"], member["role"]) for member in details["members"]] == [("ada@example.com", "owner")]
    keys = (await client.get(f"/v1/operator/accounts/{account_id}/keys", headers=operator)).json()["keys"]
    assert [(one["id"], one["hint"]) for one in keys] == [(key["id"], key["hint"])]
    assert key["key"] not in str(keys)
    balance = (await client.get(f"/v1/operator/accounts/{account_id}/balance", headers=operator)).json()
    assert (balance["account_id"], balance["available_nano"]) == (account_id, 5)


async def test_a_balance_service_that_is_away(
    pool: Pool, passwords: Passwords, ada: Headers, operator: Headers
) -> None:
    away = httpx.MockTransport(lambda _: httpx.Response(503))
    for balance in (None, BalanceClient("http://balance", authorization, away)):
        app = build_app(
            pool, passwords, lambda: None, rules=RULES, operator_token=SecretStr(OPERATOR_TOKEN), balance=balance
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://accounts") as client:
            path = f"/v1/operator/accounts/{await account_of(client, ada)}/balance"
            assert_problem(await client.get(path, headers=operator), 503, "balance_unavailable")


# --- credit ---------------------------------------------------------------------------------------------------------


async def told_credits(pool: Pool) -> list[CreditGranted | CreditAdjusted]:
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT payload FROM outbox WHERE topic = 'credits.v1' ORDER BY id")
        return [decode_credit(row["payload"]) for row in await cursor.fetchall()]


async def test_credit_with_a_reason(client: httpx.AsyncClient, pool: Pool, ada: Headers, operator: Headers) -> None:
    account_id = await account_of(client, ada)
    body = {"amount_nano": 5 * USD, "reason": "bank transfer of 3 November", "reference": "transfer-17"}
    answers = await asyncio.gather(
        *(client.post(f"/v1/operator/accounts/{account_id}/credits", json=body, headers=operator) for _ in range(5))
    )
    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {(201, answers[0].json()["id"])}
    (grant,) = await told_credits(pool)
    assert isinstance(grant, CreditGranted)
    assert (grant.account_id, grant.amount_nano, grant.source) == (account_id, 5 * USD, "manual")
    assert grant.reason == "bank transfer of 3 November"
    other = await client.post(
        f"/v1/operator/accounts/{account_id}/credits", json=body | {"amount_nano": 6 * USD}, headers=operator
    )
    assert_problem(other, 409, "reference_exists", "reference")
    (payment,) = (await client.get("/v1/payments", headers=ada)).json()["payments"]
    assert (payment["method"], payment["state"], payment["credited_nano"]) == ("manual", "paid", 5 * USD)
    seen = [entry for entry in await entries(client, ada) if entry["target_id"] == payment["id"]]
    assert [(entry["actor"]["kind"], entry["details"]["reason"]) for entry in seen] == [("operator", body["reason"])]


async def test_an_adjustment_with_a_reason(
    client: httpx.AsyncClient, pool: Pool, ada: Headers, operator: Headers
) -> None:
    account_id = await account_of(client, ada)
    path = f"/v1/operator/accounts/{account_id}/adjustments"
    made = await client.post(path, json={"amount_nano": -USD, "reason": "counted twice"}, headers=operator)
    assert (made.status_code, made.json()["amount"]) == (201, "-1.00")
    (told,) = await told_credits(pool)
    assert isinstance(told, CreditAdjusted)
    assert (told.adjustment_id, told.account_id, told.amount_nano, told.reason) == (
        made.json()["adjustment_id"],
        account_id,
        -USD,
        "counted twice",
    )
    newest, *_ = await entries(client, ada)
    assert newest["action"] == "credit.adjusted"


async def test_what_credit_is_refused_for(client: httpx.AsyncClient, ada: Headers, operator: Headers) -> None:
    account = f"/v1/operator/accounts/{await account_of(client, ada)}"
    for path, body, code, field in (
        ("credits", {"amount_nano": USD}, "invalid_input", "reason"),
        ("credits", {"amount_nano": USD, "reason": " a "}, "invalid_input", "reason"),
        ("credits", {"amount_nano": 0, "reason": "because"}, "invalid_input", "amount_nano"),
        ("credits", {"amount_nano": 10**17, "reason": "because"}, "invalid_input", "amount_nano"),
        ("credits", {"amount_nano": "1", "reason": "because"}, "invalid_input", "amount_nano"),
        ("adjustments", {"amount_nano": 0, "reason": "because"}, "amount_is_zero", "amount_nano"),
        ("credits", {"amount_nano": USD, "reason": "because", "currency": "EUR"}, "unsupported_currency", "currency"),
        (
            "adjustments",
            {"amount_nano": 1, "reason": "because", "currency": "EUR"},
            "unsupported_currency",
            "currency",
        ),
        ("adjustments", {"amount_nano": 1, "reason": "because", "currency": "usd"}, "invalid_input", "currency"),
        ("suspend", {}, "invalid_input", "reason"),
        ("adjustments", {"amount_nano": -(10**17), "reason": "because"}, "invalid_input", "amount_nano"),
    ):
        assert_problem(await client.post(f"{account}/{path}", json=body, headers=operator), 422, code, field)
    absent = f"/v1/operator/accounts/{new_id()}"
    body = {"amount_nano": USD, "reason": "because"}
    for path in ("credits", "adjustments"):
        answer = await client.post(f"{absent}/{path}", json=body, headers=operator)
        assert_problem(answer, 404, "account_not_found", "account_id")
    for path in ("suspend", "resume"):
        answer = await client.post(f"{absent}/{path}", json={"reason": "because"}, headers=operator)
        assert_problem(answer, 404, "account_not_found", "account_id")


# --- suspension -----------------------------------------------------------------------------------------------------


async def test_suspending_tells_the_edges_of_every_key(
    client: httpx.AsyncClient, pool: Pool, ada: Headers, operator: Headers
) -> None:
    kept, revoked = await create_key(client, ada), await create_key(client, ada)
    await client.delete(f"/v1/keys/{revoked['id']}", headers=ada)
    account_id = await account_of(client, ada)
    path = f"/v1/operator/accounts/{account_id}"

    for _ in range(2):
        answer = await client.post(f"{path}/suspend", json={"reason": "unpaid since May"}, headers=operator)
        assert answer.status_code == 200, answer.text
        assert answer.json()["suspended_at"] is not None
    made_meanwhile = await create_key(client, ada)
    resumed = await client.post(f"{path}/resume", json={"reason": "paid"}, headers=operator)
    assert resumed.json()["suspended_at"] is None

    newest = {key: (version, suspended) for key, version, suspended in await records_of_keys(pool)}
    told = await records_of_keys(pool)
    assert [suspended for _, _, suspended in told] == [False, False, True, True, False, False]
    assert {suspended for _, suspended in newest.values()} == {False}
    assert len({(key, version) for key, version, _ in told}) == len(told), "each record has a version of its own"
    assert {kept["id"], made_meanwhile["id"]} <= {entry["target_id"] for entry in await entries(client, ada)}
    acts = [entry for entry in await entries(client, ada) if entry["action"].startswith("organisation.")]
    assert [(act["action"], act["details"].get("reason")) for act in acts[:2]] == [
        ("organisation.resumed", "paid"),
        ("organisation.suspended", "unpaid since May"),
    ]


async def records_of_keys(pool: Pool) -> list[tuple[str, int, bool]]:
    """Return the published key records without tombstones: hash, version, whether suspended."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT * FROM outbox WHERE topic = 'keys.v1' AND payload IS NOT NULL ORDER BY id"
        )
        return [(row["key"], row["version"], decode_key(row["payload"]).suspended) for row in await cursor.fetchall()]


async def test_a_key_made_while_the_account_is_suspended_is_suspended_too(
    client: httpx.AsyncClient, pool: Pool, ada: Headers, operator: Headers
) -> None:
    path = f"/v1/operator/accounts/{await account_of(client, ada)}/suspend"
    suspending = client.post(path, json={"reason": "abuse"}, headers=operator)
    await asyncio.gather(suspending, *(create_key(client, ada) for _ in range(10)))
    newest = {key: suspended for key, _, suspended in await records_of_keys(pool)}
    assert (len(newest), set(newest.values())) == (10, {True})


# --- who is an operator ---------------------------------------------------------------------------------------------


async def test_an_operator_makes_another_one_and_takes_it_back(
    client: httpx.AsyncClient, pool: Pool, ada: Headers, operator: Headers
) -> None:
    assert_problem(await client.get("/v1/operator/operators", headers=ada), 403, "operators_only")
    unproven = await client.post("/v1/operator/operators", json={"email": "Ada@example.com"}, headers=operator)
    assert_problem(unproven, 404, "person_not_found", "email")
    await Mailbox(pool).confirm(client, "ada@example.com")
    granted = await client.post("/v1/operator/operators", json={"email": "Ada@example.com"}, headers=operator)
    assert (granted.status_code, granted.json()["email"]) == (201, "ada@example.com")
    again = await client.post("/v1/operator/operators", json={"email": "ada@example.com"}, headers=ada)
    assert again.json() == granted.json()
    listed = (await client.get("/v1/operator/operators", headers=ada)).json()["operators"]
    assert listed == [granted.json()]
    person = f"/v1/operator/operators/{granted.json()['person_id']}"
    assert (await client.delete(person, headers=ada)).status_code == 204
    assert_problem(await client.get("/v1/operator/operators", headers=ada), 403, "operators_only")
    assert_problem(await client.delete(person, headers=operator), 404, "operator_not_found", "person_id")
    nobody = await client.post("/v1/operator/operators", json={"email": "eve@example.com"}, headers=operator)
    assert_problem(nobody, 404, "person_not_found", "email")
    acts = await entries(client, operator, "/v1/operator/audit-log")
    assert [(act["action"], act["actor"]["kind"], act["actor"]["email"]) for act in acts[:2]] == [
        ("operator.revoked", "operator", "ada@example.com"),
        ("operator.granted", "operator", None),
    ]


async def test_operators_read_all_of_the_audit_log_or_one_accounts(
    client: httpx.AsyncClient, ada: Headers, signed_up: SignedUp, operator: Headers
) -> None:
    await create_key(client, ada)
    await create_key(client, await signed_up("bob@example.com"))
    account_id = await account_of(client, ada)
    everything = await entries(client, operator, "/v1/operator/audit-log")
    hers = await entries(client, operator, f"/v1/operator/audit-log?account_id={account_id}")
    assert {entry["account_id"] for entry in hers} == {account_id}
    assert len({entry["account_id"] for entry in everything} - {None}) == 2
    page = (await client.get("/v1/operator/audit-log", params={"limit": 1}, headers=operator)).json()
    after = {"limit": 1, "after": page["next_after"]}
    following = (await client.get("/v1/operator/audit-log", params=after, headers=operator)).json()
    assert [page["entries"][0]["id"], following["entries"][0]["id"]] == [entry["id"] for entry in everything[:2]]


async def test_an_unverified_person_is_not_an_operator_even_if_granted(
    client: httpx.AsyncClient, pool: Pool, ada: Headers
) -> None:
    async with pool.connection() as connection:
        await connection.execute("INSERT INTO operators (person_id) SELECT id FROM persons")
    assert_problem(await client.get("/v1/operator/operators", headers=ada), 403, "operators_only")


async def test_the_first_operator_is_made_at_the_command_line(
    client: httpx.AsyncClient, pool: Pool, postgres_dsn: str, ada: Headers
) -> None:
    await Mailbox(pool).confirm(client, "ada@example.com")
    settings = AccountsSettings(
        kafka_bootstrap="unused:9092", port=1, email_verification="optional", postgres_dsn=SecretStr(postgres_dsn)
    )
    for _ in range(2):
        assert "is an operator" in await command.grant(settings, argparse.Namespace(email="ada@example.com"))
    assert (await client.get("/v1/operator/operators", headers=ada)).status_code == 200
    with pytest.raises(CommandError, match="no person has this verified"):
        await command.grant(settings, argparse.Namespace(email="eve@example.com"))


async def test_no_members_role_makes_an_operator(client: httpx.AsyncClient, ada: Headers) -> None:
    """List every operator route of the OpenAPI document."""
    document = (await client.get("/openapi.json")).json()
    routes = [
        (method, path)
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/v1/operator/")
    ]
    assert len(routes) > 15
    for method, path in routes:
        for name in ("account_id", "campaign_id", "person_id"):
            path = path.replace(f"{{{name}}}", new_id())  # noqa: PLW2901 - filled in
        answer = await client.request(method, path, headers=ada)
        assert_problem(answer, 403, "operators_only")
