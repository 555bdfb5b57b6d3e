"""Leases over HTTP, as docs/leases.md tells it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from balance.world import BalanceDatabase
from tollgate_balance.accounts import api as accounts
from tollgate_balance.leases import api as leases
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.http import create_app
from tollgate_common.ids import new_id
from tollgate_common.kafka.brokers import Brokers

pytestmark = pytest.mark.engines

TOKEN = "t" * 32
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
BOOT = "/internal/v1/boots/boot-1"


def app(books: BalanceDatabase, token: str | None) -> FastAPI:
    service = create_app("balance", ready=lambda: None)
    accounts.add_routes(service, books.pool, KeyDirectory(Brokers("unused:1"), "unused"))
    leases.add_routes(service, books.pool, token, timedelta(seconds=30))
    return service


def connect(books: BalanceDatabase, token: str | None = TOKEN) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app(books, token)), base_url="http://balance", headers=AUTHORIZATION
    )


@pytest.fixture
async def client(books: BalanceDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(books) as client:
        yield client


def wanting(needed_nano: Any, wanted_nano: int = 0, **more: Any) -> dict[str, Any]:
    return {"boot_id": "boot-1", "account_id": "a", "needed_nano": needed_nano, "wanted_nano": wanted_nano} | more


async def test_the_life_of_a_lease(books: BalanceDatabase, client: httpx.AsyncClient) -> None:
    await books.credit("a", 100)
    lease_id = new_id()
    lease = f"/internal/v1/leases/{lease_id}"

    unknown = await client.put(lease, json=wanting(10))
    assert (unknown.status_code, unknown.json()["code"]) == (409, "boot_not_found")

    renewed = await client.post(f"{BOOT}/renew", json={"edge": "edge-1", "leases": []})
    assert renewed.json() == {"lease_ms": 30_000, "shrink": [], "orphans": [], "edges": 1}

    granted = await client.put(lease, json=wanting(10, 70))
    assert granted.status_code == 200
    assert granted.json() == {
        "outcome": "done",
        "lease": {
            "lease_id": lease_id,
            "account_id": "a",
            "boot_id": "boot-1",
            "state": "open",
            "limit_nano": 50,
            "settled_nano": 0,
            "rev": 1,
        },
        "account": {"posted_nano": 100, "held_nano": 50, "available_nano": 50},
        "retry_after_ms": None,
        "budget": None,
        "period_ends_in_ms": None,
    }
    assert (await client.put(lease, json=wanting(10, 70))).json() == granted.json()

    body = {"boot_id": "boot-1", "account_id": "a", "limit_nano": 90, "rev": 2}
    extended = await client.post(f"{lease}/limit", json=body)
    assert (extended.json()["outcome"], extended.json()["lease"]["limit_nano"]) == ("done", 90)

    closing = body | {"limit_nano": 80, "close": True, "rev": 3}
    closed = await client.post(f"{lease}/limit", json=closing)
    assert (closed.json()["lease"]["state"], closed.json()["account"]["held_nano"]) == ("closed", 80)
    assert (await client.put(lease, json=wanting(10, 70))).json()["outcome"] == "conflict"


async def test_refusals_say_whether_the_credit_is_spent_or_held(
    books: BalanceDatabase, client: httpx.AsyncClient
) -> None:
    await books.credit("a", 100)
    await books.lease("boot-1", "a", 90)
    answers = {}
    for needed_nano in (50, 101):
        answer = (await client.put(f"/internal/v1/leases/{new_id()}", json=wanting(needed_nano))).json()
        assert answer["lease"] is None
        assert answer["account"] == {"posted_nano": 100, "held_nano": 90, "available_nano": 10}
        answers[needed_nano] = (answer["outcome"], answer["retry_after_ms"])
    assert answers == {50: ("retry", 250), 101: ("insufficient", None)}


async def test_a_renewal_tells_orphans_and_a_fenced_boot(books: BalanceDatabase, client: httpx.AsyncClient) -> None:
    await books.credit("a", 100)
    lease = await books.lease("boot-1", "a", 10)
    renewed = await client.post(f"{BOOT}/renew", json={"edge": "edge-1", "leases": []})
    assert renewed.json()["orphans"] == [lease.lease_id]
    await books.execute("UPDATE boots SET fenced_at = now()")
    refused = await client.post(f"{BOOT}/renew", json={"edge": "edge-1"})
    assert (refused.status_code, refused.json()["code"]) == (409, "boot_fenced")


async def test_a_lease_that_was_never_granted_is_not_found(books: BalanceDatabase, client: httpx.AsyncClient) -> None:
    await books.renew("boot-1")
    body = {"boot_id": "boot-1", "account_id": "a", "limit_nano": 0, "close": True, "rev": 2}
    answer = await client.post(f"/internal/v1/leases/{new_id()}/limit", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "lease_not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (wanting(-1), "needed_nano"),
        (wanting("10"), "needed_nano"),
        (wanting(1.0), "needed_nano"),
        (wanting(10**19), "needed_nano"),
        (wanting(1, account_id="nul \0"), "account_id"),
        (wanting(1, account_id=""), "account_id"),
        (wanting(1, unknown=1), "unknown"),
        ({"boot_id": "b", "account_id": "a"}, "needed_nano"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_input_is_named(client: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await client.put(f"/internal/v1/leases/{new_id()}", json=body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_input", field)


async def test_only_who_knows_the_token_is_answered(books: BalanceDatabase, client: httpx.AsyncClient) -> None:
    for authorization in ("", TOKEN, f"Bearer {TOKEN}x", "Bearer é", f"bearer {TOKEN}"):
        answer = await client.post(
            f"{BOOT}/renew", json={"edge": "e"}, headers={b"Authorization": authorization.encode()}
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    async with connect(books, token=None) as other:
        answer = await other.post(f"{BOOT}/renew", json={"edge": "e"})
        assert (answer.status_code, answer.json()["code"]) == (503, "leases_not_configured")
    assert await books.query("SELECT FROM boots") == []


async def test_a_database_that_is_away_asks_to_repeat(books: BalanceDatabase, client: httpx.AsyncClient) -> None:
    await books.pool.close()
    answer = await client.put(f"/internal/v1/leases/{new_id()}", json=wanting(1))
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")


async def test_a_lease_under_budgets(books: BalanceDatabase, client: httpx.AsyncClient) -> None:
    await books.credit("a", 1_000)
    await client.post(f"{BOOT}/renew", json={"edge": "edge-1", "leases": []})
    budgets = [
        {"budget_id": "key:k1", "period": "day", "amount_nano": 100},
        {"budget_id": "project:p1", "period": "total", "amount_nano": 90},
    ]
    granted = (await client.put(f"/internal/v1/leases/{new_id()}", json=wanting(80, budgets=budgets))).json()
    assert (granted["outcome"], granted["budget"]) == ("done", None)
    assert 0 < granted["period_ends_in_ms"] <= 86_400_000

    waits = (await client.put(f"/internal/v1/leases/{new_id()}", json=wanting(20, budgets=budgets))).json()
    assert (waits["outcome"], waits["retry_after_ms"], waits["lease"]) == ("retry", 250, None)
    refused = (await client.put(f"/internal/v1/leases/{new_id()}", json=wanting(91, budgets=budgets))).json()
    assert refused["outcome"] == "budget_exceeded"
    assert refused["budget"] == {
        "budget_id": "project:p1",
        "period": "total",
        "amount_nano": 90,
        "spent_nano": 0,
        "held_nano": 80,
        "resets_at": None,
    }

    for wrong in ({"period": "week"}, {"amount_nano": -1}, {"amount_nano": 1.5}, {"budget_id": ""}):
        answer = await client.put(f"/internal/v1/leases/{new_id()}", json=wanting(1, budgets=[budgets[0] | wrong]))
        assert (answer.status_code, answer.json()["field"]) == (422, f"budgets.0.{next(iter(wrong))}")
