"""Campaigns: limits on redemptions under concurrency, and the operators' API."""

import asyncio
import csv
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.resources import files
from typing import Any

import httpx
import pytest

from accounts.answers import PASSWORD, RULES, SignedUp, assert_problem
from accounts.crowd import signed_in_crowd
from accounts.mailbox import Mailbox
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.main import PACKAGES
from tollgate_accounts.promo import store
from tollgate_accounts.promo.store import PromoCode
from tollgate_common.clock import utc_now
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.connection import Pool
from tollgate_common.postgres.migrations import migrate_postgres

pytestmark = pytest.mark.engines

Headers = dict[str, str]
CAMPAIGN = {"name": "Spring", "amount_nano": 5_000_000_000}
CONNECTIONS = 20
MIGRATIONS = {
    file.name.removesuffix(".sql"): file.read_text()
    for package in PACKAGES
    for file in sorted((files(package) / "migrations").iterdir(), key=lambda file: file.name)
}


async def create(client: httpx.AsyncClient, operator: Headers, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/v1/operator/campaigns", json=CAMPAIGN | changes, headers=operator)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def generate(client: httpx.AsyncClient, operator: Headers, campaign: dict[str, Any], count: int) -> list[str]:
    path = f"/v1/operator/campaigns/{campaign['id']}/codes"
    answer = await client.post(path, json={"count": count}, headers=operator)
    assert (answer.status_code, answer.headers["content-type"]) == (201, "text/csv; charset=utf-8"), answer.text
    header, *lines = csv.reader(answer.text.splitlines())
    assert header == ["code"]
    return [code for (code,) in lines]


async def redeem(client: httpx.AsyncClient, headers: Headers, code: str) -> httpx.Response:
    return await client.post("/v1/promo-codes/redemptions", json={"code": code}, headers=headers)


async def counted(pool: Pool) -> tuple[int, int, int]:
    """The redemptions as the campaign counts them, as rows, and as messages to the balance service."""
    async with pool.connection() as connection:
        row = await (
            await connection.execute(
                "SELECT (SELECT sum(redemptions) FROM campaigns) AS campaigns, "
                "(SELECT count(*) FROM promo_redemptions) AS redemptions, "
                "(SELECT count(*) FROM outbox WHERE topic = 'credits.v1') AS messages"
            )
        ).fetchone()
    assert row is not None
    return int(row["campaigns"]), row["redemptions"], row["messages"]


# --- limits, under a crowd ------------------------------------------------------------------------------------------


@pytest.fixture
async def many(pool: Pool, postgres_dsn: str, passwords: Passwords) -> AsyncIterator[httpx.AsyncClient]:
    """The service with many database connections, so that many transactions run concurrently."""
    async with postgres.create_pool(postgres_dsn, max_size=CONNECTIONS) as wide:
        # A thousand requests wait for a connection at once, on a slow machine for longer than the pool's 30 s.
        wide.timeout = 240
        transport = httpx.ASGITransport(build_app(wide, passwords, lambda: None, rules=RULES))
        async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
            yield client


async def test_a_thousand_redemptions_at_once_of_a_hundred_uses_give_exactly_a_hundred(
    client: httpx.AsyncClient, many: httpx.AsyncClient, pool: Pool, operator: Headers
) -> None:
    await create(client, operator, code="SPRING", max_redemptions=100)
    crowd = await signed_in_crowd(pool, 1_000)
    answers = await asyncio.gather(*(redeem(many, headers, "spring") for headers in crowd))
    outcomes = Counter(answer.json().get("code", "granted") for answer in answers)
    assert outcomes == {"granted": 100, "promo_code_exhausted": 900}
    assert await counted(pool) == (100, 100, 100)


async def test_a_campaigns_total_holds_over_all_of_its_codes(
    client: httpx.AsyncClient, many: httpx.AsyncClient, pool: Pool, operator: Headers
) -> None:
    campaign = await create(client, operator, max_redemptions=20)
    codes = await generate(client, operator, campaign, 200)
    crowd = await signed_in_crowd(pool, 200)
    answers = await asyncio.gather(*(redeem(many, headers, code) for headers, code in zip(crowd, codes, strict=True)))
    assert Counter(answer.status_code for answer in answers) == {201: 20, 409: 180}
    assert await counted(pool) == (20, 20, 20)


async def test_a_generated_code_is_redeemed_once(
    client: httpx.AsyncClient, many: httpx.AsyncClient, pool: Pool, operator: Headers
) -> None:
    (code,) = await generate(client, operator, await create(client, operator), 1)
    crowd = await signed_in_crowd(pool, 100)
    answers = await asyncio.gather(*(redeem(many, headers, code) for headers in crowd))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 99}
    assert await counted(pool) == (1, 1, 1)


