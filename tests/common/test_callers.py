"""Who is let in where, by key, token and secret."""

import time
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from pydantic import SecretStr

from common.tokens import Publisher, new_signer, token_of
from tollgate_common.auth import api_key as apikey
from tollgate_common.auth.access_tokens import Role
from tollgate_common.auth.callers import Caller, customers, operators
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.auth.service_auth import ServiceCredential, internal_callers
from tollgate_common.events import KeyRecord, UsageScope, encode
from tollgate_common.http import create_app

SECRET = "the-internal-secret-of-this-test-only"
OPERATOR_SECRET = "the-operators-secret"
SIGNER = new_signer("a")
KEY = apikey.generate()
RECORD = KeyRecord(
    key_id="k1", account_id="of-key", name="n", plan="standard", project_id="p", usage_scope=UsageScope.PROJECT
)


class Known(KeyDirectory):
    """A directory that holds one key without having read a topic."""

    def __init__(self) -> None:
        self._keys = {}
        self._by_id = {}
        self._apply(KEY.hash, encode(RECORD))

    class topic:  # noqa: N801 - stands for the attribute
        @staticmethod
        def waiting_for() -> None:
            return None


def application() -> FastAPI:
    tokens = Publisher(SIGNER).verifier()
    app = create_app("test", ready=lambda: None)

    @app.get("/customer")
    async def customer(caller: Annotated[Caller, Depends(customers(Known(), tokens))]) -> dict[str, Any]:
        key_id = caller.key.key_id if caller.key else None
        return caller._asdict() | {"key": key_id}

    @app.get("/operator", dependencies=[Depends(operators(SecretStr(OPERATOR_SECRET), tokens))])
    async def operator() -> None:
        return None

    @app.get("/operator-by-token", dependencies=[Depends(operators(None, tokens))])
    async def operator_by_token() -> None:
        return None

    @app.get("/internal", dependencies=[Depends(internal_callers(SECRET, "none", "nothing works", tokens))])
    async def internals() -> None:
        return None

    return app


@pytest.fixture
def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(application()), base_url="http://test")


async def ask(client: httpx.AsyncClient, path: str, bearer: str) -> tuple[int, str | None]:
    answer = await client.get(path, headers={"Authorization": f"Bearer {bearer}"})
    body = answer.json()
    return answer.status_code, body.get("code") if answer.is_error else None


async def test_a_key_and_a_token_give_one_kind_of_caller(client: httpx.AsyncClient) -> None:
    by_key = await client.get("/customer", headers={"Authorization": f"Bearer {KEY.text}"})
    assert by_key.json() == {
        "account_id": "of-key",
        "usage_scope": "project",
        "key": "k1",
        "person_id": None,
        "role": None,
    }
    token = token_of(SIGNER, Role.VIEWER, subject="p1", account_id="of-token")
    by_token = await client.get("/customer", headers={"Authorization": f"Bearer {token}"})
    assert by_token.json() == {
        "account_id": "of-token",
        "usage_scope": "account",
        "key": None,
        "person_id": "p1",
        "role": "viewer",
    }


MEMBERS = [role for role in Role if role.of_member]


@pytest.mark.parametrize("role", Role)
async def test_every_role_at_every_door(client: httpx.AsyncClient, role: Role) -> None:
    token = token_of(SIGNER, role)
    let_in = (200, None)
    assert await ask(client, "/customer", token) == (let_in if role in MEMBERS else (403, "members_only"))
    for path in ("/operator", "/operator-by-token"):
        assert await ask(client, path, token) == (let_in if role is Role.OPERATOR else (403, "operators_only"))
    assert await ask(client, "/internal", token) == (let_in if role is Role.SERVICE else (403, "services_only"))


async def test_secrets_open_their_own_door_only(client: httpx.AsyncClient) -> None:
    assert await ask(client, "/internal", SECRET) == (200, None)
    assert await ask(client, "/operator", OPERATOR_SECRET) == (200, None)
    assert await ask(client, "/operator", SECRET) == (401, "invalid_operator_token")
    assert await ask(client, "/internal", OPERATOR_SECRET) == (401, "invalid_token")
    assert await ask(client, "/customer", SECRET) == (401, "invalid_api_key")
    assert await ask(client, "/operator-by-token", OPERATOR_SECRET) == (403, "operator_api_disabled")


@pytest.mark.parametrize("path", ["/customer", "/operator", "/operator-by-token", "/internal"])
async def test_a_token_of_nobodys_key_opens_no_door(client: httpx.AsyncClient, path: str) -> None:
    assert await ask(client, path, token_of(new_signer("a"), Role.OPERATOR)) == (401, "invalid_token")


# --- what a service shows -------------------------------------------------------------------------------------------


class Accounts:
    """Gives a service its token, unless it is away."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.is_away = False

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append({"path": request.url.path, "authorization": request.headers["authorization"]})
        if self.is_away:
            raise httpx.ConnectError("accounts is away", request=request)
        return httpx.Response(200, json={"token": f"token-{len(self.asked)}", "expires_in": 300})

    def credential(self) -> ServiceCredential:
        return ServiceCredential("billing", SECRET, "http://accounts", httpx.MockTransport(self.answer))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


async def test_a_service_shows_its_token_and_renews_it_at_half_its_life(clock: list[float]) -> None:
    accounts = Accounts()
    credential = accounts.credential()
    assert await credential.headers() == {"Authorization": "Bearer token-1"}
    assert accounts.asked == [{"path": "/internal/v1/tokens", "authorization": f"Bearer {SECRET}"}]
    clock[0] += 149
    assert await credential.headers() == {"Authorization": "Bearer token-1"}
    clock[0] += 1
    assert await credential.headers() == {"Authorization": "Bearer token-2"}


async def test_without_accounts_a_service_uses_up_its_token_and_then_shows_the_secret(clock: list[float]) -> None:
    accounts = Accounts()
    credential = accounts.credential()
    await credential.headers()
    accounts.is_away = True
    clock[0] += 200
    assert await credential.headers() == {"Authorization": "Bearer token-1"}
    clock[0] += 100
    assert await credential.headers() == {"Authorization": f"Bearer {SECRET}"}
    asked = len(accounts.asked)
    clock[0] += 1
    await credential.headers()
    assert len(accounts.asked) == asked, "it does not ask at every call"
    accounts.is_away = False
    clock[0] += 30
    assert (await credential.headers())["Authorization"].startswith("Bearer token-")


async def test_a_service_that_knows_no_accounts_shows_the_secret() -> None:
    credential = ServiceCredential("billing", SECRET, accounts_url=None)
    assert await credential.headers() == {"Authorization": f"Bearer {SECRET}"}
    await credential.aclose()
