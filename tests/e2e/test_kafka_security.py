"""A Kafka that asks for TLS and for a login, as managed ones do: every client gets in, or is told at once why not."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from engines.secured_kafka import SecuredKafka, environment_of
from engines.stores import unique_name
from tollgate_balance.credits.consumer import create_consumer as create_credits_consumer
from tollgate_common.errors import CommandError
from tollgate_common.kafka.access import check_access
from tollgate_common.kafka.brokers import Brokers, Tls
from tollgate_common.kafka.clients import KafkaAdmin
from tollgate_common.kafka.compacted import CompactedTopic
from tollgate_common.kafka.consumer import Batches, Consumer
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres import connection as postgres
from tollgate_common.topics import Topic, create_topics
from tollgate_edge.event_log.kafka_producer import Producer
from tollgate_edge.event_log.spool import Entry
from tollgate_local.ports import HOST
from waiting import PATIENCE_S, until

pytestmark = pytest.mark.e2e

WAYS: Mapping[str, Callable[[SecuredKafka], Brokers]] = {
    "PLAIN": lambda secured: secured.brokers(mechanism="PLAIN"),
    "SCRAM-SHA-256": lambda secured: secured.brokers(mechanism="SCRAM-SHA-256"),
    "SCRAM-SHA-512": lambda secured: secured.brokers(mechanism="SCRAM-SHA-512"),
    "certificate": lambda secured: secured.brokers_by_certificate(),
}


class Collector:
    """Reads from the beginning and commits what it has seen."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.values: list[bytes | None] = []
        self.committed = 0

    async def assigned(self, _partition: TopicPartition) -> int:
        return 0

    async def handle(self, batches: Batches) -> None:
        for partition, records in batches.items():
            self.values += [record.value for record in records]
            await self.consumer.commit({partition: OffsetAndMetadata(records[-1].offset + 1, "")})
            self.committed = records[-1].offset + 1

    def revoked(self, partitions: set[TopicPartition]) -> None:
        pass


@asynccontextmanager
async def working(work: Any) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("way", WAYS)
async def test_every_kind_of_client_gets_in(secured: SecuredKafka, way: str) -> None:
    brokers, prefix = WAYS[way](secured), unique_name()
    await check_access(brokers)
    assert Topic.USAGE.named(prefix) in await create_topics(brokers, prefix, partitions=1, replication=1)

    sent = [Entry(Topic.USAGE, 0, seq, b"account", b"%d" % seq) for seq in range(3)]
    producer = await Producer.connect(brokers)
    assert not await producer.send(prefix, sent, PATIENCE_S)
    await producer.close()

    group = f"{prefix}.collectors"
    collector = Collector(Consumer(brokers, group, [Topic.USAGE.named(prefix)]))
    async with working(collector.consumer.run(collector)) as task:
        await until(lambda: collector.committed == len(sent), "commits of the group", working=[task])
    assert collector.values == [entry.value for entry in sent]

    admin = KafkaAdmin(**brokers.options)
    await admin.start()
    offsets = await admin.list_consumer_group_offsets(group)
    await admin.close()
    assert offsets[TopicPartition(Topic.USAGE.named(prefix), 0)].offset == len(sent)

    await a_compacted_topic_is_written_and_read(brokers, prefix)
    # The first of these is away.
    await the_consumer_of_credits_joins(replace(brokers, bootstrap=f"{HOST}:9,{brokers.bootstrap}"), prefix)


async def a_compacted_topic_is_written_and_read(brokers: Brokers, prefix: str) -> None:
    known: dict[str, bytes | None] = {}
    async with create_producer(brokers, transactional_id=f"{prefix}.outbox") as producer, producer.transaction():
        await producer.send_and_wait(Topic.KEYS.named(prefix), b"record", b"key")
    topic = CompactedTopic(brokers, Topic.KEYS.named(prefix), known.__setitem__)
    async with working(topic.run()) as task:
        await until(lambda: topic.waiting_for() is None, "the whole topic", working=[task])
    assert known == {"key": b"record"}


async def the_consumer_of_credits_joins(brokers: Brokers, prefix: str) -> None:
    pool = postgres.create_pool("postgresql://nowhere/none", max_size=1)
    group = f"{prefix}.balance.credits"
    letters = DeadLetters(create_producer(brokers), prefix, group)
    consumer = create_credits_consumer(brokers, group, Topic.CREDITS.named(prefix), pool, letters)
    async with working(consumer.run()) as task:
        await until(lambda: consumer.waiting_for() is None, "an assignment", working=[task])


def by_a_strangers_certificate(secured: SecuredKafka) -> Brokers:
    own = secured.strangers.issue("admin")
    return Brokers(f"{HOST}:{secured.mutual_port}", Tls(secured.authority.ca_file, own.file, own.key_file))


