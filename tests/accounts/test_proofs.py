"""E-mail verification, password reset, and sessions that a person can see and end."""

import dataclasses
from email.message import EmailMessage

import httpx
import pytest

from accounts.answers import CONSOLE, PASSWORD, RULES, SignedUp, assert_problem
from accounts.joining import joins, person_id
from accounts.mailbox import Mailbox
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.mails.courier import Courier
from tollgate_accounts.promo import store as promo
from tollgate_accounts.promo.store import PromoCode
from tollgate_common.errors import Retryable
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Pool

pytestmark = pytest.mark.engines

ADA = {"email": "ada@example.com", "password": PASSWORD}
NEW = "another long password"
STRANGERS = "a stranger's password"
WELCOME = PromoCode("WELCOME", 10_000_000_000, None, None, None, None)


@pytest.fixture
def mailbox(pool: Pool) -> Mailbox:
    return Mailbox(pool)


@pytest.fixture
def strict(pool: Pool, passwords: Passwords) -> httpx.AsyncClient:
    """Where an e-mail must be verified before anybody signs in with it."""
    app = build_app(pool, passwords, lambda: None, rules=dataclasses.replace(RULES, email_must_be_verified=True))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://accounts")


async def counted(pool: Pool, table: str) -> int:
    async with pool.connection() as connection:
        (row,) = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchall()  # noqa: S608
    return int(row["count"])


async def sign_in(client: httpx.AsyncClient, password: str = PASSWORD) -> dict[str, str]:
    answer = await client.post("/v1/sessions", json=ADA | {"password": password})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def test_nobody_signs_in_before_the_mail_was_read(
    strict: httpx.AsyncClient, pool: Pool, mailbox: Mailbox
) -> None:
    await make_welcome_code(pool)
    answer = await strict.post("/v1/accounts", json=ADA | {"promo_code": "WELCOME"})
    assert answer.status_code == 201, answer.text
    early = await strict.post("/v1/sessions", json=ADA)
    unknown = await strict.post("/v1/sessions", json=ADA | {"email": "bob@example.com"})
    assert_problem(early, 401, "invalid_credentials")
    assert early.content == unknown.content
    assert await counted(pool, "promo_redemptions") == 0, "an invented e-mail uses up no code"

    token = await mailbox.token("ada@example.com")
    verified = await strict.post("/v1/email-verifications", json={"token": token, "password": PASSWORD})
    assert (verified.status_code, verified.json()["email"]) == (200, "ada@example.com")
    assert verified.json()["grant"]["amount"] == "10.00"
    session = await sign_in(strict)
    assert (await strict.get("/v1/person", headers=session)).json()["email_is_verified"] is True
    assert await counted(pool, "promo_redemptions") == 1
    assert_problem(
        await strict.post("/v1/email-verifications", json={"token": token, "password": PASSWORD}),
        404,
        "invalid_token",
        "token",
    )


async def make_welcome_code(pool: Pool) -> None:
    async with pool.connection() as connection:
        await promo.insert_promo_code(connection, new_id(), WELCOME)


async def test_a_code_that_ended_meanwhile_does_not_keep_its_person_out(
    strict: httpx.AsyncClient, pool: Pool, mailbox: Mailbox
) -> None:
    await make_welcome_code(pool)
    await strict.post("/v1/accounts", json=ADA | {"promo_code": "WELCOME"})
    async with pool.connection() as connection:
        await connection.execute("UPDATE campaigns SET ends_at = now()")
    verified = await strict.post(
        "/v1/email-verifications", json={"token": await mailbox.token("ada@example.com"), "password": PASSWORD}
    )
    assert (verified.status_code, verified.json()["grant"]) == (200, None)


