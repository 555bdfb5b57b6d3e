"""Attacks on sign-up and sign-in: finding out who has an account, planting or stealing a session, guessing."""

import asyncio
import re
from collections import Counter

import httpx
import pytest

from accounts.answers import CONSOLE, PASSWORD, RULES, SignedUp, assert_problem
from accounts.mailbox import Mailbox
from tollgate_accounts.access.permissions import SESSION_COOKIE
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.promo import store as promo
from tollgate_accounts.promo.store import PromoCode
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Pool

pytestmark = pytest.mark.engines

WRONG = "wrong password"
ADA = {"email": "ada@example.com", "password": PASSWORD}


# --- enumeration ----------------------------------------------------------------------------------------------------


async def test_a_sign_up_does_not_tell_whether_the_email_is_taken(
    client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]
) -> None:
    mailbox = Mailbox(pool)
    await mailbox.fetch()
    taken = await client.post("/v1/accounts", json={"email": "ada@example.com", "password": WRONG})
    fresh = await client.post("/v1/accounts", json={"email": "eve@example.com", "password": WRONG})
    assert (taken.status_code, taken.text.replace("ada@", "eve@")) == (fresh.status_code, fresh.text)
    assert taken.headers.keys() == fresh.headers.keys()
    assert sorted(await mailbox.fetch()) == [
        ("ada@example.com", "You already have an account"),
        ("eve@example.com", "Confirm your e-mail"),
    ]
    assert (await client.post("/v1/sessions", json=ADA)).status_code == 201, "the account is as it was"


async def test_a_used_up_code_does_not_tell_it_either(
    client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]
) -> None:
    async with pool.connection() as connection:
        await promo.insert_promo_code(connection, new_id(), PromoCode("SPENT", 1, None, None, 1, None))
        await connection.execute("UPDATE campaigns SET redemptions = 1")
    for code in ("SPENT", "NOSUCH"):
        answers = [
            await client.post("/v1/accounts", json={"email": email, "password": WRONG, "promo_code": code})
            for email in ("ada@example.com", "eve@example.com")
        ]
        assert answers[0].content == answers[1].content
        assert answers[0].status_code in (404, 409)


