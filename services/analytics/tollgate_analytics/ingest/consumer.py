"""The consumer of requests.v1 and usage.v1, which writes `request_events`.

Guarantee: each event gets exactly one row, even if processes are killed at any time. Crash window: between declaring a
block and committing its end; `tollgate_common.clickhouse.sink` documents how the successor recovers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from aiokafka import TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient
from msgspec.json import Decoder
from prometheus_client import Gauge

from tollgate_analytics.ingest.rows import AnyEvent, check, rows
from tollgate_common.clickhouse.blocks import Table
from tollgate_common.clickhouse.sink import Sink
from tollgate_common.errors import Problem
from tollgate_common.events import request_decoder, usage_decoder
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.kafka.consumer import SESSION_TIMEOUT_MS, Consumer
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.topics import Topic

LAG = Gauge("tollgate_analytics_lag_events", "Events of a partition that have no row yet.", ["topic", "partition"])
NEWEST = Gauge(
    "tollgate_analytics_newest_event_seconds", "Event time of the newest row of a kind, since 1970.", ["kind"]
)
MEASURE_INTERVAL_S = 2.0

# Long enough to keep the number of parts low, short enough that usage appears well within a second.
LINGER_S = 0.25


def request_events_table(prefix: str) -> Table[AnyEvent]:
    requests_topic = Topic.REQUESTS.named(prefix)

    def decoder(topic: str) -> Decoder[Any]:
        return request_decoder if topic == requests_topic else usage_decoder

    return Table("request_events", decoder, check, rows)


def create_consumer(brokers: Brokers, prefix: str, *, session_timeout_ms: int = SESSION_TIMEOUT_MS) -> Consumer:
    topics = [Topic.REQUESTS.named(prefix), Topic.USAGE.named(prefix)]
    return Consumer(brokers, f"{prefix}.analytics", topics, linger_s=LINGER_S, session_timeout_ms=session_timeout_ms)


def create_sink(
    brokers: Brokers, prefix: str, consumer: Consumer, clickhouse: AsyncClient, producer: KafkaProducer
) -> Sink[AnyEvent]:
    return Sink(
        brokers=brokers,
        consumer=consumer,
        clickhouse=clickhouse,
        table=request_events_table(prefix),
        dead_letters=DeadLetters(producer, prefix, consumer.group),
    )


async def measure_freshness(consumer: Consumer, newest: Callable[[], Awaitable[Mapping[str, datetime]]]) -> None:
    """Update the freshness metrics until canceled. While the store is unavailable, they keep their last values."""
    known: set[TopicPartition] = set()
    while True:
        lag = consumer.lag()
        for partition in known - lag.keys():
            # Another instance consumes the partition now, and reports its lag.
            LAG.remove(partition.topic, str(partition.partition))
        for partition, events in lag.items():
            LAG.labels(partition.topic, str(partition.partition)).set(events)
        known = set(lag)
        with suppress(Problem):
            for kind, at in (await newest()).items():
                NEWEST.labels(kind).set(at.timestamp())
        await asyncio.sleep(MEASURE_INTERVAL_S)
