"""Every endpoint × role × foreign organization, drawn from the application's own routes: a new route is in the table by
itself, and one that does not say who may call it fails here.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import SecretStr

from accounts.answers import PASSWORD, RULES
from tollgate_accounts.access.operators import OfOperators, OfServices
from tollgate_accounts.access.permissions import InOrganization, Permission, Public, SignedIn, token_hash
from tollgate_accounts.access.roles import Role
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_common.ids import new_id
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.connection import Pool

SECRET = "s" * 32
# What a call needs in its body to get as far as looking for what its path names.
BODIES = {"PATCH /v1/members/{person_id}": {"role": "viewer"}}


class Call:
    """One method of one route, and who may use it."""

    def __init__(self, route: APIRoute, method: str) -> None:
        self.path = route.path
        self.method = method
        self.name = f"{method} {route.path}"
        self.parameters = [field.name for field in route.dependant.path_params]
        dependencies: list[Any] = [dependency.call for dependency in route.dependant.dependencies]
        self.permissions = [one for one in dependencies if isinstance(one, Permission)]

    @property
    def permission(self) -> Permission:
        (only,) = self.permissions
        return only


def application(pool: Pool, passwords: Passwords) -> FastAPI:
    secret = SecretStr(SECRET)
    return build_app(pool, passwords, lambda: None, rules=RULES, internal_token=secret, operator_token=secret)


def calls_of(app: FastAPI) -> Iterator[Call]:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in sorted(route.methods or ()):
                yield Call(route, method)


async def test_every_route_says_who_may_call_it(passwords: Passwords) -> None:
    app = application(postgres.create_pool("postgresql://unused"), passwords)
    calls = list(calls_of(app))
    assert len(calls) > 30
    assert [call.name for call in calls if len(call.permissions) != 1] == []
    known = (Public, SignedIn, InOrganization, OfOperators, OfServices)
    assert [call.name for call in calls if not isinstance(call.permission, known)] == []


class World:
    """An organization with a member of each role and one of everything that it can own, and a stranger's."""

    def __init__(self, pool: Pool, app: FastAPI) -> None:
        self.pool = pool
        self.app = app
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://accounts")
        self.account_id = ""
        self.persons: dict[str, str] = {}
        self.ids: dict[str, str] = {}

    async def build(self) -> None:
        for name in (*Role, "stranger"):
            body = {"email": f"{name}@example.com", "password": PASSWORD}
            assert (await self.client.post("/v1/accounts", json=body)).status_code == 201
        async with self.pool.connection() as connection:
            found = await (await connection.execute("SELECT id::text AS id, email FROM persons")).fetchall()
        self.persons = {row["email"].split("@")[0]: row["id"] for row in found}
        owner = await self.session("owner")
        self.account_id = (await self.client.get("/v1/account", headers=owner)).json()["account_id"]
        await self.restore()
        key = await self.client.post("/v1/keys", json={"name": "laptop"}, headers=owner)
        project = await self.client.post("/v1/projects", json={"name": "site"}, headers=owner)
        invitation = {"email": "guest@example.com", "role": "viewer"}
        invited = await self.client.post("/v1/invitations", json=invitation, headers=owner)
        async with self.pool.connection() as connection:
            (session,) = await (
                await connection.execute(
                    "SELECT id::text AS id FROM sessions WHERE person_id = %s", [self.persons["owner"]]
                )
            ).fetchall()
        self.ids = {
            "key_id": key.json()["id"],
            "project_id": project.json()["id"],
            "invitation_id": invited.json()["id"],
            "person_id": self.persons["viewer"],
            "session_id": session["id"],
        }

    async def restore(self) -> None:
        """Everybody is what they were, whatever a call has done."""
        async with self.pool.connection() as connection:
            for role in Role:
                await connection.execute(
                    "INSERT INTO memberships (account_id, person_id, role) VALUES (%s, %s, %s) "
                    "ON CONFLICT (account_id, person_id) DO UPDATE SET role = excluded.role",
                    [self.account_id, self.persons[role], role.value],
                )

    async def session(self, name: str) -> dict[str, str]:
        """A fresh session of a person, in this organization if they are a member."""
        token = f"tgs_{new_id()}"
        async with self.pool.connection() as connection:
            await connection.execute(
                "INSERT INTO sessions (id, token_hash, person_id, account_id, user_agent, address, expires_at) "
                "VALUES (%s, %s, %s, (SELECT account_id FROM memberships WHERE person_id = %s "
                "ORDER BY account_id = NULLIF(%s, '')::uuid DESC NULLS LAST LIMIT 1), "
                "'', '', now() + interval '1 day')",
                [new_id(), token_hash(token), self.persons[name], self.persons[name], self.account_id],
            )
        return {"Authorization": f"Bearer {token}"}

    async def call(self, call: Call, headers: dict[str, str], ids: dict[str, str]) -> tuple[int, str]:
        """Status and code of the answer."""
        path = call.path
        for parameter in call.parameters:
            path = path.replace(f"{{{parameter}}}", ids.get(parameter) or new_id())
        body = None if call.method == "GET" else BODIES.get(call.name, {})
        answer = await self.client.request(call.method, path, json=body, headers=headers)
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        return answer.status_code, answer.json()["code"] if is_problem else ""