async def test_mails_are_asked_for_without_learning_anything(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    for path in ("/v1/password-resets/requests", "/v1/email-verifications/requests"):
        known, unknown = [
            await client.post(path, json={"email": email}) for email in ("ada@example.com", "nobody@example.com")
        ]
        assert (known.status_code, known.content) == (202, unknown.content)


# --- fixation and theft ---------------------------------------------------------------------------------------------


async def test_a_session_that_was_brought_along_is_never_taken(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    planted = "tgs_planted-by-somebody-else"
    headers = {"Origin": CONSOLE, "Cookie": f"{SESSION_COOKIE}={planted}"}
    answer = await client.post("/v1/sessions", json=ADA | {"cookie": True}, headers=headers)
    assert answer.status_code == 201, answer.text
    assert planted not in answer.headers["Set-Cookie"]
    client.cookies.clear()
    refused = await client.get("/v1/person", headers={"Cookie": f"{SESSION_COOKIE}={planted}"})
    assert_problem(refused, 401, "invalid_session")


async def test_a_cookie_is_out_of_reach_of_scripts(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    answer = await client.post("/v1/sessions", json=ADA | {"cookie": True}, headers={"Origin": CONSOLE})
    cookie = answer.headers["Set-Cookie"]
    assert answer.json()["token"] is None
    assert re.match(rf"{SESSION_COOKIE}=tgs_\S+; HttpOnly; Max-Age=604800; Path=/; SameSite=strict$", cookie), cookie
    assert (await client.get("/v1/person")).json()["email"] == "ada@example.com"
    answer = await client.delete("/v1/sessions/current", headers={"Origin": CONSOLE})
    assert (answer.status_code, "Max-Age=0" in answer.headers["Set-Cookie"]) == (204, True)


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://console.example", CONSOLE + ".evil"])
async def test_another_page_changes_nothing_with_the_cookie(
    client: httpx.AsyncClient, ada: dict[str, str], origin: str | None
) -> None:
    await client.post("/v1/sessions", json=ADA | {"cookie": True}, headers={"Origin": CONSOLE})
    headers = {"Origin": origin} if origin else {}
    refused = await client.post("/v1/keys", json={"name": "stolen"}, headers=headers)
    assert_problem(refused, 403, "origin_not_allowed")
    assert (await client.get("/v1/keys", headers=ada)).json()["keys"] == []
    planted = await client.post("/v1/sessions", json=ADA | {"cookie": True}, headers=headers)
    assert_problem(planted, 403, "origin_not_allowed")
    assert "access-control-allow-origin" not in refused.headers
    allowed = await client.post("/v1/keys", json={"name": "mine"}, headers={"Origin": CONSOLE})
    assert allowed.status_code == 201
    assert allowed.headers["access-control-allow-origin"] == CONSOLE


# --- guessing -------------------------------------------------------------------------------------------------------


async def test_one_email_is_guessed_from_many_addresses(pool: Pool, passwords: Passwords, signed_up: SignedUp) -> None:
    await signed_up("ada@example.com")
    app = build_app(pool, passwords, lambda: None, rules=RULES)
    statuses: Counter[int] = Counter()
    for number in range(30):
        transport = httpx.ASGITransport(app, client=(f"192.0.2.{number}", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
            guesses = (client.post("/v1/sessions", json=ADA | {"password": WRONG}) for _ in range(5))
            statuses.update(answer.status_code for answer in await asyncio.gather(*guesses))
    assert statuses == {401: 99, 429: 51}, "the sign-in of the fixture counts too"


async def test_one_address_is_limited_over_all_emails(pool: Pool, passwords: Passwords) -> None:
    transport = httpx.ASGITransport(build_app(pool, passwords, lambda: None, rules=RULES), client=("192.0.2.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
        counts = {}
        for path, body in (
            ("/v1/accounts", {"password": WRONG}),
            ("/v1/password-resets/requests", {}),
            ("/v1/sessions", {"password": "and another"}),
        ):
            calls = (client.post(path, json={"email": f"{number}@example.com", **body}) for number in range(120))
            answers = await asyncio.gather(*calls)
            counts[path] = Counter(answer.status_code for answer in answers)
            limited = next(answer for answer in answers if answer.status_code == 429)
            assert_problem(limited, 429, "too_many_attempts")
    assert counts == {
        "/v1/accounts": {201: 20, 429: 100},
        "/v1/password-resets/requests": {202: 20, 429: 100},
        "/v1/sessions": {401: 100, 429: 20},
    }


async def test_a_network_of_ipv6_is_one_address(pool: Pool, passwords: Passwords, signed_up: SignedUp) -> None:
    await signed_up("ada@example.com")
    app = build_app(pool, passwords, lambda: None, rules=RULES)

    async def guess(address: str, email: str) -> int:
        transport = httpx.ASGITransport(app, client=(address, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
            return (await client.post("/v1/sessions", json={"email": email, "password": WRONG})).status_code

    ours = [await guess(f"2001:db8:0:1:{number:x}::1", "ada@example.com") for number in range(11)]
    assert ours == [401] * 10 + [429]
    assert await guess("2001:db8:0:2::1", "ada@example.com") == 401
    all_of_ours = [await guess(f"2001:db8:0:3::{number:x}", f"{number}@example.com") for number in range(101)]
    assert all_of_ours == [401] * 100 + [429]
    mapped = [
        await guess(address, "ada@example.com") for address in ["192.0.2.1", "::ffff:192.0.2.1"] * 5 + ["192.0.2.1"]
    ]
    assert mapped == [401] * 10 + [429]


async def test_the_password_is_not_guessed_with_a_stolen_session(
    pool: Pool, passwords: Passwords, ada: dict[str, str]
) -> None:
    app = build_app(pool, passwords, lambda: None, rules=RULES)
    wrong = {"current_password": WRONG, "password": "another long password"}
    statuses: Counter[int] = Counter()
    for number in range(30):
        transport = httpx.ASGITransport(app, client=(f"192.0.2.{number}", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
            for _ in range(5):
                statuses[(await client.put("/v1/password", json=wrong, headers=ada)).status_code] += 1
    assert statuses == {403: 99, 429: 51}, "the sign-in of the fixture counts too"


async def test_tokens_of_mails_are_not_guessed(pool: Pool, passwords: Passwords) -> None:
    transport = httpx.ASGITransport(build_app(pool, passwords, lambda: None, rules=RULES), client=("192.0.2.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
        answers = [
            await client.post("/v1/email-verifications", json={"token": f"tgm_{n}", "password": WRONG})
            for n in range(52)
        ]
    assert Counter(answer.status_code for answer in answers) == {404: 50, 429: 2}


async def test_a_proxy_that_is_trusted_tells_the_address(pool: Pool, passwords: Passwords) -> None:
    trusting = build_app(
        pool, passwords, lambda: None, rules=type(RULES)(email_must_be_verified=False, trusted_proxies=("10.0.0.0/8",))
    )
    for peer, seen in (("10.1.2.3", "198.51.100.7"), ("192.0.2.1", "192.0.2.1")):
        transport = httpx.ASGITransport(trusting, client=(peer, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
            forwarded = {"X-Forwarded-For": "203.0.113.66, 198.51.100.7"}
            await client.post("/v1/accounts", json={**ADA, "email": f"{peer}@example.com"}, headers=forwarded)
        async with pool.connection() as connection:
            found = await connection.execute("SELECT address FROM audit_log ORDER BY id DESC LIMIT 1")
            assert await found.fetchone() == {"address": seen}
