"""The topics: their names, keys and settings, in one place. `python -m tollgate_common.topics create` makes them."""

import argparse
import asyncio
import functools
import sys
from enum import StrEnum
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code
from aiokafka.partitioner import murmur2
from pydantic import Field

from tollgate_common.errors import CommandError, Retryable
from tollgate_common.kafka.access import check_access
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.settings import Settings, load

DAY_MS = 24 * 60 * 60 * 1000


class Topic(StrEnum):
    """A topic's name without the deployment's prefix."""

    REQUESTS = "requests.v1"
    USAGE = "usage.v1"
    CREDITS = "credits.v1"
    KEYS = "keys.v1"
    CATALOGUE = "catalogue.v1"
    BALANCES = "balances.v1"

    def named(self, prefix: str) -> str:
        """The name on the broker: `tollgate.usage.v1`."""
        return f"{prefix}.{self.value}"

    def dead_letters(self, prefix: str) -> str:
        """Where a message of this topic goes that can never be handled: `tollgate.usage.dlq.v1`."""
        name, version = self.value.split(".")
        return f"{prefix}.{name}.dlq.{version}"


class Spec(NamedTuple):
    """How a topic is made. `partitioned` topics get the deployment's count, others one: their order is total."""

    partitioned: bool
    retention_ms: int | None
    """None for a compacted topic, which keeps the last value of each key."""


SPECS = {
    Topic.REQUESTS: Spec(partitioned=True, retention_ms=7 * DAY_MS),
    Topic.USAGE: Spec(partitioned=True, retention_ms=30 * DAY_MS),
    Topic.CREDITS: Spec(partitioned=True, retention_ms=30 * DAY_MS),
    Topic.KEYS: Spec(partitioned=False, retention_ms=None),
    Topic.CATALOGUE: Spec(partitioned=False, retention_ms=None),
    Topic.BALANCES: Spec(partitioned=False, retention_ms=None),
}
WITH_DEAD_LETTERS = (Topic.REQUESTS, Topic.USAGE, Topic.CREDITS)


@functools.lru_cache(maxsize=100_000)
def partition_for(key: str, partitions: int) -> int:
    """The partition of a key, as Kafka's own default partitioner would choose it.

    Cached, because the hash is computed in Python and the same accounts come again and again.
    """
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions


class TopicSettings(Settings):
    """Partition counts never change: a resend goes to the stamped partition. Growth is a new version of the topic."""

    topic_partitions: int = Field(12, ge=1, le=1000, description="partitions of the topics keyed by account")
    topic_replication: int = Field(3, ge=1, le=7, description="replicas of each partition")


async def create_topics(brokers: Brokers, prefix: str, partitions: int, replication: int) -> list[str]:
    """Create what is missing. Existing topics stay as they are. Returns the names of those created.

    Raises:
        KafkaError: the broker refused a topic, for another reason than that it exists.
    """
    admin = AIOKafkaAdminClient(**brokers.options)
    await admin.start()
    try:
        response = await admin.create_topics(list(_new_topics(prefix, partitions, replication)))
    finally:
        await admin.close()
    created = []
    for name, code, *message in response.topic_errors:
        if code == 0:
            created.append(name)
        elif code != TopicAlreadyExistsError.errno:
            raise for_code(code)(f"{name}: {message}")
    return created


async def find_partitions(brokers: Brokers, *topics: str) -> dict[str, list[TopicPartition]]:
    """The partitions of each topic, by its full name, in their order.

    Raises:
        Retryable: a topic does not exist, or may not be seen.
    """
    admin = AIOKafkaAdminClient(**brokers.options)
    await admin.start()
    try:
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    for topic in described:
        if topic["error_code"] == TopicAuthorizationFailedError.errno:
            raise Retryable(f"Kafka gives no right to topic {topic['topic']}; docs/operations.md lists who needs which")
        if not topic["partitions"]:
            command = "python -m tollgate_common.topics create"
            raise Retryable(f"topic {topic['topic']} does not exist; create it: {command}")
    return {
        topic["topic"]: [
            TopicPartition(topic["topic"], number)
            for number in sorted(partition["partition"] for partition in topic["partitions"])
        ]
        for topic in described
    }


def _new_topics(prefix: str, partitions: int, replication: int) -> list[NewTopic]:
    common = {
        "min.insync.replicas": str(min(2, replication)),
        "unclean.leader.election.enable": "false",
        # Of a producer whose clock is wrong, records would be deleted too early or refused, and its copies be taken for
        # those of a boot that was forgotten.
        "message.timestamp.type": "LogAppendTime",
    }

    def topic(name: str, count: int, config: dict[str, str]) -> NewTopic:
        return NewTopic(name, count, replication, topic_configs=common | config)

    topics = []
    for name, spec in SPECS.items():
        config = (
            {"cleanup.policy": "compact"} if spec.retention_ms is None else {"retention.ms": str(spec.retention_ms)}
        )
        topics.append(topic(name.named(prefix), partitions if spec.partitioned else 1, config))
    dead_letters = {"retention.ms": str(30 * DAY_MS)}
    return topics + [topic(name.dead_letters(prefix), partitions, dead_letters) for name in WITH_DEAD_LETTERS]


async def _create(settings: TopicSettings) -> list[str]:
    await check_access(settings.brokers)
    return await create_topics(
        settings.brokers, settings.topic_prefix, settings.topic_partitions, settings.topic_replication
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tollgate_common.topics", description=__doc__)
    parser.add_argument("command", choices=["create"])
    parser.parse_args()
    settings = load(TopicSettings)
    try:
        created = asyncio.run(_create(settings))
    except CommandError as error:
        sys.exit(f"topics: {error}")
    except KafkaError as error:
        sys.exit(f"topics: Kafka at {settings.kafka_bootstrap} refused: {error}")
    sys.stdout.write(f"topics: {len(created)} created{''.join(f', {name}' for name in created)}\n")


if __name__ == "__main__":
    main()
