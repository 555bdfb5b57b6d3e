"""What an account's owner sees over HTTP, with their own key."""

from collections.abc import AsyncIterator

import httpx
import pytest

from balance.world import USD, World, adjusted, running, until
from tollgate_balance.api import accounts as api
from tollgate_balance.handlers.credits import adjust_credit
from tollgate_common import apikey
from tollgate_common.events import KeyRecord, encode
from tollgate_common.http import create_app
from tollgate_common.keys import KeyDirectory
from tollgate_common.topics import Topic

pytestmark = pytest.mark.engines


@pytest.fixture
async def key(world: World) -> str:
    key = apikey.generate()
    record = KeyRecord(key_id="k1", account_id="a", name="test", plan="standard")
    await world.send_raw(Topic.KEYS, encode(record), key=key.hash.encode())
    return key.text


@pytest.fixture
async def client(world: World, key: str) -> AsyncIterator[httpx.AsyncClient]:
    keys = KeyDirectory(world.bootstrap, world.prefix)
    app = create_app("balance", ready=keys.topic.waiting_for)
    api.add_routes(app, world.pool, keys)
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
    assert newest | {"id": "", "happened_at": ""} == {
        "id": "",
        "kind": "adjustment",
        "amount_nano": -15,
        "amount": "-0.000000015",
        "contra_account": "adjustments",
        "reference": last.adjustment_id,
        "happened_at": "",
    }


@pytest.mark.parametrize("path", ["/v1/balance", "/v1/ledger"])
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
    ("parameters", "field"), [({"limit": "0"}, "limit"), ({"limit": "1001"}, "limit"), ({"cursor": "x"}, "cursor")]
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, parameters: dict[str, str], field: str) -> None:
    answer = await client.get("/v1/ledger", params=parameters)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_database_that_is_away_is_told_as_such(world: World, client: httpx.AsyncClient) -> None:
    await world.pool.close()
    answer = await client.get("/v1/balance")
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
