"""Persons who join each other's organizations."""

import httpx

from accounts.mailbox import Mailbox

Headers = dict[str, str]


async def person_id(client: httpx.AsyncClient, headers: Headers) -> str:
    found: str = (await client.get("/v1/person", headers=headers)).json()["person_id"]
    return found


async def account_id(client: httpx.AsyncClient, headers: Headers) -> str:
    found: str = (await client.get("/v1/account", headers=headers)).json()["account_id"]
    return found


async def joins(client: httpx.AsyncClient, mailbox: Mailbox, host: Headers, guest: Headers, role: str) -> Headers:
    """Invites a person and lets them accept; the headers of their calls about that organization."""
    email = (await client.get("/v1/person", headers=guest)).json()["email"]
    invited = await client.post("/v1/invitations", json={"email": email, "role": role}, headers=host)
    assert invited.status_code == 201, invited.text
    token = await mailbox.token(email)
    accepted = await client.post("/v1/invitations/acceptances", json={"token": token}, headers=guest)
    assert (accepted.status_code, accepted.json()["role"]) == (201, role), accepted.text
    return guest | {"Tollgate-Organization": accepted.json()["account_id"]}
