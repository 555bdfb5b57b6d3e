"""What a key may do, how it is changed, replaced and ended, and what the edges learn of each."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiokafka import ConsumerRecord, TopicPartition

from accounts.answers import RULES, SignedUp, assert_problem
from accounts.joining import joins
from accounts.mailbox import Mailbox
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.keys import records, store
from tollgate_accounts.keys.consumers import WRITTEN_EVERY, LastUse, newest_uses
from tollgate_common.auth import api_key as apikey
from tollgate_common.clock import utc_now
from tollgate_common.events import Budget, BudgetPeriod, KeyLimits, KeyRecord, UsageScope, decode_key
from tollgate_common.ids import new_id
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres.connection import Pool
from tollgate_common.topics import Topic, create_topics

pytestmark = pytest.mark.engines

Headers = dict[str, str]
DOLLAR = 1_000_000_000
SETTINGS: dict[str, Any] = {
    "name": "laptop",
    "models": ["gpt-6"],
    "allowed_ips": ["192.0.2.0/24", "2001:db8::1"],
    "limits": {"requests_per_minute": 60, "max_in_flight": 4},
    "budgets": [{"period": "day", "amount_nano": DOLLAR}, {"period": "total", "amount_nano": 9 * DOLLAR}],
    "usage_scope": "key",
}


async def create(client: httpx.AsyncClient, headers: Headers, **body: Any) -> dict[str, Any]:
    answer = await client.post("/v1/keys", json={"name": "laptop"} | body, headers=headers)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def told(pool: Pool, text: str) -> list[tuple[int, KeyRecord | None]]:
    """Every version of a key that the edges learn."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT version, payload FROM outbox WHERE topic = 'keys.v1' AND key = %s ORDER BY id",
            [apikey.hash_key(text)],
        )
        return [
            (row["version"], decode_key(row["payload"]) if row["payload"] is not None else None)
            for row in await cursor.fetchall()
        ]


async def newest(pool: Pool, text: str) -> KeyRecord:
    record = (await told(pool, text))[-1][1]
    assert record is not None
    return record


