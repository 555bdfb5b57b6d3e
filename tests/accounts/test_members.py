"""Organizations: members, roles, invitations, and persons who belong to several."""

import asyncio
from collections import Counter

import httpx
import pytest

from accounts.answers import SignedUp, assert_problem
from accounts.joining import Headers, account_id, joins, person_id
from accounts.mailbox import Mailbox
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Pool

pytestmark = pytest.mark.engines


@pytest.fixture
def mailbox(pool: Pool) -> Mailbox:
    return Mailbox(pool)


async def test_an_invitation_makes_a_member_once(
    client: httpx.AsyncClient, mailbox: Mailbox, ada: Headers, signed_up: SignedUp
) -> None:
    bob, eve = await signed_up("bob@example.com"), await signed_up("eve@example.com")
    invitation = {"email": "BOB@example.com", "role": "developer"}
    assert (await client.post("/v1/invitations", json=invitation, headers=ada)).status_code == 201
    token = await mailbox.token("BOB@example.com")
    (listed,) = (await client.get("/v1/invitations", headers=ada)).json()["invitations"]
    assert (listed["email"], listed["role"]) == ("BOB@example.com", "developer")

    stolen = await client.post("/v1/invitations/acceptances", json={"token": token}, headers=eve)
    assert_problem(stolen, 404, "invalid_invitation", "token")
    accepted = await client.post("/v1/invitations/acceptances", json={"token": token}, headers=bob)
    assert accepted.json() == {"account_id": await account_id(client, ada), "role": "developer"}
    again = await client.post("/v1/invitations/acceptances", json={"token": token}, headers=bob)
    assert_problem(again, 404, "invalid_invitation", "token")

    assert (await client.get("/v1/invitations", headers=ada)).json()["invitations"] == []
    members = (await client.get("/v1/members", headers=ada)).json()["members"]
    assert [(one["email"], one["role"]) for one in members] == [
        ("ada@example.com", "owner"),
        ("bob@example.com", "developer"),
    ]
    assert_problem(await client.post("/v1/invitations", json=invitation, headers=ada), 409, "already_member", "email")


