"""Access tokens: who gets one, what it contains, and the rotation of signing keys."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from pydantic import SecretStr

from accounts.answers import OPERATOR_TOKEN, RULES, SignedUp, assert_problem
from accounts.mailbox import Mailbox
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.settings import AccountsSettings
from tollgate_accounts.tokens import command, store
from tollgate_accounts.tokens.handlers import KEY_LIFETIME, PUBLISH_AHEAD, RETENTION, Issuer
from tollgate_accounts.tokens.seal import Seal
from tollgate_common.auth.access_tokens import JWKS_PATH, Role, Verifier
from tollgate_common.auth.service_auth import ServiceCredential
from tollgate_common.errors import CommandError, Problem
from tollgate_common.postgres.connection import Pool

pytestmark = pytest.mark.engines

SIGNING_SECRET = "the-signing-secret-of-this-test-only"
INTERNAL_TOKEN = "the-internal-token-of-this-test-only"


@pytest.fixture
def issuer(pool: Pool) -> Issuer:
    return Issuer(pool, Seal(SIGNING_SECRET))


@pytest.fixture
def transport(pool: Pool, passwords: Passwords, issuer: Issuer) -> httpx.ASGITransport:
    app = build_app(
        pool,
        passwords,
        lambda: None,
        rules=RULES,
        issuer=issuer,
        internal_token=SecretStr(INTERNAL_TOKEN),
        operator_token=SecretStr(OPERATOR_TOKEN),
    )
    return httpx.ASGITransport(app)


@pytest.fixture
async def client(transport: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
        yield client


@pytest.fixture
def verifier(transport: httpx.ASGITransport) -> Verifier:
    """A verifier as another service has it."""
    return Verifier("http://accounts", transport)


async def execute(pool: Pool, statement: Any, *parameters: object) -> None:
    async with pool.connection() as connection:
        await connection.execute(statement, parameters)


async def kids(issuer: Issuer) -> list[str]:
    return sorted(await issuer.published())


def signed_by(text: str) -> str:
    return str(jwt.get_unverified_header(text)["kid"])


async def token(client: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    answer = await client.post("/v1/tokens", headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_member_gets_what_other_services_accept(
    client: httpx.AsyncClient, ada: dict[str, str], verifier: Verifier
) -> None:
    answer = await client.post("/v1/tokens", headers=ada)
    account = (await client.get("/v1/account", headers=ada)).json()
    body = answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert (body["expires_in"], body["role"], body["account_id"]) == (300, "owner", account["account_id"])
    verified = await verifier.verify(body["token"])
    assert (verified.account_id, verified.role) == (account["account_id"], Role.OWNER)
    assert verified.subject != ""


async def test_a_token_is_for_an_organization_of_ones_own(
    client: httpx.AsyncClient, ada: dict[str, str], signed_up: SignedUp
) -> None:
    bob = await signed_up("bob@example.com")
    his = (await client.get("/v1/account", headers=bob)).json()["account_id"]
    foreign = await client.post("/v1/tokens", headers=ada | {"Tollgate-Organization": his})
    assert_problem(foreign, 404, "organization_not_found", "Tollgate-Organization")
    assert_problem(await client.post("/v1/tokens"), 401, "session_required")


async def test_the_published_keys_have_no_private_part(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    await token(client, ada)
    answer = await client.get(JWKS_PATH)
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert answer.headers["Cache-Control"] == "public, max-age=60"


async def test_a_private_key_lies_encrypted(pool: Pool, issuer: Issuer) -> None:
    await issuer.rotate()
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT * FROM signing_keys")).fetchone()
    assert row is not None
    key = Seal(SIGNING_SECRET).open(row["kid"], row["sealed_private_key"])
    assert key is not None
    assert key.public_key().public_bytes_raw() == row["public_key"]
    assert key.private_bytes_raw() not in row["sealed_private_key"]
    assert Seal("another secret").open(row["kid"], row["sealed_private_key"]) is None
    assert Seal(SIGNING_SECRET).open("another name", row["sealed_private_key"]) is None


async def test_a_service_gets_a_token_for_the_shared_secret(
    transport: httpx.ASGITransport, client: httpx.AsyncClient, verifier: Verifier
) -> None:
    credential = ServiceCredential("billing", INTERNAL_TOKEN, "http://accounts", transport)
    shown = (await credential.headers())["Authorization"].removeprefix("Bearer ")
    verified = await verifier.verify(shown)
    assert (verified.subject, verified.role, verified.account_id) == ("service:billing", Role.SERVICE, "")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {shown}"}):
        answer = await client.post("/internal/v1/tokens", json={"service": "billing"}, headers=headers)
        assert_problem(answer, 401, "unknown_service")
    headers = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}
    answer = await client.post("/internal/v1/tokens", json={"service": "Robert'); --"}, headers=headers)
    assert_problem(answer, 422, "invalid_input", "service")


async def test_an_operators_token(
    client: httpx.AsyncClient, pool: Pool, ada: dict[str, str], verifier: Verifier
) -> None:
    assert_problem(await client.post("/v1/operator/tokens", headers=ada), 403, "operators_only")
    await Mailbox(pool).confirm(client, "ada@example.com")
    await execute(pool, "INSERT INTO operators (person_id) SELECT id FROM persons")
    by_session = (await client.post("/v1/operator/tokens", headers=ada)).json()
    by_secret = (await client.post("/v1/operator/tokens", headers={"Authorization": f"Bearer {OPERATOR_TOKEN}"})).json()
    assert (await verifier.verify(by_session["token"])).role is Role.OPERATOR
    assert (await verifier.verify(by_secret["token"])).subject == "operator-token"
    wrong = await client.post("/v1/operator/tokens", headers={"Authorization": "Bearer the-operator-tokem"})
    assert_problem(wrong, 401, "invalid_session")


async def test_without_a_secret_no_token_is_given(pool: Pool, passwords: Passwords, ada: dict[str, str]) -> None:
    transport = httpx.ASGITransport(build_app(pool, passwords, lambda: None, rules=RULES))
    async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
        assert_problem(await client.post("/v1/tokens", headers=ada), 503, "tokens_not_configured")
        assert (await client.get(JWKS_PATH)).json() == {"keys": []}
        answer = await client.post("/internal/v1/tokens", json={"service": "a"}, headers={"Authorization": "Bearer x"})
        assert_problem(answer, 401, "unknown_service")


# --- rotation -------------------------------------------------------------------------------------------------------


async def pass_time(pool: Pool, by: timedelta) -> None:
    await execute(pool, "UPDATE signing_keys SET signs_from = signs_from - %s", by)


async def test_a_key_is_published_before_it_signs_and_kept_until_its_tokens_are_dead(
    pool: Pool, issuer: Issuer
) -> None:
    text, _ = await issuer.for_service("a")
    first = signed_by(text)
    await pass_time(pool, KEY_LIFETIME - PUBLISH_AHEAD - timedelta(minutes=1))
    await issuer.rotate()
    assert await kids(issuer) == [first]

    await pass_time(pool, timedelta(minutes=1))
    await issuer.rotate()
    (second,) = set(await issuer.published()) - {first}
    assert signed_by((await issuer.for_service("a"))[0]) == first, "the new key is published and does not sign yet"

    await pass_time(pool, PUBLISH_AHEAD)
    await issuer.rotate()
    assert await kids(issuer) == sorted([first, second])
    assert signed_by((await issuer.for_service("a"))[0]) == second

    await pass_time(pool, RETENTION)
    await issuer.rotate()
    assert await kids(issuer) == [second]


async def test_instances_that_rotate_at_once_make_one_key(pool: Pool, issuer: Issuer) -> None:
    await asyncio.gather(*(Issuer(pool, Seal(SIGNING_SECRET)).rotate() for _ in range(8)))
    assert len(await kids(issuer)) == 1
    await pass_time(pool, KEY_LIFETIME)
    await asyncio.gather(*(Issuer(pool, Seal(SIGNING_SECRET)).rotate() for _ in range(8)))
    assert len(await kids(issuer)) == 2


async def test_a_concurrent_rotation_sees_the_key_of_the_first(pool: Pool, issuer: Issuer) -> None:
    """Its transaction started earlier and gets the lock later."""
    async with pool.connection() as late:
        await late.execute("SELECT now()")
        await issuer.rotate()
        await store.lock_signing_keys(late)
        (key,) = await store.read_signing_keys(late)
        assert key.signs_since >= timedelta(0)


async def test_another_secret_begins_with_another_key_at_once(pool: Pool, issuer: Issuer) -> None:
    before = signed_by((await issuer.for_service("a"))[0])
    after = Issuer(pool, Seal("another signing secret of this test"))
    text, _ = await after.for_service("a")
    assert signed_by(text) != before
    assert await kids(after) == sorted([before, signed_by(text)]), "tokens of the key before are still good"


@pytest.fixture
def settings(postgres_dsn: str) -> AccountsSettings:
    return AccountsSettings(
        kafka_bootstrap="unused:9092",
        port=1,
        email_verification="optional",
        postgres_dsn=SecretStr(postgres_dsn),
        signing_secret=SecretStr(SIGNING_SECRET),
    )


async def test_the_command_publishes_the_next_key(issuer: Issuer, settings: AccountsSettings) -> None:
    first = signed_by((await issuer.for_service("a"))[0])
    assert "is published" in await command.rotate(settings, parse())
    assert len(await kids(issuer)) == 2
    assert signed_by((await issuer.for_service("a"))[0]) == first


async def test_after_a_leak_no_token_of_the_key_is_good(
    issuer: Issuer, settings: AccountsSettings, transport: httpx.ASGITransport
) -> None:
    leaked, _ = await issuer.for_service("a")
    assert "signs from now on" in await command.rotate(settings, parse("--at-once"))
    text, _ = await issuer.for_service("a")
    verifier = Verifier("http://accounts", transport)
    await verifier.verify(text)
    with pytest.raises(Problem, match="is invalid or has expired"):
        await verifier.verify(leaked)


async def test_the_command_needs_the_secret(settings: AccountsSettings) -> None:
    with pytest.raises(CommandError, match="TOLLGATE_SIGNING_SECRET"):
        await command.rotate(settings.model_copy(update={"signing_secret": None}), parse())


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)