def at(port: str, **security: Any) -> Callable[[SecuredKafka], Brokers]:
    """At another of the ports, with the login or the certificates of the right one."""

    def made(secured: SecuredKafka) -> Brokers:
        right = secured.brokers()
        chosen = {name: getattr(right, name) for name, is_given in security.items() if is_given}
        return Brokers(f"{HOST}:{getattr(secured, port)}", **chosen)

    return made


REFUSED: Mapping[str, tuple[Callable[[SecuredKafka], Brokers], str]] = {
    "a wrong password": (
        lambda secured: secured.brokers(password="guessed"),
        "rejects the user 'admin': TOLLGATE_KAFKA_USERNAME or TOLLGATE_KAFKA_PASSWORD is wrong",
    ),
    "a wrong password in plain": (
        lambda secured: secured.brokers(mechanism="PLAIN", password="guessed"),
        "rejects the user 'admin': TOLLGATE_KAFKA_USERNAME or TOLLGATE_KAFKA_PASSWORD is wrong",
    ),
    "an unknown authority": (
        lambda secured: Brokers(f"{HOST}:{secured.sasl_port}", Tls(secured.strangers.ca_file), secured.brokers().login),
        "is not trusted: .*; TOLLGATE_KAFKA_CA_FILE is .*/strangers/ca.pem",
    ),
    "the system's authorities": (
        lambda secured: Brokers(f"{HOST}:{secured.sasl_port}", Tls(), secured.brokers().login),
        "is not trusted: .*; TOLLGATE_KAFKA_CA_FILE is not set",
    ),
    "another name": (
        lambda secured: Brokers(f"localhost:{secured.sasl_port}", secured.brokers().tls, secured.brokers().login),
        "is not valid for 'localhost'. It must be valid for the names in TOLLGATE_KAFKA_BOOTSTRAP",
    ),
    "no certificate": (at("mutual_port", tls=True), "TOLLGATE_KAFKA_CERTIFICATE_FILE is not set"),
    "a stranger's certificate": (by_a_strangers_certificate, "TOLLGATE_KAFKA_CERTIFICATE_FILE is .*/strangers/admin"),
    "a login where none is asked for": (
        at("plain_port", login=True),
        "does not support SASL: TOLLGATE_KAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT is wrong",
    ),
    "plain where TLS is spoken": (at("sasl_port"), "uses TLS: TOLLGATE_KAFKA_SECURITY_PROTOCOL PLAINTEXT is wrong"),
    "a login without TLS": (
        at("sasl_port", login=True),
        "uses TLS: TOLLGATE_KAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT is wrong",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_who_is_refused_is_told_which_setting_is_wrong(secured: SecuredKafka, what: str) -> None:
    make, message = REFUSED[what]
    with pytest.raises(CommandError, match=message) as refused:
        await check_access(make(secured))
    assert "guessed" not in str(refused.value)


@pytest.mark.parametrize(
    "make",
    [at("plain_port", tls=True), at("plain_port", tls=True, login=True), at("sasl_port", tls=True)],
    ids=["TLS where none is spoken", "a login and TLS where none is spoken", "no login where one is asked for"],
)
async def test_what_a_dying_broker_would_do_too_is_only_a_suspicion(
    secured: SecuredKafka, make: Callable[[SecuredKafka], Brokers], caplog: pytest.LogCaptureFixture
) -> None:
    brokers = make(secured)
    await check_access(brokers)
    assert f"TOLLGATE_KAFKA_SECURITY_PROTOCOL {brokers.security_protocol} may be wrong" in caplog.text


async def test_a_kafka_that_is_away_is_waited_for_by_others() -> None:
    await check_access(Brokers(f"{HOST}:9"))


async def test_one_broker_that_lets_us_in_is_enough(secured: SecuredKafka) -> None:
    brokers = secured.brokers()
    both = Brokers(f"{brokers.bootstrap},localhost:{secured.sasl_port},{HOST}:9", brokers.tls, brokers.login)
    await check_access(both)


@pytest.mark.parametrize("module", ["tollgate_common.topics", "tollgate_edge.main"])
def test_a_program_ends_at_once_and_names_the_setting(secured: SecuredKafka, module: str, tmp_path: Any) -> None:
    environment = environment_of(secured.brokers(password="guessed")) | {
        "TOLLGATE_PORT": "1",
        "TOLLGATE_ADMISSION": "known_balances",
        "TOLLGATE_OPENAI_API_KEY": "unused",
        "TOLLGATE_SPOOL_DIR": str(tmp_path),
        "TOLLGATE_LOG_LEVEL": "DEBUG",
    }
    command = "create" if module.endswith("topics") else "serve"
    ended = subprocess.run(
        [sys.executable, "-m", module, command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 1
    assert "TOLLGATE_KAFKA_PASSWORD is wrong" in ended.stderr.splitlines()[-1]
    assert "guessed" not in ended.stderr
    assert "Traceback" not in ended.stderr
