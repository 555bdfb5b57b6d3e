"""The accounts application on its own database, called over HTTP without a socket."""

from collections.abc import AsyncIterator

import httpx
import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr

from accounts.answers import OPERATOR_TOKEN, PASSWORD, RULES, SignedUp
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.main import PACKAGES
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.connection import Pool
from tollgate_common.postgres.migrations import migrate_postgres


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[Pool]:
    await migrate_postgres(postgres_dsn, *PACKAGES)
    async with postgres.create_pool(postgres_dsn, max_size=8) as pool:
        # Some tests send a thousand requests at once; on a slow machine they wait for longer than the pool's 30 s.
        pool.timeout = 240
        yield pool


@pytest.fixture
def passwords() -> Passwords:
    """The cheapest argon2id, so that a thousand sign-ups take less than a minute."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
async def client(pool: Pool, passwords: Passwords) -> AsyncIterator[httpx.AsyncClient]:
    app = build_app(pool, passwords, lambda: None, rules=RULES, operator_token=SecretStr(OPERATOR_TOKEN))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
        yield client


@pytest.fixture
def signed_up(client: httpx.AsyncClient) -> SignedUp:
    """Create an account, sign in, and return the headers of its requests."""

    async def sign_up(email: str) -> dict[str, str]:
        credentials = {"email": email, "password": PASSWORD}
        created = await client.post("/v1/accounts", json=credentials)
        assert created.status_code == 201, created.text
        session = await client.post("/v1/sessions", json=credentials)
        assert session.status_code == 201, session.text
        return {"Authorization": f"Bearer {session.json()['token']}"}

    return sign_up


@pytest.fixture
async def ada(signed_up: SignedUp) -> dict[str, str]:
    return await signed_up("ada@example.com")


@pytest.fixture
def operator() -> dict[str, str]:
    """The headers with the shared operator token."""
    return {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
