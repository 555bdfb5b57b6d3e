"""The service as operators run it: its own processes, its migrations, its outbox, and the topics that others read."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from aiokafka import TopicPartition

from accounts.answers import OPERATOR_TOKEN, PASSWORD, assert_problem
from tollgate_accounts.main import PACKAGES
from tollgate_accounts.promo import store
from tollgate_accounts.promo.store import PromoCode
from tollgate_common.auth import api_key as apikey
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.auth.service_auth import ServiceCredential
from tollgate_common.events import CreditGranted, KeyRecord, decode_credit, decode_key
from tollgate_common.ids import new_id
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.kafka.compacted import VERSION_HEADER
from tollgate_common.postgres.connection import Pool
from tollgate_common.topics import Topic, create_topics, partition_for
from waiting import until

pytestmark = pytest.mark.engines

PARTITIONS = 2
INTERNAL_TOKEN = "the-internal-token-of-this-test-only"
WITHIN_S = 60


class Service:
    """Run `python -m tollgate_accounts.main` with a debug log."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.url = f"http://127.0.0.1:{environment['TOLLGATE_PORT']}"
        self.log = log
        self._environment = os.environ | environment

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "tollgate_accounts.main", *arguments]
        return subprocess.run(
            argv, env=self._environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run the service, and require that it exits cleanly."""
        argv = [sys.executable, "-m", "tollgate_accounts.main"]
        with self.log.open("wb") as log, subprocess.Popen(argv, env=self._environment, stderr=log) as process:
            try:
                yield
                process.terminate()
                assert process.wait(WITHIN_S) == 0, self.log.read_text()
            finally:
                process.kill()

    async def readiness(self, client: httpx.AsyncClient) -> Any:
        """Return the response of `/readyz`, or None while nothing listens."""
        try:
            return (await client.get("/readyz")).json()
        except httpx.TransportError:
            return None


@pytest.fixture
async def service(
    postgres_dsn: str, brokers: Brokers, topic_prefix: str, unused_tcp_port: int, tmp_path: Path
) -> Service:
    await create_topics(brokers, topic_prefix, partitions=PARTITIONS, replication=1)
    environment = {
        "TOLLGATE_POSTGRES_DSN": postgres_dsn,
        "TOLLGATE_KAFKA_BOOTSTRAP": brokers.bootstrap,
        "TOLLGATE_TOPIC_PREFIX": topic_prefix,
        "TOLLGATE_PORT": str(unused_tcp_port),
        "TOLLGATE_LOG_LEVEL": "DEBUG",
        "TOLLGATE_EMAIL_VERIFICATION": "optional",
        "TOLLGATE_OPERATOR_TOKEN": OPERATOR_TOKEN,
        "TOLLGATE_INTERNAL_TOKEN": INTERNAL_TOKEN,
        "TOLLGATE_SIGNING_SECRET": "the-signing-secret-of-this-test-only",
    }
    return Service(environment, tmp_path / "accounts.log")


@asynccontextmanager
async def directory(brokers: Brokers, prefix: str) -> AsyncIterator[KeyDirectory]:
    """Return the keys as an edge knows them."""
    keys = KeyDirectory(brokers, prefix)
    task = asyncio.create_task(keys.topic.run())
    try:
        await until(lambda: keys.topic.waiting_for() is None)
        yield keys
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_answer(wanted: object, ask: Callable[[], Awaitable[object]]) -> None:
    async def is_answered() -> bool:
        return await ask() == wanted

    await until(is_answered)


async def read_messages(
    brokers: Brokers, topic: str, partition: int, count: int
) -> list[tuple[str, int, bytes | None]]:
    """Return the first messages of a partition: key, version, value."""
    consumer = KafkaConsumer(**brokers.options, isolation_level="read_committed")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition)])
        await consumer.seek_to_beginning()
        async with asyncio.timeout(WITHIN_S):
            records = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
    return [(record.key.decode(), int(dict(record.headers)[VERSION_HEADER]), record.value) for record in records]


async def test_from_sign_up_to_a_revoked_key(
    service: Service, postgres_dsn: str, brokers: Brokers, topic_prefix: str
) -> None:
    with service.serving():
        async with httpx.AsyncClient(base_url=service.url, timeout=WITHIN_S) as client:
            await starts(service, client)

            body = {"email": "ada@example.com", "password": PASSWORD, "promo_code": "welcome"}
            (await client.post("/v1/accounts", json=body)).raise_for_status()
            del body["promo_code"]
            wrong = await client.post("/v1/sessions", json=body | {"password": "a wrong password"})
            assert_problem(wrong, 401, "invalid_credentials")
            session = (await client.post("/v1/sessions", json=body)).raise_for_status().json()
            client.headers["Authorization"] = f"Bearer {session['token']}"
            account = (await client.get("/v1/account")).raise_for_status().json()
            key = (await client.post("/v1/keys", json={"name": "laptop"})).raise_for_status().json()

            async with directory(brokers, topic_prefix) as keys:
                await until(lambda: keys.find(key["key"]) is not None)
                (await client.delete(f"/v1/keys/{key['id']}")).raise_for_status()
                await until(lambda: keys.find(key["key"]) is None)
            (await client.delete("/v1/sessions/current")).raise_for_status()

    record = KeyRecord(key_id=key["id"], account_id=account["account_id"], name="laptop", plan="standard")
    made, revoked = await read_messages(brokers, Topic.KEYS.named(topic_prefix), 0, 2)
    key_hash = apikey.hash_key(key["key"])
    assert (made[:2], decode_key(made[2] or b"")) == ((key_hash, 1), record)
    assert revoked == (key_hash, 2, None)

    partition = partition_for(account["account_id"], PARTITIONS)
    (credit,) = await read_messages(brokers, Topic.CREDITS.named(topic_prefix), partition, 1)
    grant = decode_credit(credit[2] or b"")
    assert isinstance(grant, CreditGranted)
    assert (credit[0], grant.account_id) == (account["account_id"], account["account_id"])
    assert (grant.amount_nano, grant.source) == (10_000_000_000, "promo")

    log = service.log.read_text()
    assert '"level": "DEBUG"' in log
    secrets = [PASSWORD, "a wrong password", session["token"], key["key"], f":{urlsplit(postgres_dsn).password}@"]
    assert [secret for secret in secrets if secret in log] == []


async def test_what_an_operator_does_reaches_edges_and_ledger(
    service: Service, brokers: Brokers, topic_prefix: str
) -> None:
    operator = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    with service.serving():
        async with httpx.AsyncClient(base_url=service.url, timeout=WITHIN_S) as client:
            await starts(service, client)
            body = {"email": "ada@example.com", "password": PASSWORD}
            (await client.post("/v1/accounts", json=body)).raise_for_status()
            session = (await client.post("/v1/sessions", json=body)).raise_for_status().json()
            client.headers["Authorization"] = f"Bearer {session['token']}"
            account_id = (await client.get("/v1/account")).json()["account_id"]
            key = (await client.post("/v1/keys", json={"name": "laptop"})).raise_for_status().json()["key"]
            path = f"/v1/operator/accounts/{account_id}"

            given = {"amount_nano": 5_000_000_000, "reason": "a transfer"}
            (await client.post(f"{path}/credits", json=given, headers=operator)).raise_for_status()
            partition = partition_for(account_id, PARTITIONS)
            ((to, _, value),) = await read_messages(brokers, Topic.CREDITS.named(topic_prefix), partition, count=1)
            grant = decode_credit(value or b"")
            assert isinstance(grant, CreditGranted)
            assert (to, grant.amount_nano, grant.source) == (account_id, 5_000_000_000, "manual")

            async with directory(brokers, topic_prefix) as keys:
                for act, is_suspended in (("suspend", True), ("resume", False)):
                    answer = await client.post(f"{path}/{act}", json={"reason": "a test"}, headers=operator)
                    answer.raise_for_status()
                    await until(partial(shows, keys, key, is_suspended))

            token = (await client.post("/v1/tokens")).raise_for_status().json()["token"]
            verifier = Verifier(service.url)
            assert (await verifier.verify(token)).account_id == account_id
            credential = ServiceCredential("billing", INTERNAL_TOKEN, service.url)
            shown = (await credential.headers())["Authorization"].removeprefix("Bearer ")
            assert (await verifier.verify(shown)).subject == "service:billing"
            await verifier.aclose()
            await credential.aclose()


def shows(keys: KeyDirectory, key: str, is_suspended: bool) -> bool:
    """Return whether edges know the key as suspended."""
    record = keys.find(key)
    return record is not None and record.suspended is is_suspended


async def starts(service: Service, client: httpx.AsyncClient) -> None:
    """The service waits for its migrations and starts its work when they have run."""
    names = sorted(
        file.name.removesuffix(".sql")
        for package in PACKAGES
        for file in (files(package) / "migrations").iterdir()
        if file.name.endswith(".sql")
    )
    waiting = {"status": "waiting", "for": f"migrations: {', '.join(names)}"}
    await until_answer(waiting, lambda: service.readiness(client))
    migrated = await asyncio.to_thread(service.command, "migrate")
    assert migrated.stdout == f"accounts: {len(names)} migrations applied, {', '.join(names)}\n", migrated.stderr
    await until_answer({"status": "ready"}, lambda: service.readiness(client))
    made = await asyncio.to_thread(service.command, "create-promo-code", "WELCOME", "--amount-usd", "10")
    assert (made.returncode, made.stdout) == (0, "accounts: promo code WELCOME grants $10.00\n"), made.stderr


async def test_a_command_that_cannot_be_done_says_why(service: Service, pool: Pool) -> None:
    async with pool.connection() as connection:
        await store.insert_promo_code(connection, new_id(), PromoCode("WELCOME", 1, None, None, None, None))
    answered = await asyncio.to_thread(service.command, "create-promo-code", "WELCOME", "--amount-usd", "10")
    message = "accounts: WELCOME exists with other values; amount_nano is 1, not 10000000000"
    assert (answered.returncode, answered.stdout) == (1, "")
    assert answered.stderr.splitlines()[-1] == message


@pytest.mark.parametrize("arguments", [("--check-config", "migrate"), ("migrate", "--check-config")])
async def test_checking_the_settings_does_nothing_else(service: Service, arguments: tuple[str, ...]) -> None:
    answered = await asyncio.to_thread(service.command, *arguments)
    assert (answered.returncode, answered.stdout) == (0, "accounts: the settings are valid\n")
