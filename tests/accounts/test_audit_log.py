"""The audit log: written with the act, shown to its organization, changed by nobody."""

from typing import Any

import httpx
import psycopg
import pytest

from accounts.answers import SignedUp, assert_problem
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor
from tollgate_common.postgres.connection import Pool

pytestmark = pytest.mark.engines


async def entries(client: httpx.AsyncClient, headers: dict[str, str], **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/audit-log", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


async def test_an_act_tells_who_did_what_on_what_and_from_where(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    key = (await client.post("/v1/keys", json={"name": "laptop"}, headers=ada)).json()
    await client.delete(f"/v1/keys/{key['id']}", headers=ada)
    revoked, created, founded = await entries(client, ada)
    assert [entry["action"] for entry in (founded, created, revoked)] == [
        "organisation.created",
        "key.created",
        "key.revoked",
    ]
    assert (created["actor"]["kind"], created["actor"]["email"]) == ("person", "ada@example.com")
    assert (created["target_kind"], created["target_id"], created["address"]) == ("key", key["id"], "127.0.0.1")
    assert created["details"] == {"name": "laptop", "hint": key["hint"]}
    assert key["key"] not in str(await entries(client, ada))


async def test_it_names_what_the_acts_were_on_and_nothing_of_others(
    client: httpx.AsyncClient, ada: dict[str, str], signed_up: SignedUp, pool: Pool
) -> None:
    project = (await client.post("/v1/projects", json={"name": "batch"}, headers=ada)).json()
    key = (await client.post("/v1/keys", json={"name": "laptop"}, headers=ada)).json()
    await client.patch(f"/v1/keys/{key['id']}", json={"name": "server"}, headers=ada)
    await client.delete(f"/v1/projects/{project['id']}", headers=ada)
    names = {entry["action"]: entry["target_name"] for entry in await entries(client, ada)}
    assert names == {
        "organisation.created": None,
        "project.created": "batch",
        "key.created": "server",
        "key.changed": "server",
        "project.archived": "batch",
    }
    bob = await signed_up("bob@example.com")
    account_id = (await client.get("/v1/account", headers=bob)).json()["account_id"]
    actor = Actor("person", (await client.get("/v1/person", headers=bob)).json()["person_id"], "")
    async with pool.connection() as connection:
        await audit.record(connection, actor, "member.joined", ("person", actor.id), account_id=account_id)
        await audit.record(connection, actor, "key.revoked", ("key", key["id"]), account_id=account_id)
    foreign, joined, _ = await entries(client, bob)
    assert joined["target_name"] == "bob@example.com"
    assert foreign["target_name"] is None


async def test_it_comes_in_pages(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    for number in range(3):
        await client.post("/v1/keys", json={"name": f"key {number}"}, headers=ada)
    whole = await entries(client, ada)
    page = (await client.get("/v1/audit-log", params={"limit": 2}, headers=ada)).json()
    assert page["entries"] == whole[:2]
    assert await entries(client, ada, after=page["next_after"]) == whole[2:]


async def test_nobody_sees_anothers(client: httpx.AsyncClient, ada: dict[str, str], signed_up: SignedUp) -> None:
    bob = await signed_up("bob@example.com")
    (founded,) = await entries(client, bob)
    assert founded["actor"]["email"] == "bob@example.com"


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET action = ''", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
async def test_the_database_refuses_to_change_it(pool: Pool, ada: dict[str, str], statement: Any) -> None:
    async with pool.connection() as connection:
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            await connection.execute(statement)
        await connection.rollback()


async def test_another_organization_is_as_one_that_is_not(
    client: httpx.AsyncClient, ada: dict[str, str], signed_up: SignedUp
) -> None:
    bob = await signed_up("bob@example.com")
    foreign = (await client.get("/v1/account", headers=bob)).json()["account_id"]
    for account_id in (foreign, "01980000-0000-7000-8000-000000000000"):
        answer = await client.get("/v1/keys", headers=ada | {"Tollgate-Organization": account_id})
        assert_problem(answer, 404, "organization_not_found", "Tollgate-Organization")