async def test_the_edges_learn_every_setting(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    created = await create(client, ada, **SETTINGS)
    record = await newest(pool, created["key"])
    assert (record.models, record.allowed_ips) == (("gpt-6",), ("192.0.2.0/24", "2001:db8::1/128"))
    assert record.limits == KeyLimits(requests_per_minute=60, max_in_flight=4)
    assert record.budgets == (
        Budget(budget_id=f"key:{created['id']}", period=BudgetPeriod.DAY, amount_nano=DOLLAR),
        Budget(budget_id=f"key:{created['id']}", period=BudgetPeriod.TOTAL, amount_nano=9 * DOLLAR),
    )
    assert (record.usage_scope, record.suspended) == (UsageScope.KEY, False)
    text = created.pop("key")
    assert text not in str(created)
    assert (await client.get(f"/v1/keys/{created['id']}", headers=ada)).json() == created
    assert created["limits"] == {
        "requests_per_minute": 60,
        "tokens_per_minute": None,
        "max_in_flight": 4,
        "max_body_bytes": None,
    }


async def test_what_a_key_refuses(client: httpx.AsyncClient, ada: Headers, signed_up: SignedUp) -> None:
    bob = await signed_up("bob@example.com")
    foreign = (await client.post("/v1/projects", json={"name": "bob's"}, headers=bob)).json()["id"]
    for body, field in (
        ({"allowed_ips": []}, "allowed_ips"),
        ({"allowed_ips": ["10.1.2.3/8"]}, "allowed_ips.0"),
        ({"allowed_ips": ["192.0.2.0/24", "home"]}, "allowed_ips.1"),
        ({"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"limits": {"requests_per_second": 1}}, "limits.requests_per_second"),
        ({"budgets": [{"period": "week", "amount_nano": 1}]}, "budgets.0.period"),
        ({"budgets": [{"period": "day", "amount_nano": 1.5}]}, "budgets.0.amount_nano"),
        ({"budgets": [{"period": "day", "amount_nano": -1}]}, "budgets.0.amount_nano"),
        ({"budgets": [{"period": "day", "amount_nano": 1}] * 2}, "budgets"),
        ({"usage_scope": "all"}, "usage_scope"),
    ):
        answer = await client.post("/v1/keys", json={"name": "a", **body}, headers=ada)
        assert_problem(answer, 422, "invalid_input", field)
    for project_id in (foreign, new_id()):
        answer = await client.post("/v1/keys", json={"name": "a", "project_id": project_id}, headers=ada)
        assert_problem(answer, 404, "project_not_found", "project_id")


async def test_a_change_leaves_alone_what_it_does_not_name(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    created = await create(client, ada, **SETTINGS)
    path = f"/v1/keys/{created['id']}"
    changed = await client.patch(path, json={"name": "desk", "models": None, "limits": {}}, headers=ada)
    assert changed.status_code == 200, changed.text
    record = await newest(pool, created["key"])
    assert (record.name, record.models, record.limits) == ("desk", None, KeyLimits())
    assert (record.allowed_ips, len(record.budgets), record.usage_scope) == (
        ("192.0.2.0/24", "2001:db8::1/128"),
        2,
        UsageScope.KEY,
    )
    many = await asyncio.gather(*(client.patch(path, json={"name": f"n{n}"}, headers=ada) for n in range(8)))
    assert {answer.status_code for answer in many} == {200}
    assert [version for version, _ in await told(pool, created["key"])] == list(range(1, 11))
    await client.delete(path, headers=ada)
    assert_problem(await client.patch(path, json={"name": "late"}, headers=ada), 409, "key_revoked", "key_id")


async def test_a_rotation_overlaps_and_shares_the_budget(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    old = await create(client, ada, **SETTINGS)
    before = utc_now()
    rotated = await client.post(f"/v1/keys/{old['id']}/rotations", json={"overlap_s": 3600}, headers=ada)
    assert (rotated.status_code, rotated.headers["Cache-Control"]) == (201, "no-store"), rotated.text
    new = rotated.json()
    assert (new["replaces"], new["name"], new["expires_at"]) == (old["id"], "laptop", None)
    ending = await newest(pool, old["key"])
    assert ending.expires_at is not None
    assert before + timedelta(hours=1) <= ending.expires_at <= utc_now() + timedelta(hours=1)
    going_on = await newest(pool, new["key"])
    assert going_on.budgets == ending.budgets, "a rotation does not refill a budget"
    assert going_on.allowed_ips == ending.allowed_ips

    last = (await client.post(f"/v1/keys/{new['id']}/rotations", json={"overlap_s": 0}, headers=ada)).json()
    assert (await told(pool, new["key"]))[-1] == (2, None)
    assert (await newest(pool, last["key"])).budgets == ending.budgets
    gone = await client.post(f"/v1/keys/{new['id']}/rotations", json={}, headers=ada)
    assert_problem(gone, 409, "key_revoked", "key_id")


async def test_a_leaked_key_is_ended_by_whoever_found_it(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    mailbox = Mailbox(pool)
    await mailbox.fetch()
    created = await create(client, ada)
    answers = [
        await client.post("/v1/keys/leaked", json={"key": text})
        for text in (created["key"], created["key"], apikey.generate().text, "tg_typo", "sk-another-product's")
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert (await told(pool, created["key"]))[-1] == (2, None)
    assert await mailbox.fetch() == [("ada@example.com", "An API key has leaked and was revoked")]
    assert created["key"] not in mailbox.mails[-1].get_content()
    entries = (await client.get("/v1/audit-log", headers=ada)).json()["entries"]
    assert (entries[0]["action"], entries[0]["actor"]["kind"]) == ("key.leaked", "anonymous")


async def test_reports_are_limited(pool: Pool, passwords: Passwords) -> None:
    transport = httpx.ASGITransport(build_app(pool, passwords, lambda: None, rules=RULES), client=("192.0.2.1", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
        answers = [await client.post("/v1/keys/leaked", json={"key": f"tg_{number}"}) for number in range(62)]
    assert Counter(answer.status_code for answer in answers) == {202: 60, 429: 2}


async def test_a_projects_budget_travels_with_its_keys(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    day = [{"period": "day", "amount_nano": DOLLAR}]
    project = (await client.post("/v1/projects", json={"name": "site", "budgets": day}, headers=ada)).json()
    inside = await create(client, ada, project_id=project["id"])
    outside = await create(client, ada)
    budget_id = f"project:{project['id']}"
    assert (await newest(pool, inside["key"])).budgets == (
        Budget(budget_id=budget_id, period=BudgetPeriod.DAY, amount_nano=DOLLAR),
    )
    month = [{"period": "month", "amount_nano": 5 * DOLLAR}]
    # Whatever the order of a change and of keys that come at the same moment: all end with the new budget.
    answers = await asyncio.gather(
        client.patch(f"/v1/projects/{project['id']}", json={"budgets": month}, headers=ada),
        *(client.post("/v1/keys", json={"name": "n", "project_id": project["id"]}, headers=ada) for _ in range(6)),
        client.patch(f"/v1/keys/{inside['id']}", json={"name": "renamed"}, headers=ada),
    )
    assert {answer.status_code for answer in answers} == {200, 201}
    wanted = (Budget(budget_id=budget_id, period=BudgetPeriod.MONTH, amount_nano=5 * DOLLAR),)
    for text in [inside["key"], *(answer.json()["key"] for answer in answers[1:-1])]:
        assert (await newest(pool, text)).budgets == wanted
    assert len(await told(pool, outside["key"])) == 1
    listed = (await client.get("/v1/keys", params={"project_id": project["id"]}, headers=ada)).json()["keys"]
    assert len(listed) == 7

    in_use = await client.delete(f"/v1/projects/{project['id']}", headers=ada)
    assert_problem(in_use, 409, "project_in_use", "project_id")
    for key in listed:
        await client.delete(f"/v1/keys/{key['id']}", headers=ada)
    assert (await client.delete(f"/v1/projects/{project['id']}", headers=ada)).status_code == 204
    assert (await client.get("/v1/projects", headers=ada)).json()["projects"] == []
    late = await client.post("/v1/keys", json={"name": "a", "project_id": project["id"]}, headers=ada)
    assert_problem(late, 404, "project_not_found", "project_id")


async def test_all_keys_of_an_organization_are_told_again(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    """What suspends an organization uses this; a revoked key stays revoked."""
    works, revoked = await create(client, ada), await create(client, ada)
    await client.delete(f"/v1/keys/{revoked['id']}", headers=ada)
    account_id = (await client.get("/v1/account", headers=ada)).json()["account_id"]
    async with pool.connection() as connection:
        await connection.execute("UPDATE organisations SET suspended_at = now() WHERE id = %s", [account_id])
        assert await records.publish_all(connection, account_id, is_suspended=True) == 1
    assert (await newest(pool, works["key"])).suspended is True
    assert (await told(pool, revoked["key"]))[-1] == (2, None)
    made_later = await create(client, ada)
    assert (await newest(pool, made_later["key"])).suspended is True


# --- last use -------------------------------------------------------------------------------------------------------


def event(key_id: str, at: datetime) -> bytes:
    return b'{"type":"request_closed","at":"%s","request":{"key_id":"%s","model":"m"},"status":200}' % (
        at.isoformat().encode(),
        key_id.encode(),
    )


def record(value: bytes | None) -> Any:
    return ConsumerRecord("requests.v1", 0, 0, 0, 0, None, value, None, 0, 0, ())


def test_the_newest_moment_of_each_key_counts() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    one, two = new_id(), new_id()
    values = [
        event(one, at),
        event(one, at + timedelta(seconds=5)),
        event(one, at + timedelta(seconds=2)),
        event(two, at),
        event("no id", at),
        b'{"type":"edge_heartbeat","at":"2026-01-01T00:00:00Z","edge":"e","sent":{}}',
        b"no event",
        None,
    ]
    batches = {TopicPartition("requests.v1", 0): [record(value) for value in values]}
    assert newest_uses(batches) == {one: at + timedelta(seconds=5), two: at}


async def test_last_use_is_written_once_a_minute(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    key_id = (await create(client, ada))["id"]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for later_s, expected_s in ((0, 0), (59, 0), (61, 61), (30, 61), (121, 121)):
        async with pool.connection() as connection:
            await store.mark_used(connection, {key_id: at + timedelta(seconds=later_s)}, WRITTEN_EVERY)
        shown = (await client.get(f"/v1/keys/{key_id}", headers=ada)).json()["last_used_at"]
        assert datetime.fromisoformat(shown) == at + timedelta(seconds=expected_s)


async def test_last_use_comes_from_the_log(
    client: httpx.AsyncClient, pool: Pool, ada: Headers, brokers: Brokers, topic_prefix: str
) -> None:
    await create_topics(brokers, topic_prefix, partitions=2, replication=1)
    key_id = (await create(client, ada))["id"]
    at = utc_now()
    producer = create_producer(brokers)
    await producer.start()
    try:
        await producer.send_and_wait(Topic.REQUESTS.named(topic_prefix), event(key_id, at), partition=1)
    finally:
        await producer.stop()
    task = asyncio.create_task(LastUse(brokers, topic_prefix, pool).run())
    try:
        async with asyncio.timeout(60):
            while (shown := (await client.get(f"/v1/keys/{key_id}", headers=ada)).json()["last_used_at"]) is None:
                await asyncio.sleep(0.1)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert datetime.fromisoformat(shown) == at


# --- whose budgets ---------------------------------------------------------------------------------------------------


async def test_a_developer_spends_within_the_budgets_that_others_set(
    client: httpx.AsyncClient, pool: Pool, ada: Headers, signed_up: SignedUp
) -> None:
    bob = await joins(client, Mailbox(pool), ada, await signed_up("bob@example.com"), "developer")
    bounded, free = [
        (await client.post("/v1/projects", json={"name": "a", "budgets": budgets}, headers=ada)).json()["id"]
        for budgets in ([{"period": "month", "amount_nano": DOLLAR}], [])
    ]
    key = await create(client, ada, project_id=free, budgets=[{"period": "day", "amount_nano": DOLLAR}])
    path = f"/v1/keys/{key['id']}"

    for budgets in ([], [{"period": "day", "amount_nano": DOLLAR + 1}], [{"period": "month", "amount_nano": 1}]):
        refused = await client.patch(path, json={"budgets": budgets}, headers=bob)
        assert_problem(refused, 403, "budget_not_in_account", "budgets")
    less = [{"period": "day", "amount_nano": DOLLAR - 1}, {"period": "month", "amount_nano": DOLLAR}]
    assert (await client.patch(path, json={"budgets": less}, headers=bob)).status_code == 200
    assert (await client.patch(path, json={"project_id": bounded, "name": "moved"}, headers=bob)).status_code == 200
    for project_id in (None, free):
        refused = await client.patch(path, json={"project_id": project_id}, headers=bob)
        assert_problem(refused, 403, "budget_not_in_account", "project_id")
    same = {"project_id": bounded, "budgets": less, "name": "renamed"}
    assert (await client.patch(path, json=same, headers=bob)).status_code == 200
    record = await newest(pool, key["key"])
    assert (record.project_id, record.name, len(record.budgets)) == (bounded, "renamed", 3)

    assert (await client.patch(path, json={"project_id": None, "budgets": []}, headers=ada)).status_code == 200
    assert (await newest(pool, key["key"])).budgets == ()
