"""Claims of idempotency keys over HTTP: one request serves, the others get its answer."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from balance.world import BalanceDatabase
from tollgate_balance.idempotency import api as idempotency
from tollgate_common.http import create_app

pytestmark = pytest.mark.engines

TOKEN = "t" * 32
ANSWER = base64.b64encode(b"\x00sealed\xff").decode()


@pytest.fixture
async def client(books: BalanceDatabase) -> AsyncIterator[httpx.AsyncClient]:
    service = create_app("balance", ready=lambda: None)
    idempotency.add_routes(service, books.pool, TOKEN)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(service),
        base_url="http://balance/internal/v1/idempotency",
        headers={"Authorization": f"Bearer {TOKEN}"},
    ) as client:
        yield client


async def claim(client: httpx.AsyncClient, token: str, *, boot: str = "boot-1", asks: str = "f") -> dict[str, Any]:
    response = await client.put("/key", json={"boot_id": boot, "token": token, "fingerprint": asks})
    assert response.status_code == 200, response.text
    return dict(response.json())


async def keep(client: httpx.AsyncClient, token: str) -> bool:
    response = await client.put("/key/answer", json={"token": token, "answer": ANSWER})
    return bool(response.json()["kept"])


async def test_one_of_many_serves_and_the_others_get_its_answer(
    books: BalanceDatabase, client: httpx.AsyncClient
) -> None:
    await books.renew("boot-1")
    await books.renew("boot-2")
    states = await asyncio.gather(*(claim(client, f"r{n}", boot=f"boot-{n % 2 + 1}") for n in range(20)))
    (first,) = [f"r{n}" for n, found in enumerate(states) if found["state"] == "claimed"]
    assert sum(found["state"] == "running" for found in states) == 19
    assert (await claim(client, first))["state"] == "claimed", "a call that is repeated unchanged"
    assert await keep(client, first)
    assert await keep(client, first)
    assert not await keep(client, "another")
    assert await claim(client, "late") == {"state": "answered", "answer": ANSWER}
    assert (await claim(client, "other", asks="g"))["state"] == "mismatch"


async def test_a_claim_that_is_released_is_free_and_an_answer_stays(
    books: BalanceDatabase, client: httpx.AsyncClient
) -> None:
    await books.renew("boot-1")
    await claim(client, "first")
    await client.post("/key/release", json={"token": "stranger"})
    assert (await claim(client, "second"))["state"] == "running"
    await client.post("/key/release", json={"token": "first"})
    assert (await claim(client, "second", asks="g"))["state"] == "claimed"
    assert not await keep(client, "first")
    assert await keep(client, "second")
    await client.post("/key/release", json={"token": "second"})
    assert (await claim(client, "third", asks="g"))["state"] == "answered"


async def test_only_a_fenced_edge_loses_its_claim_and_then_keeps_nothing(
    books: BalanceDatabase, client: httpx.AsyncClient
) -> None:
    await books.renew("boot-1")
    await books.renew("boot-2")
    await claim(client, "first")
    assert (await claim(client, "second", boot="boot-2"))["state"] == "running"
    await books.execute("UPDATE boots SET fenced_at = now() WHERE boot_id = 'boot-1'")
    assert (await claim(client, "third", boot="boot-2", asks="g"))["state"] == "mismatch"
    assert (await claim(client, "second", boot="boot-2"))["state"] == "claimed"
    # It was only slow, and comes back.
    assert not await keep(client, "first")
    assert await keep(client, "second")


async def test_what_a_fenced_edge_has_kept_is_the_answer(books: BalanceDatabase, client: httpx.AsyncClient) -> None:
    await books.renew("boot-1")
    await books.renew("boot-2")
    await claim(client, "first")
    assert await keep(client, "first")
    await books.execute("UPDATE boots SET fenced_at = now() WHERE boot_id = 'boot-1'")
    assert (await claim(client, "second", boot="boot-2"))["state"] == "answered"


async def test_after_a_day_a_key_is_new(books: BalanceDatabase, client: httpx.AsyncClient) -> None:
    await books.renew("boot-1")
    await claim(client, "first")
    await keep(client, "first")
    await books.execute("UPDATE idempotency_claims SET claimed_at = now() - interval '25 hours'")
    assert (await claim(client, "second", asks="g"))["state"] == "claimed"


async def test_an_unknown_boot_claims_nothing(books: BalanceDatabase, client: httpx.AsyncClient) -> None:
    response = await client.put("/key", json={"boot_id": "nobody", "token": "r", "fingerprint": "f"})
    assert (response.status_code, response.json()["code"]) == (409, "boot_not_found")