async def test_an_account_redeems_no_more_codes_than_it_may(
    client: httpx.AsyncClient, many: httpx.AsyncClient, pool: Pool, operator: Headers
) -> None:
    campaign = await create(client, operator, max_per_account=3)
    codes = await generate(client, operator, campaign, 20)
    (headers,) = await signed_in_crowd(pool, 1)
    answers = await asyncio.gather(*(redeem(many, headers, code) for code in codes))
    outcomes = Counter(answer.json().get("code", "granted") for answer in answers)
    assert outcomes == {"granted": 3, "promo_campaign_limit_reached": 17}
    assert await counted(pool) == (3, 3, 3)


async def test_new_accounts_are_those_that_never_had_credit(
    client: httpx.AsyncClient, ada: Headers, signed_up: SignedUp, operator: Headers
) -> None:
    await create(client, operator, code="HELLO", audience="new")
    await create(client, operator, name="Again", code="AGAIN", audience="new")
    assert (await redeem(client, ada, "HELLO")).status_code == 201
    assert_problem(await redeem(client, ada, "AGAIN"), 409, "promo_code_new_accounts_only", "code")
    assert (await redeem(client, await signed_up("bob@example.com"), "AGAIN")).status_code == 201
    body = {"email": "eve@example.com", "password": PASSWORD, "promo_code": "again"}
    assert (await client.post("/v1/accounts", json=body)).status_code < 300


# --- what operators do ----------------------------------------------------------------------------------------------


async def test_a_campaign_as_it_was_made(client: httpx.AsyncClient, operator: Headers) -> None:
    now = utc_now()
    created = await create(
        client,
        operator,
        code="spring",
        starts_at=now.isoformat(),
        ends_at=(now + timedelta(days=7)).isoformat(),
        credit_expires_after_days=30,
        max_redemptions=7,
    )
    assert (created["amount"], created["max_per_account"], created["audience"], created["codes"]) == (
        "5.00",
        1,
        "all",
        1,
    )
    assert (created["credit_expires_after_days"], created["max_redemptions"]) == (30, 7)
    found = await client.get(f"/v1/operator/campaigns/{created['id']}", headers=operator)
    assert found.json() == created


async def test_a_stopped_campaign_gives_nothing_more(
    client: httpx.AsyncClient, ada: Headers, signed_up: SignedUp, operator: Headers
) -> None:
    campaign = await create(client, operator, code="SPRING")
    assert (await redeem(client, ada, "SPRING")).status_code == 201
    stop = f"/v1/operator/campaigns/{campaign['id']}/stop"
    stopped = (await client.post(stop, headers=operator)).json()
    assert (await client.post(stop, headers=operator)).json() == stopped
    assert (stopped["stopped_at"] is not None, stopped["redemptions"]) == (True, 1)
    assert_problem(
        await redeem(client, await signed_up("bob@example.com"), "SPRING"), 409, "promo_code_expired", "code"
    )
    more = await client.post(f"/v1/operator/campaigns/{campaign['id']}/codes", json={"count": 1}, headers=operator)
    assert_problem(more, 409, "campaign_stopped", "campaign_id")


