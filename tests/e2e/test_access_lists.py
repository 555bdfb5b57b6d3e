"""A Kafka that knows each service by a user of its own: the rights that operators are told to give are enough."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from e2e.access import grant
from e2e.running import Tollgate, running_tollgate
from e2e.test_reconciliation import tollgate_command
from engines.secured_kafka import SecuredKafka, environment_of, password_of
from engines.stores import unique_name
from tollgate_common.errors import Retryable
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.kafka.producer import create_producer
from tollgate_common.topics import Topic, find_partitions
from tollgate_edge.event_log.kafka_producer import Producer
from tollgate_local.engines import EngineAddresses
from tollgate_local.ports import HOST
from waiting import PATIENCE_S, until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

EXAMPLE = Path(__file__).parents[2] / "docs/examples/first_five_minutes.py"
# Who gives up what nobody can handle, by topic.
CONSUMERS = {
    Topic.REQUESTS: {"analytics"},
    Topic.USAGE: {"analytics", "balance", "billing"},
    Topic.CREDITS: {"balance"},
}


def users(secured: SecuredKafka) -> dict[str, Brokers]:
    """How each gets in: by every way that there is."""
    return {
        "accounts": secured.brokers("accounts", "PLAIN"),
        "analytics": secured.brokers("analytics", "SCRAM-SHA-512"),
        "balance": secured.brokers("balance", "SCRAM-SHA-256"),
        "billing": secured.brokers_by_certificate("billing"),
        "edge": secured.brokers("edge", "PLAIN"),
        "topics": secured.brokers("topics", "SCRAM-SHA-512"),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tollgate(
    secured: SecuredKafka, engines: EngineAddresses, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tollgate]:
    own = {name: environment_of(brokers) for name, brokers in users(secured).items()}
    own["edge"]["TOLLGATE_LOG_LEVEL"] = "DEBUG"
    at_secured = msgspec.structs.replace(engines, kafka_bootstrap=f"{HOST}:{secured.plain_port}")
    name = unique_name()
    await grant(secured.brokers(), name)
    folder = tmp_path_factory.mktemp("tollgate")
    async with running_tollgate(at_secured, folder, own_settings=own, name=name) as tollgate:
        yield tollgate


async def test_the_first_five_minutes(tollgate: Tollgate) -> None:
    """The example of the documentation is what a newcomer runs first: it must do what it says, here as anywhere."""
    services = ("edge", "accounts", "balance", "analytics", "mails")
    environment = {f"TOLLGATE_{name.upper()}_URL": tollgate.system.url(name) for name in services}
    environment["TOLLGATE_PROMO_CODE"] = await tollgate.create_promo_code("10")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(EXAMPLE)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    acts = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert acts == [
        "key.revoked",
        "key.leaked",
        "key.rotated",
        "key.created",
        "member.joined",
        "invitation.sent",
        "key.created",
        "project.created",
        "promo_code.redeemed",
        "organisation.created",
    ]


async def test_the_reconciliation_finds_every_request(tollgate: Tollgate) -> None:
    code, table = await tollgate_command(tollgate, "reconcile")
    assert (code, table.splitlines()[-1]) == (0, "no differences"), table


@pytest.mark.parametrize("topic", CONSUMERS)
async def test_what_nobody_can_handle_is_given_up_and_sent_again(
    tollgate: Tollgate, secured: SecuredKafka, topic: Topic
) -> None:
    name = tollgate.system.name
    async with create_producer(secured.brokers()) as producer:
        sent = await producer.send_and_wait(topic.named(name), b"no event", partition=0)
    letter = f"{tollgate.system.url('billing')}/v1/dead-letters/{sent.topic}:{sent.partition}:{sent.offset}"
    operator = {"Authorization": f"Bearer {tollgate.system.secret('operator-token')}"}

    async def all_gave_it_up() -> bool:
        answer = await tollgate.http.get(letter, headers=operator)
        found = answer.json()["given_up"] if answer.is_success else []
        return {each["consumer"].removeprefix(f"{name}.") for each in found} == CONSUMERS[topic]

    await until(all_gave_it_up, "a dead letter of each consumer")
    (await tollgate.http.post(f"{letter}/retry", headers=operator)).raise_for_status()


async def test_nobody_may_more_and_is_told_what(tollgate: Tollgate, secured: SecuredKafka) -> None:
    topic = Topic.USAGE.named(tollgate.system.name)
    reader = KafkaConsumer(**users(secured)["edge"].options, auto_offset_reset="earliest")
    await reader.start()
    reader.assign([TopicPartition(topic, 0)])
    with pytest.raises(TopicAuthorizationFailedError):
        async with asyncio.timeout(PATIENCE_S):
            await reader.getone()
    await reader.stop()

    stranger = users(secured)["accounts"]
    with pytest.raises(Retryable, match=f"Kafka denies access to topic {topic}; docs/operations.md lists"):
        await find_partitions(stranger, topic)
    producer = await Producer.connect(stranger)
    with pytest.raises(TopicAuthorizationFailedError, match=topic):
        await producer.partitions(topic)
    await producer.close()


async def test_no_log_shows_a_password(tollgate: Tollgate, secured: SecuredKafka) -> None:
    logs = {log.name: log.read_text() for log in tollgate.system.logs.glob("*.log")}
    assert '"level": "DEBUG"' in logs["edge.log"]
    for name, text in logs.items():
        assert not [user for user in users(secured) if password_of(user) in text], name
