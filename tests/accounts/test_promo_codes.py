"""Promo codes: redemption, and the command that makes them."""

import asyncio
from collections import Counter
from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr

from accounts.answers import PASSWORD, SignedUp, assert_problem, parse_promo_code
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.promo import command, handlers, store
from tollgate_accounts.promo.store import Grant, PromoCode
from tollgate_accounts.settings import AccountsSettings
from tollgate_common.clock import utc_now
from tollgate_common.errors import CommandError, Problem
from tollgate_common.events import CreditGranted, decode_credit
from tollgate_common.ids import new_id
from tollgate_common.money import NANO_PER_UNIT
from tollgate_common.postgres.connection import Pool

pytestmark = pytest.mark.engines

WELCOME = PromoCode("WELCOME", 10 * NANO_PER_UNIT, None, None, None, None)
DAY = timedelta(days=1)
NOBODY = Actor("anonymous", "", "")


async def insert(pool: Pool, promo_code: PromoCode) -> None:
    async with pool.connection() as connection:
        await store.insert_promo_code(connection, new_id(), promo_code)


async def grants(pool: Pool) -> list[CreditGranted]:
    """What the outbox would tell the balance service; the key is the account."""
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT key, payload FROM outbox WHERE topic = 'credits.v1' ORDER BY id")
        found = [(row["key"], decode_credit(row["payload"])) for row in await cursor.fetchall()]
    events = [event for _, event in found if isinstance(event, CreditGranted)]
    assert [key for key, _ in found] == [event.account_id for event in events]
    return events


async def count_of_uses(pool: Pool) -> int:
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT redemptions FROM promo_codes")).fetchone()
    assert row is not None
    return int(row["redemptions"])


async def redeem(client: httpx.AsyncClient, headers: dict[str, str], code: str) -> httpx.Response:
    return await client.post("/v1/promo-codes/redemptions", json={"code": code}, headers=headers)


async def test_a_redemption_grants_credit(client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]) -> None:
    await insert(pool, WELCOME._replace(credit_expires_after=30 * DAY))
    answer = await redeem(client, ada, " welcome ")
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["amount_nano"], body["amount"]) == (10_000_000_000, "10.00")
    (grant,) = await grants(pool)
    account = (await client.get("/v1/account", headers=ada)).json()
    assert (grant.grant_id, grant.account_id) == (body["grant_id"], account["account_id"])
    assert (grant.amount_nano, grant.source, grant.reason) == (10_000_000_000, "promo", "WELCOME")
    assert grant.expires_at == grant.at + 30 * DAY
    assert await count_of_uses(pool) == 1


async def test_a_sign_up_may_carry_a_code(client: httpx.AsyncClient, pool: Pool) -> None:
    await insert(pool, WELCOME)
    body = {"email": "ada@example.com", "password": PASSWORD, "promo_code": "Welcome"}
    answer = await client.post("/v1/accounts", json=body)
    assert answer.status_code == 201, answer.text
    (grant,) = await grants(pool)
    async with pool.connection() as connection:
        (organization,) = await (await connection.execute("SELECT id::text AS id FROM organisations")).fetchall()
    assert (grant.account_id, grant.expires_at) == (organization["id"], None)


async def test_a_sign_up_with_a_bad_code_makes_nothing(client: httpx.AsyncClient, pool: Pool) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD, "promo_code": "NOSUCH"}
    assert_problem(await client.post("/v1/accounts", json=body), 404, "promo_code_not_found", "promo_code")
    assert (await client.post("/v1/accounts", json=body | {"promo_code": None})).status_code == 201
    assert await grants(pool) == []


async def test_what_a_redemption_refuses(client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]) -> None:
    now = utc_now()
    await insert(pool, WELCOME._replace(code="EARLY", starts_at=now + DAY))
    await insert(pool, WELCOME._replace(code="OVER", starts_at=now - 2 * DAY, ends_at=now - DAY))
    assert_problem(await redeem(client, ada, "no"), 422, "invalid_input", "code")
    assert_problem(await redeem(client, ada, "NOSUCH"), 404, "promo_code_not_found", "code")
    assert_problem(await redeem(client, ada, "early"), 409, "promo_code_not_active", "code")
    assert_problem(await redeem(client, ada, "over"), 409, "promo_code_expired", "code")
    assert await grants(pool) == []


