"""What an account's owner sees over HTTP, with their own key."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr

from balance.world import USD, BalanceDatabase, World, adjusted, running
from tollgate_balance.accounts import api
from tollgate_balance.accounts import internal_api as internal
from tollgate_balance.accounts import store as pages
from tollgate_balance.credits import store as grant_store
from tollgate_balance.credits.handlers import adjust_credit
from tollgate_balance.credits.portfolio import burn, open_portfolio
from tollgate_balance.leases.rules import Grant
from tollgate_balance.ledger import store as ledger_store
from tollgate_common.auth import api_key as apikey
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.clock import utc_now
from tollgate_common.events import Budget, BudgetPeriod, KeyRecord, UsageScope, encode
from tollgate_common.http import create_app
from tollgate_common.topics import Topic
from waiting import until

pytestmark = pytest.mark.engines

OPERATOR = "o" * 32
SECRET = "the-internal-token-of-this-test-only"
AS_OPERATOR = {"Authorization": f"Bearer {OPERATOR}"}
BUDGETS = (
    Budget(budget_id="key:k1", period=BudgetPeriod.DAY, amount_nano=5 * USD),
    Budget(budget_id="project:p1", period=BudgetPeriod.TOTAL, amount_nano=9 * USD),
)


@pytest.fixture
async def key(world: World) -> str:
    key = apikey.generate()
    await send_key(world, key, KeyRecord(key_id="k1", account_id="a", name="test", plan="standard", budgets=BUDGETS))
    other = KeyRecord(key_id="k2", account_id="b", name="other", plan="standard")
    await send_key(world, apikey.generate(), other)
    return key.text


async def send_key(world: World, key: apikey.NewKey, record: KeyRecord) -> None:
    await world.send_raw(Topic.KEYS, encode(record), key=key.hash.encode())


@pytest.fixture
async def client(world: World, key: str) -> AsyncIterator[httpx.AsyncClient]:
    keys = KeyDirectory(world.brokers, world.prefix)
    app = create_app("balance", ready=keys.topic.waiting_for)
    api.add_routes(app, world.pool, keys, operator_token=SecretStr(OPERATOR))
    internal.add_routes(app, world.pool, SECRET)
    headers = {"Authorization": f"Bearer {key}"}
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://balance", headers=headers)

    async def is_ready() -> bool:
        return (await http.get("/readyz")).is_success

    async with running(keys.topic.run()), http:
        await until(is_ready)
        yield http


async def test_the_balance_of_the_keys_account(world: World, client: httpx.AsyncClient) -> None:
    await world.credit("a", 12 * USD + 500_000_001)
    await world.credit("b", 1)
    await world.lease("boot", "a", 2 * USD)

    answer = await client.get("/v1/balance")

    assert answer.status_code == 200
    assert answer.json() == {
        "account_id": "a",
        "currency": "USD",
        "posted_nano": 12_500_000_001,
        "held_nano": 2_000_000_000,
        "available_nano": 10_500_000_001,
        "posted": "12.500000001",
        "held": "2.00",
        "available": "10.500000001",
        "due_nano": 0,
        "due": "0.00",
        "expires": [],
    }


async def test_an_account_without_credit_has_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/balance")
    assert answer.json()["posted_nano"] == 0
    assert (await client.get("/v1/ledger")).json() == {
        "account_id": "a",
        "currency": "USD",
        "entries": [],
        "next_cursor": None,
    }


async def test_the_ledger_newest_first_in_pages(world: World, client: httpx.AsyncClient) -> None:
    await world.credit("b", 77)
    for amount_nano in range(1, 6):
        await world.credit("a", amount_nano)
    last = adjusted("a", -15)
    await adjust_credit(world.pool, last)

    pages, cursor = [], None
    for _ in range(4):
        parameters = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/ledger", params=parameters)).json()
        pages.append([entry["amount_nano"] for entry in page["entries"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    newest = (await client.get("/v1/ledger", params={"limit": 1})).json()["entries"][0]

    assert pages == [[-15, 5], [4, 3], [2, 1]]
    assert newest | {"id": "", "happened_at": "", "posted_at": ""} == {
        "id": "",
        "kind": "adjustment",
        "amount_nano": -15,
        "amount": "-0.000000015",
        "contra_account": "adjustments",
        "reference": last.adjustment_id,
        "happened_at": "",
        "posted_at": "",
    }


async def test_a_service_asks_about_any_account(world: World, client: httpx.AsyncClient) -> None:
    await world.credit("a", 3 * USD)
    for account_id, posted in (("a", "3.00"), ("nobody", "0.00")):
        path = f"/internal/v1/accounts/{account_id}/balance"
        answer = await client.get(path, headers={"Authorization": f"Bearer {SECRET}"})
        assert (answer.status_code, answer.json()["account_id"], answer.json()["posted"]) == (200, account_id, posted)
        assert (await client.get(path)).status_code == 401, "a customer's key is no service's"


@pytest.mark.parametrize("path", ["/v1/balance", "/v1/ledger", "/v1/grants", "/v1/budgets"])
async def test_no_valid_key_no_answer(client: httpx.AsyncClient, path: str) -> None:
    for authorization, code in (
        ("", "missing_api_key"),
        ("Bearer", "missing_api_key"),
        ("Basic x", "missing_api_key"),
        ("Bearer tg_wrong", "invalid_api_key"),
        (f"Bearer {apikey.generate().text}", "invalid_api_key"),
    ):
        answer = await client.get(path, headers={"Authorization": authorization})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == code


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "1-"}, "cursor"),
        ({"kind": "gift"}, "kind"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-01T00:00:00"}, "to"),
        ({"page": "2"}, "page"),
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, parameters: dict[str, str], field: str) -> None:
    answer = await client.get("/v1/ledger", params=parameters)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_database_that_is_away_is_told_as_such(world: World, client: httpx.AsyncClient) -> None:
    await world.pool.close()
    answer = await client.get("/v1/balance")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")


async def test_the_balance_tells_what_expires_when_and_what_is_due(world: World, client: httpx.AsyncClient) -> None:
    now = utc_now()
    later = await world.credit("a", 30, expires_at=now + timedelta(days=2))
    sooner = await world.credit("a", 20, expires_at=now + timedelta(days=1))
    await world.credit("a", 50)
    await adjust_credit(world.pool, adjusted("a", -25))
    answer = (await client.get("/v1/balance")).json()
    assert [(one["grant_id"], one["remaining_nano"]) for one in answer["expires"]] == [(later, 25)]

    await world.lease("boot", "a", 60)
    await adjust_credit(world.pool, adjusted("a", -40))
    answer = (await client.get("/v1/balance")).json()
    assert (answer["posted_nano"], answer["available_nano"], answer["due_nano"]) == (60, 0, 25)
    assert sooner not in str(answer)


async def test_grants_and_what_remains_of_them(world: World, client: httpx.AsyncClient) -> None:
    tomorrow = utc_now() + timedelta(days=1)
    spent = await world.credit("a", 30, priority=1)
    expired = await world.credit("a", 20, expires_at=tomorrow)
    kept = await world.credit("a", 50, source="payment")
    await world.credit("b", 1)
    await adjust_credit(world.pool, adjusted("a", -35))
    await world.pass_expiry(expired)
    refund = adjusted("a", 5)
    await adjust_credit(world.pool, refund)
    await adjust_credit(world.pool, adjusted("a", -10))

    grants = (await client.get("/v1/grants")).json()["grants"]
    assert [(one["grant_id"], one["state"], one["remaining_nano"], one["expired_nano"]) for one in grants] == [
        (refund.adjustment_id, "open", 5, 0),
        (kept, "open", 40, 0),
        (expired, "expired", 0, 15),
        (spent, "spent", 0, 0),
    ]
    assert (grants[0]["source"], grants[0]["reason"]) == ("adjustment", "a correction")
    first = (await client.get("/v1/grants", params={"open": True, "limit": 1})).json()
    second = (await client.get("/v1/grants", params={"open": True, "cursor": first["next_cursor"]})).json()
    assert [one["grant_id"] for one in first["grants"] + second["grants"]] == [refund.adjustment_id, kept]
    assert second["next_cursor"] is None


async def test_the_ledger_by_kind_and_time(world: World, client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await world.credit("a", 100)
        await adjust_credit(world.pool, adjusted("a", -1))
    entries = (await client.get("/v1/ledger")).json()["entries"]
    assert [one["kind"] for one in entries] == ["adjustment", "grant", "adjustment", "grant"]

    async def found(**parameters: str) -> list[int]:
        page = (await client.get("/v1/ledger", params=parameters)).json()
        return [entries.index(one) for one in page["entries"]]

    assert await found(kind="grant") == [1, 3]
    assert await found(kind="usage") == []
    middle = entries[1]["posted_at"]
    assert await found(**{"from": middle}) == [0, 1]
    assert await found(to=middle) == [2, 3]
    assert await found(kind="adjustment", to=middle) == [2]


async def test_a_keys_budgets(world: World, client: httpx.AsyncClient) -> None:
    await world.credit("a", 10 * USD)
    await world.renew("boot")
    await world.ask(Grant("lease", "a", "boot", USD, 0, BUDGETS[:1]))
    answer = (await client.get("/v1/budgets")).json()
    assert (answer["account_id"], answer["key_id"]) == ("a", "k1")
    day, total = answer["budgets"]
    assert (day["budget_id"], day["period"], day["amount"], day["held"], day["left"]) == (
        "key:k1",
        "day",
        "5.00",
        "1.00",
        "4.00",
    )
    assert day["resets_at"].endswith("T00:00:00Z")
    assert (total["spent_nano"], total["left"], total["resets_at"]) == (0, "9.00", None)

    assert (await client.get("/v1/budgets", params={"key_id": "k1"})).json() == answer
    for key_id in ("k2", "unknown"):
        refused = await client.get("/v1/budgets", params={"key_id": key_id})
        assert (refused.status_code, refused.json()["code"]) == (404, "key_not_found")
    used = (await client.get("/v1/accounts/a/budgets", headers=AS_OPERATOR)).json()
    assert used["budgets"] == [day]


async def test_operators_read_any_account(world: World, client: httpx.AsyncClient) -> None:
    await world.credit("b", 7)
    pages = {
        what: (await client.get(f"/v1/accounts/b/{what}", headers=AS_OPERATOR)).json()
        for what in ("balance", "grants", "ledger", "budgets")
    }
    assert {page["account_id"] for page in pages.values()} == {"b"}
    assert pages["balance"]["posted_nano"] == pages["grants"]["grants"][0]["remaining_nano"] == 7
    assert [one["amount_nano"] for one in pages["ledger"]["entries"]] == [7]

    for what in pages:
        assert (await client.get(f"/v1/accounts/b/{what}")).json()["code"] == "invalid_operator_token"
    unknown = await client.get("/v1/accounts/nobody/balance", headers=AS_OPERATOR)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "account_not_found")


async def test_a_key_of_a_narrower_scope_does_not_read_the_whole_account(
    world: World, client: httpx.AsyncClient
) -> None:
    narrow = apikey.generate()
    record = KeyRecord(
        key_id="k3", account_id="a", name="narrow", plan="standard", budgets=BUDGETS[:1], usage_scope=UsageScope.PROJECT
    )
    await send_key(world, narrow, record)
    headers = {"Authorization": f"Bearer {narrow.text}"}

    async def is_known() -> bool:
        return (await client.get("/v1/balance", headers=headers)).is_success

    await until(is_known)
    for path in ("/v1/ledger", "/v1/grants", "/v1/budgets?key_id=k1"):
        refused = await client.get(path, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert len((await client.get("/v1/budgets", headers=headers)).json()["budgets"]) == 1


async def test_the_query_burns_as_the_rules_do(books: BalanceDatabase) -> None:
    now = utc_now()
    for seed in range(20):
        chance, account_id = random.Random(seed), f"account-{seed}"
        granted_nano = 0
        for _ in range(chance.randint(1, 6)):
            days = chance.choice((None, 1, 2))
            expires_at = None if days is None else now + timedelta(days=days)
            amount_nano = chance.randint(1, 50)
            await books.credit(account_id, amount_nano, priority=chance.choice((1, 100)), expires_at=expires_at)
            granted_nano += amount_nano
        await adjust_credit(books.pool, adjusted(account_id, -chance.randint(1, granted_nano)))
        async with pages.snapshot(books.pool) as connection:
            rows = await pages.read_grants(connection, account_id, pages.LAST_ID, 1000, only_open=False)
            account = await ledger_store.read_account(connection, account_id)
            stored = (await grant_store.read_open(connection, [account_id]))[account_id]
        assert account is not None
        burned = burn(open_portfolio(account, stored)).grants
        assert {row["grant_id"]: row["remaining_nano"] for row in rows} == {
            one.grant_id: one.remaining_nano for one in burned
        }, f"seed {seed}"
