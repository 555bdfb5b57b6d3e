"""What a person may have once, over all the organizations that they found, pass on and are members of."""

import asyncio
from collections import Counter

import httpx
import pytest

from accounts.answers import SignedUp, assert_problem
from accounts.joining import Headers, account_id, joins, person_id
from accounts.mailbox import Mailbox
from tollgate_accounts.promo import store
from tollgate_accounts.promo.store import Terms
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Pool

pytestmark = pytest.mark.engines


async def campaign(pool: Pool, terms: Terms, *codes: str) -> None:
    async with pool.connection() as connection:
        campaign_id = new_id()
        await store.add_campaign(connection, campaign_id, terms)
        await store.add_codes(connection, campaign_id, codes, None)


async def redeem(client: httpx.AsyncClient, headers: Headers, code: str) -> httpx.Response:
    return await client.post("/v1/promo-codes/redemptions", json={"code": code}, headers=headers)


async def found(client: httpx.AsyncClient, headers: Headers, name: str) -> Headers:
    """Founds an organization; the headers of calls about it."""
    answer = await client.post("/v1/organizations", json={"name": name}, headers=headers)
    assert answer.status_code == 201, answer.text
    return headers | {"Tollgate-Organization": answer.json()["account_id"]}


async def pass_on(
    client: httpx.AsyncClient, mailbox: Mailbox, founder: Headers, heir: Headers, organization: Headers
) -> None:
    await joins(client, mailbox, organization, heir, "owner")
    path = f"/v1/members/{await person_id(client, founder)}"
    assert (await client.patch(path, json={"role": "developer"}, headers=organization)).status_code == 204


async def test_a_code_counts_once_a_person_whatever_becomes_of_the_organization(
    client: httpx.AsyncClient, pool: Pool, ada: Headers, signed_up: SignedUp
) -> None:
    await campaign(pool, Terms("Welcome", 10), "WELCOME")
    bob, mailbox = await signed_up("bob@example.com"), Mailbox(pool)
    second = await found(client, ada, "second")
    assert (await redeem(client, second, "WELCOME")).status_code == 201
    await pass_on(client, mailbox, ada, bob, second)
    for organization in (ada, await found(client, ada, "third")):
        assert_problem(await redeem(client, organization, "WELCOME"), 409, "promo_code_already_redeemed", "code")
    heirs = bob | {"Tollgate-Organization": second["Tollgate-Organization"]}
    assert_problem(await redeem(client, heirs, "WELCOME"), 409, "promo_code_already_redeemed", "code")
    assert (await redeem(client, bob, "WELCOME")).status_code == 201, "the heir has one of his own"


async def test_of_one_person_in_many_organizations_one_redeems_even_all_at_once(
    client: httpx.AsyncClient, pool: Pool, ada: Headers
) -> None:
    codes = [f"CODE{number}" for number in range(8)]
    await campaign(pool, Terms("Two a head", 10, max_per_account=2), *codes)
    organizations = [await found(client, ada, code) for code in codes]
    calls = (redeem(client, one, code) for one, code in zip(organizations, codes, strict=True))
    outcomes = Counter(answer.json().get("code", "granted") for answer in await asyncio.gather(*calls))
    assert outcomes == {"granted": 2, "promo_campaign_limit_reached": 6}


async def test_who_has_had_credit_elsewhere_is_not_new(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    await campaign(pool, Terms("Welcome", 10), "WELCOME")
    await campaign(pool, Terms("Hello", 10, audience="new"), "HELLO")
    assert (await redeem(client, ada, "WELCOME")).status_code == 201
    second = await found(client, ada, "second")
    assert_problem(await redeem(client, second, "HELLO"), 409, "promo_code_new_accounts_only", "code")


async def test_a_person_founds_ten_organizations_even_all_at_once(
    client: httpx.AsyncClient, pool: Pool, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await signed_up("bob@example.com")
    await pass_on(client, Mailbox(pool), ada, bob, ada | {"Tollgate-Organization": await account_id(client, ada)})
    calls = (client.post("/v1/organizations", json={"name": f"no. {n}"}, headers=ada) for n in range(15))
    assert Counter(answer.status_code for answer in await asyncio.gather(*calls)) == {201: 9, 409: 6}
    assert (await client.post("/v1/organizations", json={"name": "x"}, headers=bob)).status_code == 201