async def test_an_invitation_ends(
    client: httpx.AsyncClient, pool: Pool, mailbox: Mailbox, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await signed_up("bob@example.com")
    invitation = {"email": "bob@example.com", "role": "viewer"}
    tokens = []
    for _ in range(2):
        await client.post("/v1/invitations", json=invitation, headers=ada)
        tokens.append(await mailbox.token("bob@example.com"))
    old = await client.post("/v1/invitations/acceptances", json={"token": tokens[0]}, headers=bob)
    assert_problem(old, 404, "invalid_invitation", "token")
    async with pool.connection() as connection:
        await connection.execute("UPDATE invitations SET expires_at = now()")
    late = await client.post("/v1/invitations/acceptances", json={"token": tokens[1]}, headers=bob)
    assert_problem(late, 404, "invalid_invitation", "token")

    made = (await client.post("/v1/invitations", json=invitation, headers=ada)).json()
    assert (await client.delete(f"/v1/invitations/{made['id']}", headers=ada)).status_code == 204
    gone = await client.delete(f"/v1/invitations/{made['id']}", headers=ada)
    assert_problem(gone, 404, "invitation_not_found", "invitation_id")
    before = len(mailbox.mails)
    await mailbox.fetch()
    assert len(mailbox.mails) == before, "a mail of what was withdrawn is not sent"


async def test_a_person_works_in_several_organizations(
    client: httpx.AsyncClient, mailbox: Mailbox, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await signed_up("bob@example.com")
    own, adas = await account_id(client, bob), await account_id(client, ada)
    with_ada = await joins(client, mailbox, ada, bob, "developer")
    made = await client.post("/v1/keys", json={"name": "of ada's"}, headers=with_ada)
    assert made.status_code == 201
    assert (await client.get("/v1/keys", headers=bob)).json()["keys"] == []

    switch = {"account_id": adas}
    assert (await client.put("/v1/sessions/current/organization", json=switch, headers=bob)).status_code == 204
    assert [key["name"] for key in (await client.get("/v1/keys", headers=bob)).json()["keys"]] == ["of ada's"]
    listed = (await client.get("/v1/organizations", headers=bob)).json()["organizations"]
    assert [(one["account_id"], one["role"]) for one in listed] == [(own, "owner"), (adas, "developer")]
    third = (await client.post("/v1/organizations", json={"name": "Third"}, headers=bob)).json()
    assert (third["name"], third["role"]) == ("Third", "owner")
    for nowhere in (new_id(), await account_id(client, await signed_up("eve@example.com"))):
        refused = await client.put("/v1/sessions/current/organization", json={"account_id": nowhere}, headers=bob)
        assert_problem(refused, 404, "organization_not_found", "account_id")
    assert (await client.patch("/v1/account", json={"name": "Lovelace"}, headers=ada)).status_code == 204
    assert (await client.get("/v1/account", headers=with_ada)).json()["name"] == "Lovelace"


async def test_what_admins_may_not_decide(
    client: httpx.AsyncClient, mailbox: Mailbox, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await joins(client, mailbox, ada, await signed_up("bob@example.com"), "admin")
    eve = await joins(client, mailbox, ada, await signed_up("eve@example.com"), "viewer")
    adas, bobs, eves = [await person_id(client, one) for one in (ada, bob, eve)]
    for call in (
        client.patch(f"/v1/members/{bobs}", json={"role": "owner"}, headers=bob),
        client.patch(f"/v1/members/{adas}", json={"role": "viewer"}, headers=bob),
        client.delete(f"/v1/members/{adas}", headers=bob),
        client.post("/v1/invitations", json={"email": "x@example.com", "role": "owner"}, headers=bob),
    ):
        assert_problem(await call, 403, "owners_only", "role")
    assert (await client.patch(f"/v1/members/{eves}", json={"role": "developer"}, headers=bob)).status_code == 204
    assert (await client.post("/v1/keys", json={"name": "eve's"}, headers=eve)).status_code == 201
    assert (await client.delete(f"/v1/members/{eves}", headers=bob)).status_code == 204
    assert_problem(await client.get("/v1/keys", headers=eve), 404, "organization_not_found", "Tollgate-Organization")
    unknown = await client.patch(f"/v1/members/{eves}", json={"role": "viewer"}, headers=ada)
    assert_problem(unknown, 404, "member_not_found", "person_id")


async def test_a_removed_members_keys_go_on_and_are_found(
    client: httpx.AsyncClient, mailbox: Mailbox, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await joins(client, mailbox, ada, await signed_up("bob@example.com"), "developer")
    made = (await client.post("/v1/keys", json={"name": "bob's"}, headers=bob)).json()
    await client.post("/v1/keys", json={"name": "ada's"}, headers=ada)
    assert (await client.delete(f"/v1/members/{await person_id(client, bob)}", headers=ada)).status_code == 204
    keys = (await client.get("/v1/keys", headers=ada)).json()["keys"]
    assert [(key["name"], key["created_by"], key["revoked_at"]) for key in keys] == [
        ("ada's", "ada@example.com", None),
        ("bob's", "bob@example.com", None),
    ]
    rotated = await client.post(f"/v1/keys/{made['id']}/rotations", json={"overlap_s": 0}, headers=ada)
    assert rotated.json()["created_by"] == "ada@example.com", "who has its text"


async def test_a_session_goes_on_where_its_person_is_still_a_member(
    client: httpx.AsyncClient, mailbox: Mailbox, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await signed_up("bob@example.com")
    own, adas, bobs = await account_id(client, bob), await account_id(client, ada), await person_id(client, bob)
    with_ada = await joins(client, mailbox, ada, bob, "admin")
    switch = {"account_id": adas}
    assert (await client.put("/v1/sessions/current/organization", json=switch, headers=bob)).status_code == 204
    assert (await client.delete(f"/v1/members/{bobs}", headers=ada)).status_code == 204
    assert await account_id(client, bob) == own

    eve = await signed_up("eve@example.com")
    eves = await account_id(client, eve)
    await joins(client, mailbox, bob, eve, "owner")
    assert (await client.delete("/v1/members/current", headers=bob)).status_code == 204
    nowhere = await client.get("/v1/account", headers=bob)
    assert_problem(nowhere, 404, "organization_not_found", "Tollgate-Organization")
    assert (await client.get("/v1/organizations", headers=bob)).json()["organizations"] == []
    await joins(client, mailbox, ada, bob, "viewer")
    assert await account_id(client, bob) == adas, "the first that they join is theirs to work in"
    assert with_ada["Tollgate-Organization"] == adas
    assert await account_id(client, eve) == eves, "others' sessions stay where they are"
    assert (await client.delete("/v1/members/current", headers=bob)).status_code == 204
    made = await client.post("/v1/organizations", json={"name": "Anew"}, headers=bob)
    assert await account_id(client, bob) == made.json()["account_id"]


async def invite(
    client: httpx.AsyncClient, mailbox: Mailbox, host: Headers, guest: str, role: str
) -> tuple[str, dict[str, str]]:
    """What invites whom to what, and the body that accepts it."""
    body = {"email": f"{guest}@example.com", "role": role}
    assert (await client.post("/v1/invitations", json=body, headers=host)).status_code == 201
    return f"{guest} {role}", {"token": await mailbox.token(body["email"])}


async def open_invitations(client: httpx.AsyncClient, host: Headers) -> set[str]:
    listed = (await client.get("/v1/invitations", headers=host)).json()["invitations"]
    return {f"{one['email'].removesuffix('@example.com')} {one['role']}" for one in listed}


async def test_invitations_end_with_their_senders_right_to_send_them(
    client: httpx.AsyncClient, mailbox: Mailbox, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await joins(client, mailbox, ada, await signed_up("bob@example.com"), "owner")
    eve, dan = await signed_up("eve@example.com"), await signed_up("dan@example.com")
    member = f"/v1/members/{await person_id(client, bob)}"
    adas, _ = await invite(client, mailbox, ada, "gus", "owner")
    _, as_owner = await invite(client, mailbox, bob, "eve", "owner")
    kept, as_viewer = await invite(client, mailbox, bob, "dan", "viewer")
    assert (await client.patch(member, json={"role": "admin"}, headers=ada)).status_code == 204
    refused = await client.post("/v1/invitations/acceptances", json=as_owner, headers=eve)
    assert_problem(refused, 404, "invalid_invitation", "token")
    assert await open_invitations(client, ada) == {adas, kept}
    log = (await client.get("/v1/audit-log", headers=ada)).json()["entries"]
    assert [one["details"] for one in log if one["action"] == "invitation.withdrawn"] == [{"email": "eve@example.com"}]

    assert (await client.delete(member, headers=ada)).status_code == 204
    refused = await client.post("/v1/invitations/acceptances", json=as_viewer, headers=dan)
    assert_problem(refused, 404, "invalid_invitation", "token")
    assert await open_invitations(client, ada) == {adas}


async def test_no_invitation_outlives_a_removal_at_the_same_moment(
    client: httpx.AsyncClient, mailbox: Mailbox, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await joins(client, mailbox, ada, await signed_up("bob@example.com"), "admin")
    member = f"/v1/members/{await person_id(client, bob)}"
    bodies = [{"email": f"guest-{number}@example.com", "role": "admin"} for number in range(20)]
    invitations = [client.post("/v1/invitations", json=body, headers=bob) for body in bodies]
    invitations.insert(10, client.delete(member, headers=ada))
    answers = await asyncio.gather(*invitations)
    assert answers[10].status_code == 204
    assert {answer.status_code for answer in answers} <= {201, 204, 403, 404}
    assert await open_invitations(client, ada) == set()


async def test_a_members_invitation_is_not_used_up(
    client: httpx.AsyncClient, pool: Pool, mailbox: Mailbox, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await signed_up("bob@example.com")
    invitation, token = await invite(client, mailbox, ada, "bob", "admin")
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO memberships (account_id, person_id, role) VALUES (%s, %s, 'viewer')",
            [await account_id(client, ada), await person_id(client, bob)],
        )
    refused = await client.post("/v1/invitations/acceptances", json=token, headers=bob)
    assert_problem(refused, 409, "already_joined", "token")
    assert await open_invitations(client, ada) == {invitation}
    log = (await client.get("/v1/audit-log", headers=ada)).json()["entries"]
    assert "member.joined" not in {one["action"] for one in log}


async def test_the_last_owner_stays(
    client: httpx.AsyncClient, mailbox: Mailbox, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await joins(client, mailbox, ada, await signed_up("bob@example.com"), "admin")
    adas, bobs = await person_id(client, ada), await person_id(client, bob)
    assert_problem(await client.delete("/v1/members/current", headers=ada), 409, "last_owner", "role")
    demoted = await client.patch(f"/v1/members/{adas}", json={"role": "admin"}, headers=ada)
    assert_problem(demoted, 409, "last_owner", "role")
    assert (await client.patch(f"/v1/members/{bobs}", json={"role": "owner"}, headers=ada)).status_code == 204
    both = await asyncio.gather(*(client.delete("/v1/members/current", headers=one) for one in (ada, bob)))
    assert Counter(answer.status_code for answer in both) == {204: 1, 409: 1}, "even when both leave at once"


async def test_a_person_cannot_fill_the_world_with_invitations(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    bodies = [{"email": f"guest-{number}@example.com", "role": "viewer"} for number in range(60)]
    answers = await asyncio.gather(*(client.post("/v1/invitations", json=body, headers=ada) for body in bodies))
    assert Counter(answer.status_code for answer in answers) == {201: 50, 429: 10}
    assert_problem(await client.post("/v1/invitations", json=bodies[0], headers=ada), 429, "too_many_attempts")
