"""API keys: created, listed and revoked; each account sees only its own."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from accounts.answers import SignedUp, assert_problem
from tollgate_common.auth import api_key as apikey
from tollgate_common.clock import utc_now
from tollgate_common.events import KeyRecord, decode_key
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Pool

pytestmark = pytest.mark.engines

Headers = dict[str, str]


async def create(client: httpx.AsyncClient, headers: Headers, **body: Any) -> dict[str, Any]:
    answer = await client.post("/v1/keys", json={"name": "laptop"} | body, headers=headers)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def list_keys(client: httpx.AsyncClient, headers: Headers, **query: Any) -> dict[str, Any]:
    answer = await client.get("/v1/keys", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def messages(pool: Pool) -> list[tuple[str, int, KeyRecord | None]]:
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT * FROM outbox WHERE topic = 'keys.v1' ORDER BY id")
        return [
            (row["key"], row["version"], decode_key(row["payload"]) if row["payload"] is not None else None)
            for row in await cursor.fetchall()
        ]


async def test_a_key_is_shown_once_and_kept_as_its_hash(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    answer = await client.post("/v1/keys", json={"name": " laptop "}, headers=ada)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    created = answer.json()
    text = created.pop("key")
    assert apikey.is_well_formed(text)
    assert (created["name"], created["hint"], created["models"]) == ("laptop", apikey.hint(text), None)
    assert (created["expires_at"], created["revoked_at"]) == (None, None)
    assert await list_keys(client, ada) == {"keys": [created], "next_after": None}
    async with pool.connection() as connection:
        (row,) = await (await connection.execute("SELECT * FROM api_keys")).fetchall()
    assert text not in str(row)
    account_id = (await client.get("/v1/account", headers=ada)).json()["account_id"]
    record = KeyRecord(key_id=created["id"], account_id=account_id, name="laptop", plan="standard")
    assert await messages(pool) == [(apikey.hash_key(text), 1, record)]


async def test_what_a_key_may_be_limited_to(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    expires_at = (utc_now() + timedelta(days=1)).astimezone(UTC)
    in_tokyo = expires_at.astimezone(datetime.fromisoformat("2026-01-01T00:00:00+09:00").tzinfo)
    created = await create(client, ada, expires_at=in_tokyo.isoformat(), models=["gpt-6", "modèle/β"])
    assert datetime.fromisoformat(created["expires_at"]) == expires_at
    ((_, _, record),) = await messages(pool)
    assert record is not None
    assert (record.expires_at, record.models) == (expires_at, ("gpt-6", "modèle/β"))


async def test_what_a_key_refuses(client: httpx.AsyncClient, ada: Headers) -> None:
    for body, field in (
        ({}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "nul\x00"}, "name"),
        ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "a", "expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"name": "a", "expires_at": "9999-12-31T23:59:59.9999Z"}, "expires_at"),
        ({"name": "a", "expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"name": "a", "models": []}, "models"),
        ({"name": "a", "models": ["gpt-6", ""]}, "models.1"),
        ({"name": "a", "models": ["nul\x00"]}, "models.0"),
        ({"name": "a", "expire_at": None}, "expire_at"),
    ):
        assert_problem(await client.post("/v1/keys", json=body, headers=ada), 422, "invalid_input", field)


async def test_the_list_comes_in_pages_newest_first(client: httpx.AsyncClient, ada: Headers) -> None:
    ids = [(await create(client, ada, name=f"key {number}"))["id"] for number in range(5)]
    seen, after = [], None
    for _ in range(4):
        page = await list_keys(client, ada, limit=2, **({"after": after} if after else {}))
        seen += [key["id"] for key in page["keys"]]
        after = page["next_after"]
        if after is None:
            break
    assert (seen, after) == (ids[::-1], None)


async def test_what_the_list_refuses(client: httpx.AsyncClient, ada: Headers) -> None:
    for query, field in (({"limit": "0"}, "limit"), ({"limit": "1001"}, "limit"), ({"after": "x"}, "after")):
        answer = await client.get("/v1/keys", params=query, headers=ada)
        assert_problem(answer, 422, "invalid_input", field)


async def test_revoking_twice_is_revoking_once(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    created = await create(client, ada)
    key_hash = apikey.hash_key(created["key"])
    answers = await asyncio.gather(*(client.delete(f"/v1/keys/{created['id']}", headers=ada) for _ in range(8)))
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 8
    (listed,) = (await list_keys(client, ada))["keys"]
    assert listed["revoked_at"] is not None
    assert [(key, version) for key, version, _ in await messages(pool)] == [(key_hash, 1), (key_hash, 2)]
    assert (await messages(pool))[1][2] is None


async def test_an_account_neither_sees_nor_ends_anothers_keys(
    client: httpx.AsyncClient, ada: Headers, signed_up: SignedUp
) -> None:
    created = await create(client, ada)
    bob = await signed_up("bob@example.com")
    assert (await list_keys(client, bob))["keys"] == []
    assert (await list_keys(client, bob, after=new_id()))["keys"] == []
    foreign = await client.delete(f"/v1/keys/{created['id']}", headers=bob)
    absent = await client.delete(f"/v1/keys/{new_id()}", headers=bob)
    for answer in (foreign, absent):
        assert_problem(answer, 404, "key_not_found", "key_id")
    assert foreign.json()["detail"] == absent.json()["detail"]
    (listed,) = (await list_keys(client, ada))["keys"]
    assert listed["revoked_at"] is None


async def test_a_key_id_that_is_none(client: httpx.AsyncClient, ada: Headers) -> None:
    assert_problem(await client.delete("/v1/keys/laptop", headers=ada), 422, "invalid_input", "key_id")
