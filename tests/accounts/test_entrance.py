"""Sign-up, sign-in, sign-out."""

import asyncio
import dataclasses
from collections import Counter
from datetime import timedelta
from typing import Any, Literal

import httpx
import pytest
from argon2 import PasswordHasher

from accounts.answers import PASSWORD, RULES, SignedUp, assert_problem
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.rules import Limit, Limits
from tollgate_common.postgres.connection import Pool

pytestmark = pytest.mark.engines

WRONG = "wrong password"


async def rows(pool: Pool, query: Any) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        return await (await connection.execute(query)).fetchall()


async def test_sign_up_normalizes_the_email_and_keeps_no_password(client: httpx.AsyncClient, pool: Pool) -> None:
    answer = await client.post("/v1/accounts", json={"email": " Ada@EXAMPLE.com ", "password": PASSWORD})
    assert answer.status_code == 201
    assert set(answer.json()) == {"email", "detail"}
    assert answer.json()["email"] == "Ada@example.com"
    (account,) = await rows(pool, "SELECT * FROM persons")
    assert account["password_hash"].startswith("$argon2id$")
    assert PASSWORD not in str(account)


async def test_a_crowd_of_sign_ups_of_one_email_makes_one_account(pool: Pool, passwords: Passwords) -> None:
    spellings = ("ada@example.com", "Ada@Example.com", "ADA@EXAMPLE.COM", "aDa@example.com")
    without_limit = Limits(sign_up_email=Limit("sign_up_email", 1_000, timedelta(hours=1)))
    transport = httpx.ASGITransport(
        build_app(pool, passwords, lambda: None, rules=dataclasses.replace(RULES, limits=without_limit))
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
        answers = await asyncio.gather(
            *(
                client.post("/v1/accounts", json={"email": spellings[number % 4], "password": PASSWORD})
                for number in range(300)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {201: 300}
    for table in ("persons", "organisations", "memberships"):
        assert [row["count"] for row in await rows(pool, f"SELECT count(*) FROM {table}")] == [1]  # noqa: S608
    mails = await rows(pool, "SELECT kind, count(*) FROM mails GROUP BY kind ORDER BY kind")
    assert mails == [{"kind": "already_registered", "count": 299}, {"kind": "verify_email", "count": 1}]


async def test_a_session_shows_its_account_until_sign_out(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    account = await client.get("/v1/account", headers=ada)
    assert (account.status_code, account.json()["email"]) == (200, "ada@example.com")
    assert (await client.delete("/v1/sessions/current", headers=ada)).status_code == 204
    assert_problem(await client.get("/v1/account", headers=ada), 401, "invalid_session")


async def test_signing_out_leaves_other_sessions(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    other = await client.post("/v1/sessions", json={"email": "Ada@example.com", "password": PASSWORD})
    assert other.headers["Cache-Control"] == "no-store"
    await client.delete("/v1/sessions/current", headers=ada)
    answer = await client.get("/v1/account", headers={"Authorization": f"Bearer {other.json()['token']}"})
    assert answer.status_code == 200


async def test_a_token_is_stored_as_its_hash(client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]) -> None:
    (session,) = await rows(pool, "SELECT * FROM sessions")
    assert ada["Authorization"].removeprefix("Bearer ") not in str(session)


async def test_a_session_ends(client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]) -> None:
    await rows(pool, "UPDATE sessions SET expires_at = now() RETURNING 1 AS one")
    assert_problem(await client.get("/v1/account", headers=ada), 401, "invalid_session")
    await client.post("/v1/sessions", json={"email": "ada@example.com", "password": PASSWORD})
    assert len(await rows(pool, "SELECT * FROM sessions")) == 1, "a sign-in removes the account's old sessions"


class CountingHasher(PasswordHasher):
    """The real hasher, which tells how often it was asked."""

    verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the library's own name
        self.verified += 1
        return super().verify(hash, password)


async def test_an_unknown_email_takes_the_same_path_as_a_wrong_password(pool: Pool) -> None:
    hasher = CountingHasher(time_cost=1, memory_cost=8, parallelism=1)
    transport = httpx.ASGITransport(build_app(pool, Passwords(hasher), lambda: None, rules=RULES))
    async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
        await client.post("/v1/accounts", json={"email": "ada@example.com", "password": PASSWORD})
        wrong = await client.post("/v1/sessions", json={"email": "ada@example.com", "password": WRONG})
        unknown = await client.post("/v1/sessions", json={"email": "bob@example.com", "password": WRONG})
    assert_problem(wrong, 401, "invalid_credentials")
    assert unknown.content == wrong.content
    assert hasher.verified == 2


async def guess(client: httpx.AsyncClient, email: str, password: str = WRONG) -> httpx.Response:
    return await client.post("/v1/sessions", json={"email": email, "password": password})


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_guesses_are_limited_even_all_at_once(client: httpx.AsyncClient, ada: dict[str, str], email: str) -> None:
    answers = await asyncio.gather(*(guess(client, email) for _ in range(40)))
    assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 30}
    blocked = await guess(client, email.upper(), PASSWORD)
    assert_problem(blocked, 429, "too_many_attempts")
    assert 0 < int(blocked.headers["Retry-After"]) <= 15 * 60


async def test_another_address_is_not_blocked(pool: Pool, passwords: Passwords, signed_up: SignedUp) -> None:
    await signed_up("ada@example.com")
    app = build_app(pool, passwords, lambda: None, rules=RULES)
    for address, statuses in (("192.0.2.1", {401: 10, 429: 2}), ("192.0.2.2", {401: 10, 429: 2})):
        transport = httpx.ASGITransport(app, client=(address, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
            answers = [await guess(client, "ada@example.com") for _ in range(12)]
        assert Counter(answer.status_code for answer in answers) == statuses


async def test_the_limit_ends_with_its_window(client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]) -> None:
    for _ in range(11):
        last = await guess(client, "ada@example.com")
    assert_problem(last, 429, "too_many_attempts")
    await rows(pool, "UPDATE attempts SET ends_at = ends_at - interval '15 minutes' RETURNING 1 AS one")
    assert (await guess(client, "ada@example.com", PASSWORD)).status_code == 201


async def test_the_right_password_clears_the_slips(client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]) -> None:
    for _ in range(9):
        await guess(client, "ada@example.com")
    assert (await guess(client, "ada@example.com", PASSWORD)).status_code == 201
    assert await rows(pool, "SELECT * FROM attempts WHERE action = 'sign_in'") == []
    for _ in range(9):
        assert (await guess(client, "ada@example.com")).status_code == 401


async def test_attempts_that_are_over_are_removed(client: httpx.AsyncClient, pool: Pool) -> None:
    for number in range(5):
        await guess(client, f"nobody{number}@example.com")
    await rows(pool, "UPDATE attempts SET ends_at = ends_at - interval '15 minutes' RETURNING 1 AS one")
    await guess(client, "somebody@example.com")
    left = await rows(pool, "SELECT subject FROM attempts ORDER BY action")
    assert [row["subject"] for row in left] == ["somebody@example.com 127.0.0.1", "somebody@example.com"]