async def test_codes_in_bulk(client: httpx.AsyncClient, ada: Headers, operator: Headers) -> None:
    campaign = await create(client, operator)
    codes = await generate(client, operator, campaign, 10_000)
    assert len(set(codes)) == 10_000
    assert all(re.fullmatch(r"([A-HJ-NP-Z2-9]{4}-){3}[A-HJ-NP-Z2-9]{4}", code) for code in codes)
    assert (await redeem(client, ada, codes[7].lower())).status_code == 201
    answer = await client.get(f"/v1/operator/campaigns/{campaign['id']}/codes", headers=operator)
    used = {line["code"]: line["redemptions"] for line in csv.DictReader(answer.text.splitlines())}
    assert set(used) == set(codes)
    assert [code for code, redemptions in used.items() if redemptions == "1"] == [codes[7]]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_campaigns_come_in_pages_newest_first(client: httpx.AsyncClient, operator: Headers) -> None:
    ids = [(await create(client, operator, name=f"No. {number}"))["id"] for number in range(3)]
    first = (await client.get("/v1/operator/campaigns", params={"limit": 2}, headers=operator)).json()
    assert [campaign["id"] for campaign in first["campaigns"]] == [ids[2], ids[1]]
    after = {"limit": 2, "after": first["next_after"]}
    second = (await client.get("/v1/operator/campaigns", params=after, headers=operator)).json()
    assert ([campaign["id"] for campaign in second["campaigns"]], second["next_after"]) == ([ids[0]], None)


async def test_what_operators_are_refused(client: httpx.AsyncClient, operator: Headers) -> None:
    await create(client, operator, code="SPRING")
    for changes, status, code, field in (
        ({}, 409, "campaign_exists", "name"),
        ({"name": "Other", "code": "spring"}, 409, "promo_code_exists", "code"),
        ({"name": "a", "amount_nano": 0}, 422, "invalid_input", "amount_nano"),
        ({"name": "a", "amount_nano": 1.5}, 422, "invalid_input", "amount_nano"),
        ({"name": "a", "amount_nano": 10**18}, 422, "invalid_input", "amount_nano"),
        ({"name": "a", "max_per_account": 0}, 422, "invalid_input", "max_per_account"),
        ({"name": "a", "audience": "friends"}, 422, "invalid_input", "audience"),
        ({"name": "a", "starts_at": "2027-01-01"}, 422, "invalid_input", "starts_at"),
        (
            {"name": "a", "starts_at": "2027-01-02T00:00:00Z", "ends_at": "2027-01-02T00:00:00Z"},
            422,
            "invalid_input",
            "ends_at",
        ),
    ):
        answer = await client.post("/v1/operator/campaigns", json=CAMPAIGN | changes, headers=operator)
        assert_problem(answer, status, code, field)
    absent = "/v1/operator/campaigns/019dafc2-0000-7000-8000-000000000000"
    for answer in (
        await client.get(absent, headers=operator),
        await client.post(f"{absent}/stop", headers=operator),
        await client.get(f"{absent}/codes", headers=operator),
        await client.post(f"{absent}/codes", json={"count": 1}, headers=operator),
    ):
        assert_problem(answer, 404, "campaign_not_found", "campaign_id")