async def test_a_code_counts_once_an_account_even_all_at_once(
    client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]
) -> None:
    await insert(pool, WELCOME._replace(max_redemptions=5))
    answers = await asyncio.gather(*(redeem(client, ada, "WELCOME") for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    for answer in answers:
        assert answer.status_code == 201 or assert_problem(answer, 409, "promo_code_already_redeemed", "code")
    assert (await count_of_uses(pool), len(await grants(pool))) == (1, 1)


async def test_a_used_up_code(client: httpx.AsyncClient, pool: Pool, ada: dict[str, str], signed_up: SignedUp) -> None:
    await insert(pool, WELCOME._replace(max_redemptions=1))
    assert (await redeem(client, ada, "WELCOME")).status_code == 201
    assert_problem(
        await redeem(client, await signed_up("bob@example.com"), "WELCOME"), 409, "promo_code_exhausted", "code"
    )
    assert_problem(await redeem(client, ada, "WELCOME"), 409, "promo_code_already_redeemed", "code")


async def people(pool: Pool, count: int) -> list[str]:
    """Ids of new accounts that nobody signed up for."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "INSERT INTO organisations (id, name) "
            "SELECT gen_random_uuid(), number FROM generate_series(1, %s) AS number RETURNING id::text",
            [count],
        )
        return [row["id"] for row in await cursor.fetchall()]


async def test_a_thousand_redemptions_of_a_hundred_uses_give_exactly_a_hundred(pool: Pool) -> None:
    await insert(pool, WELCOME._replace(max_redemptions=100))
    accounts = await people(pool, 1_000)
    outcomes = await asyncio.gather(
        *(handlers.redeem(pool, NOBODY, account, "WELCOME") for account in accounts), return_exceptions=True
    )
    refused = [outcome.code for outcome in outcomes if isinstance(outcome, Problem)]
    given = {outcome.grant_id for outcome in outcomes if isinstance(outcome, Grant)}
    assert (len(given), refused) == (100, ["promo_code_exhausted"] * 900)
    told = await grants(pool)
    assert {grant.grant_id for grant in told} == given
    assert len({grant.account_id for grant in told}) == len(told) == 100
    assert await count_of_uses(pool) == 100


async def test_several_codes_of_one_account_have_rising_versions(
    client: httpx.AsyncClient, pool: Pool, ada: dict[str, str]
) -> None:
    codes = [f"CODE{number}" for number in range(8)]
    for code in codes:
        await insert(pool, WELCOME._replace(code=code))
    answers = await asyncio.gather(*(redeem(client, ada, code) for code in codes))
    assert {answer.status_code for answer in answers} == {201}
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT version FROM outbox ORDER BY id")
        assert [row["version"] for row in await cursor.fetchall()] == list(range(1, 9))


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(postgres_dsn: str, pool: Pool) -> AccountsSettings:
    return AccountsSettings(
        kafka_bootstrap="unused:9092", port=1, email_verification="optional", postgres_dsn=SecretStr(postgres_dsn)
    )


async def test_the_command_may_run_again(settings: AccountsSettings, pool: Pool) -> None:
    arguments = parse_promo_code(
        "welcome", "--amount-usd", "10", "--max-redemptions", "5", "--ends-at", "2099-01-01T00:00:00Z"
    )
    for _ in range(2):
        assert await command.create(settings, arguments) == "promo code WELCOME gives 10.00 USD"
    async with pool.connection() as connection:
        found = await store.find_promo_code(connection, "WELCOME")
    assert found is not None
    assert found == WELCOME._replace(max_redemptions=5, ends_at=found.ends_at)


async def test_the_command_names_what_differs(settings: AccountsSettings) -> None:
    await command.create(settings, parse_promo_code("WELCOME", "--amount-usd", "10"))
    other = parse_promo_code("WELCOME", "--amount-usd", "10.50", "--credit-expires-after-days", "30")
    with pytest.raises(CommandError) as caught:
        await command.create(settings, other)
    assert str(caught.value) == (
        "WELCOME exists with other values; amount_nano is 10000000000, not 10500000000; "
        "credit_expires_after is not set, not 30 days, 0:00:00"
    )


async def test_the_command_refuses_a_code_that_is_never_valid(settings: AccountsSettings) -> None:
    times = ("--starts-at", "2027-01-02T00:00:00Z", "--ends-at", "2027-01-02T00:00:00Z")
    with pytest.raises(CommandError, match="--ends-at must be later"):
        await command.create(settings, parse_promo_code("WELCOME", "--amount-usd", "10", *times))


async def test_codes_cannot_be_guessed_for_long(
    client: httpx.AsyncClient, pool: Pool, ada: dict[str, str], signed_up: SignedUp
) -> None:
    await insert(pool, WELCOME)
    answers = await asyncio.gather(*(redeem(client, ada, f"GUESS-{number}") for number in range(40)))
    assert Counter(answer.status_code for answer in answers) == {404: 20, 429: 20}
    assert_problem(await redeem(client, ada, "WELCOME"), 429, "too_many_attempts")
    bob = await signed_up("bob@example.com")
    assert (await redeem(client, bob, "WELCOME")).status_code == 201