@pytest.fixture
async def world(pool: Pool, passwords: Passwords) -> AsyncIterator[World]:
    world = World(pool, application(pool, passwords))
    async with world.client:
        await world.build()
        yield world


@pytest.mark.engines
async def test_the_table_of_endpoints_and_roles(world: World) -> None:
    """Who is let in, and who is not, is what the route declares; what a call then does is other tests' business."""
    wrong: list[Any] = []
    seen = 0
    for call in calls_of(world.app):
        for role in Role:
            status, code = await world.call(call, await world.session(role), {})
            await world.restore()
            seen += 1
            if status >= 500 and code != "tokens_not_configured":
                wrong.append((call.name, role, status, code))
            permission = call.permission
            if isinstance(permission, InOrganization):
                expected = "insufficient_role" if role not in permission.roles else None
            elif isinstance(permission, OfOperators):
                expected = "operators_only"
            elif isinstance(permission, OfServices):
                expected = "unknown_service"
            else:
                expected = None
            refusals = {"insufficient_role", "operators_only", "unknown_service", "invalid_session", "session_required"}
            if (code if code in refusals else None) != expected:
                wrong.append((call.name, role, status, code))
    assert wrong == []
    assert seen > 150


@pytest.mark.engines
async def test_nobody_is_let_in_without_a_session(world: World) -> None:
    answers = {
        call.name: await world.call(call, {}, {})
        for call in calls_of(world.app)
        if not isinstance(call.permission, Public)
    }
    assert {name: answer for name, answer in answers.items() if answer[0] != 401} == {}


@pytest.mark.engines
async def test_a_foreign_organization_is_none(world: World) -> None:
    """An owner elsewhere names the organization in the header, or what it owns in the path: both are not there."""
    stranger = await world.session("stranger")
    named = stranger | {"Tollgate-Organization": world.account_id}
    wrong: list[Any] = []
    for call in calls_of(world.app):
        if not isinstance(call.permission, InOrganization):
            continue
        if await world.call(call, named, world.ids) != (404, "organization_not_found"):
            wrong.append(("by the header", call.name))
        if call.parameters:
            unknown = set(call.parameters) - set(world.ids)
            assert not unknown, f"{call.name}: give World.ids one of the organization's own {unknown}"
            status, code = await world.call(call, stranger, world.ids)
            if status != 404:
                wrong.append(("by the path", call.name, status, code))
    assert wrong == []


@pytest.mark.engines
async def test_what_is_a_persons_own_is_nobody_elses(world: World) -> None:
    stranger = await world.session("stranger")
    for call in calls_of(world.app):
        if isinstance(call.permission, SignedIn) and call.parameters:
            assert set(call.parameters) <= set(world.ids), call.name
            assert (await world.call(call, stranger, world.ids))[0] == 404, call.name