async def test_members_are_no_operators_until_made_one(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    assert_problem(await client.get("/v1/operator/campaigns", headers=ada), 403, "operators_only")
    await Mailbox(pool).confirm(client, "ada@example.com")
    async with pool.connection() as connection:
        await connection.execute("INSERT INTO operators (person_id) SELECT id FROM persons")
    created = await create(client, ada)
    async with pool.connection() as connection:
        entries = await (await connection.execute("SELECT * FROM audit_log WHERE target_kind = 'campaign'")).fetchall()
        (person,) = await (await connection.execute("SELECT id FROM persons")).fetchall()
    ((entry),) = entries
    assert (entry["actor_kind"], entry["actor_id"]) == ("operator", str(person["id"]))
    assert (entry["action"], entry["target_id"], entry["account_id"]) == ("campaign.created", created["id"], None)


OLD_CODE = "019dafc2-0000-7000-8000-000000000001"
OTHER = "019dafc2-0000-7000-8000-000000000002"


async def test_codes_from_before_campaigns_become_campaigns(postgres_dsn: str) -> None:
    """The migration on the rows of a deployment that had codes and redemptions before it."""
    before = [name for name in sorted(MIGRATIONS) if name < "0005"]
    async with await postgres.connect(postgres_dsn) as connection:
        await connection.execute("CREATE TABLE migrations (name text PRIMARY KEY, digest text NOT NULL)")
        await connection.execute("ALTER TABLE migrations ADD ran_at timestamptz NOT NULL DEFAULT now()")
        for name in before:
            text: Any = MIGRATIONS[name]
            await connection.execute(text)
            digest = hashlib.sha256(MIGRATIONS[name].encode()).hexdigest()
            await connection.execute("INSERT INTO migrations (name, digest) VALUES (%s, %s)", [name, digest])
        await connection.execute(
            "INSERT INTO promo_codes (id, code, amount_nano, max_redemptions, redemptions, credit_expires_after) "
            "VALUES (%s, 'OLD', 7, 5, 1, interval '30 days')",
            [OLD_CODE],
        )
        await connection.execute("INSERT INTO organisations (id, name) VALUES (%s, 'a')", [OLD_CODE])
        for person in (OLD_CODE, OTHER):
            await connection.execute(
                "INSERT INTO persons (id, email, email_folded, password_hash) VALUES (%s, %s, %s, '')",
                [person, person, person],
            )
        await connection.execute(
            "INSERT INTO promo_redemptions (grant_id, promo_code_id, account_id, amount_nano) VALUES (%s, %s, %s, 7)",
            [OLD_CODE, OLD_CODE, OLD_CODE],
        )
        await connection.execute("INSERT INTO promo_codes (id, code, amount_nano) VALUES (%s, 'OTHER', 7)", [OTHER])
        await connection.execute(
            "INSERT INTO promo_redemptions (grant_id, promo_code_id, account_id, amount_nano) VALUES (%s, %s, %s, 7)",
            [OTHER, OTHER, OLD_CODE],
        )
        for number, (action, kind, target) in enumerate(
            (("promo_code.redeemed", "grant", OTHER), ("organisation.created", "organisation", OLD_CODE))
        ):
            await connection.execute(
                "INSERT INTO audit_log (id, account_id, actor_kind, actor_id, address, action, target_kind, target_id, "
                "details) VALUES (%s, %s, 'person', %s, '', %s, %s, %s, '{}')",
                [OTHER[:-1] + str(number), OLD_CODE, OTHER, action, kind, target],
            )

    assert "0005_campaigns" in await migrate_postgres(postgres_dsn, *PACKAGES)

    async with await postgres.connect(postgres_dsn) as connection:
        found = await store.find_promo_code(connection, "OLD")
        campaign = await store.find_campaign(connection, OLD_CODE)
        redeemed = await (await connection.execute("SELECT * FROM promo_redemptions ORDER BY grant_id")).fetchall()
        (organization,) = await (await connection.execute("SELECT founded_by FROM organisations")).fetchall()
    assert found == PromoCode("OLD", 7, None, None, 5, timedelta(days=30))
    assert campaign is not None
    assert (campaign.name, campaign.redemptions, campaign.max_redemptions, campaign.codes) == ("OLD", 1, 5, 1)
    assert [str(row["campaign_id"]) for row in redeemed] == [OLD_CODE, OTHER]
    assert [str(row["person_id"]) for row in redeemed] == [OLD_CODE, OTHER], (
        "the account's person, or whom the log names"
    )
    assert str(organization["founded_by"]) == OTHER
