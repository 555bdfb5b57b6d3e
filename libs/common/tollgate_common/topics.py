"""The topics: their names and settings. `python -m tollgate_common.topics create` creates them."""

import argparse
import asyncio
import functools
import sys
from enum import StrEnum
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code
from aiokafka.partitioner import murmur2
from pydantic import Field

from tollgate_common.errors import CommandError, Retryable
from tollgate_common.kafka.access import check_access
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaAdmin
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
        """Return the name at the broker: `tollgate.usage.v1`."""
        return f"{prefix}.{self.value}"

    def dead_letters(self, prefix: str) -> str:
        """Return the name of the dead-letter topic: `tollgate.usage.dlq.v1`."""
        name, version = self.value.split(".")
        return f"{prefix}.{name}.dlq.{version}"


class Spec(NamedTuple):
    """Settings of a topic. `partitioned` topics get the deployment's partition count; others have one partition."""

    partitioned: bool
    retention_ms: int | None
    """None for a compacted topic, which keeps the newest value of each key."""


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
    """Return the partition of a key, as Kafka's default partitioner chooses it.

    Cached, because the hash is computed in Python and the same accounts repeat.
    """
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions


class TopicSettings(Settings):
    """Partition counts never change: a resent event goes to its stamped partition. To grow, add a topic version."""

    topic_partitions: int = Field(12, ge=1, le=1000, description="partitions of the topics keyed by account")
    topic_replication: int = Field(3, ge=1, le=7, description="replicas of each partition")


async def create_topics(brokers: Brokers, prefix: str, partitions: int, replication: int) -> list[str]:
    """Create the missing topics and return their names. Existing topics do not change.

    Raises:
        KafkaError: the broker rejects a topic, for another reason than that it exists.
    """
    admin = KafkaAdmin(**brokers.options)
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
    """Return the partitions of each topic in order, by its full name.

    Raises:
        Retryable: a topic does not exist, or this client has no right to it.
    """
    admin = KafkaAdmin(**brokers.options)
    await admin.start()
    try:
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    for topic in described:
        if topic["error_code"] == TopicAuthorizationFailedError.errno:
            raise Retryable(
                f"Kafka denies access to topic {topic['topic']}; docs/operations.md lists the rights to grant"
            )
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
        # With a producer's own times, a wrong clock would let Kafka delete records too early, and let consumers reject
        # events as those of an old boot.
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
        sys.exit(f"topics: Kafka at {settings.kafka_bootstrap} rejected the request: {error}")
    sys.stdout.write(f"topics: {len(created)} created{''.join(f', {name}' for name in created)}\n")


if __name__ == "__main__":
    main()