async def test_a_mail_may_be_asked_for_again_until_one_was_read(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    await client.post("/v1/accounts", json=ADA)
    first = await mailbox.token("ada@example.com")
    await client.post("/v1/email-verifications/requests", json={"email": "ADA@example.com"})
    second = await mailbox.token("ADA@example.com")
    assert first != second
    assert (
        await client.post("/v1/email-verifications", json={"token": first, "password": PASSWORD})
    ).status_code == 200
    assert_problem(
        await client.post("/v1/email-verifications", json={"token": second, "password": PASSWORD}),
        404,
        "invalid_token",
        "token",
    )
    await client.post("/v1/email-verifications/requests", json={"email": "ada@example.com"})
    assert await mailbox.fetch() == [], "nothing is left to prove"


async def test_a_strangers_sign_up_is_not_confirmed_by_whose_email_it_is(
    strict: httpx.AsyncClient, pool: Pool, mailbox: Mailbox
) -> None:
    await strict.post("/v1/accounts", json=ADA | {"password": STRANGERS})
    await strict.post("/v1/accounts", json=ADA)
    token = await mailbox.token_of("ada@example.com", "Confirm your e-mail")
    tried = await strict.post("/v1/email-verifications", json={"token": token, "password": PASSWORD})
    assert_problem(tried, 403, "invalid_sign_up_password", "password")
    for password in (PASSWORD, STRANGERS):
        early = await strict.post("/v1/sessions", json=ADA | {"password": password})
        assert_problem(early, 401, "invalid_credentials")
    assert (await strict.post("/v1/password-resets", json={"token": token, "password": PASSWORD})).status_code == 204
    stranger = await strict.post("/v1/sessions", json=ADA | {"password": STRANGERS})
    assert_problem(stranger, 401, "invalid_credentials")
    session = await sign_in(strict)
    assert (await strict.get("/v1/person", headers=session)).json()["email_is_verified"] is True
    again = await strict.post("/v1/email-verifications", json={"token": token, "password": PASSWORD})
    assert_problem(again, 404, "invalid_token", "token")
    assert await counted(pool, "mail_tokens") == 0


async def test_nothing_of_a_strangers_survives_the_first_proof_of_the_email(
    client: httpx.AsyncClient, mailbox: Mailbox, ada: dict[str, str], signed_up: SignedUp
) -> None:
    """`ada` is the stranger, who signs in without having read a mail, as a deployment may let them."""
    mallory, bob = await signed_up("mallory@example.com"), await signed_up("bob@example.com")
    key = (await client.post("/v1/keys", json={"name": "stranger's"}, headers=ada)).json()
    await joins(client, mailbox, ada, mallory, "owner")
    invited = await client.post("/v1/invitations", json={"email": "bob@example.com", "role": "admin"}, headers=ada)
    assert invited.status_code == 201
    invitation = {"token": await mailbox.token("bob@example.com")}
    passed_on = (await client.post("/v1/organizations", json={"name": "bait"}, headers=ada)).json()
    bait = ada | {"Tollgate-Organization": passed_on["account_id"]}
    with_bait = await joins(client, mailbox, bait, mallory, "owner")
    me = f"/v1/members/{await person_id(client, ada)}"
    assert (await client.patch(me, json={"role": "billing"}, headers=with_bait)).status_code == 204

    await client.post("/v1/password-resets/requests", json={"email": "ada@example.com"})
    token = await mailbox.token("ada@example.com")
    assert (await client.post("/v1/password-resets", json={"token": token, "password": NEW})).status_code == 204
    session = await sign_in(client, NEW)
    assert (await client.get(f"/v1/keys/{key['id']}", headers=session)).json()["revoked_at"] is not None
    members = (await client.get("/v1/members", headers=session)).json()["members"]
    assert [one["email"] for one in members] == ["ada@example.com"]
    assert (await client.get("/v1/invitations", headers=session)).json()["invitations"] == []
    late = await client.post("/v1/invitations/acceptances", json=invitation, headers=bob)
    assert_problem(late, 404, "invalid_invitation", "token")
    organizations = (await client.get("/v1/organizations", headers=session)).json()["organizations"]
    assert [one["name"] for one in organizations] == ["ada@example.com"], "what was passed on is not hers to pay for"
    log = (await client.get("/v1/audit-log", headers=session)).json()["entries"]
    assert {"key.revoked", "member.removed", "invitation.withdrawn"} <= {one["action"] for one in log}


async def test_a_later_reset_takes_nothing_away(
    client: httpx.AsyncClient, mailbox: Mailbox, ada: dict[str, str], signed_up: SignedUp
) -> None:
    await mailbox.confirm(client, "ada@example.com")
    key = (await client.post("/v1/keys", json={"name": "laptop"}, headers=ada)).json()
    await joins(client, mailbox, ada, await signed_up("bob@example.com"), "admin")
    await client.post("/v1/password-resets/requests", json={"email": "ada@example.com"})
    token = await mailbox.token("ada@example.com")
    assert (await client.post("/v1/password-resets", json={"token": token, "password": NEW})).status_code == 204
    session = await sign_in(client, NEW)
    assert (await client.get(f"/v1/keys/{key['id']}", headers=session)).json()["revoked_at"] is None
    assert len((await client.get("/v1/members", headers=session)).json()["members"]) == 2


async def test_a_reset_ends_every_session(client: httpx.AsyncClient, mailbox: Mailbox, ada: dict[str, str]) -> None:
    await mailbox.fetch()
    for email in ("ada@example.com", "nobody@example.com"):
        answer = await client.post("/v1/password-resets/requests", json={"email": email})
        assert answer.status_code == 202
    assert await mailbox.fetch() == [("ada@example.com", "Choose a new password")]
    token = await mailbox.token("ada@example.com")
    refused = await client.post("/v1/email-verifications", json={"token": token, "password": PASSWORD})
    assert_problem(refused, 404, "invalid_token", "token")

    reset = {"token": token, "password": NEW}
    assert (await client.post("/v1/password-resets", json=reset)).status_code == 204
    assert_problem(await client.post("/v1/password-resets", json=reset), 404, "invalid_token", "token")
    assert_problem(await client.get("/v1/person", headers=ada), 401, "invalid_session")
    assert_problem(await client.post("/v1/sessions", json=ADA), 401, "invalid_credentials")
    session = await sign_in(client, NEW)
    assert (await client.get("/v1/person", headers=session)).json()["email_is_verified"] is True
    assert await mailbox.fetch() == [("ada@example.com", "Your password was changed")]


async def test_a_token_expires(client: httpx.AsyncClient, pool: Pool, mailbox: Mailbox, ada: dict[str, str]) -> None:
    token = await mailbox.token("ada@example.com")
    async with pool.connection() as connection:
        assert token not in str(await (await connection.execute("SELECT * FROM mail_tokens")).fetchall())
        await connection.execute("UPDATE mail_tokens SET expires_at = now()")
    assert_problem(
        await client.post("/v1/email-verifications", json={"token": token, "password": PASSWORD}),
        404,
        "invalid_token",
        "token",
    )


async def test_changing_the_password_ends_the_other_sessions(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    other = await sign_in(client)
    wrong = {"current_password": NEW, "password": NEW}
    assert_problem(
        await client.put("/v1/password", json=wrong, headers=ada), 403, "invalid_password", "current_password"
    )
    change = {"current_password": PASSWORD, "password": NEW}
    assert (await client.put("/v1/password", json=change, headers=ada)).status_code == 204
    assert (await client.get("/v1/person", headers=ada)).status_code == 200
    assert_problem(await client.get("/v1/person", headers=other), 401, "invalid_session")
    await sign_in(client, NEW)


async def test_a_person_sees_their_sessions_and_ends_one(
    client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]
) -> None:
    answer = await client.post("/v1/sessions", json=ADA, headers={"User-Agent": "a phone"})
    phone = {"Authorization": f"Bearer {answer.json()['token']}"}
    async with pool.connection() as connection:
        await connection.execute("UPDATE sessions SET last_seen_at = now() - interval '1 hour', address = '192.0.2.1'")
    listed = (await client.get("/v1/sessions", headers=ada)).json()["sessions"]
    assert [(one["is_current"], one["address"]) for one in listed] == [(True, "127.0.0.1"), (False, "192.0.2.1")]
    assert listed[1]["user_agent"] == "a phone"
    assert listed[0]["last_seen_at"] > listed[1]["last_seen_at"]

    assert (await client.delete(f"/v1/sessions/{listed[1]['id']}", headers=ada)).status_code == 204
    assert_problem(await client.get("/v1/person", headers=phone), 401, "invalid_session")
    again = await client.delete(f"/v1/sessions/{listed[1]['id']}", headers=ada)
    assert_problem(again, 404, "session_not_found", "session_id")


async def test_a_mail_waits_for_the_mail_server(pool: Pool, ada: dict[str, str]) -> None:
    async def busy(_: EmailMessage) -> None:
        raise Retryable("busy")

    courier = Courier(pool, busy, "Tollgate <no-reply@example.com>", None)
    assert await courier.send_one()
    assert not await courier.send_one(), "it waits now"
    assert await counted(pool, "mails") == 1
    async with pool.connection() as connection:
        await connection.execute("UPDATE mails SET next_try_at = now()")
    mailbox = Mailbox(pool)
    assert await mailbox.fetch() == [("ada@example.com", "Confirm your e-mail")]
    assert await counted(pool, "mails") == 0


async def test_a_link_works_whose_sender_died_before_it_was_done(
    client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]
) -> None:
    sent = []

    async def dying(message: EmailMessage) -> None:
        sent.append(message)
        raise OSError("the process ends here")

    with pytest.raises(OSError, match="the process ends here"):
        await Courier(pool, dying, "Tollgate <no-reply@example.com>", CONSOLE).send_one()
    mailbox = Mailbox(pool)
    again = await mailbox.token("ada@example.com")
    mailbox.mails = sent
    first = await mailbox.token("ada@example.com")
    assert first != again
    proof = {"token": first, "password": PASSWORD}
    assert (await client.post("/v1/email-verifications", json=proof)).status_code == 200
