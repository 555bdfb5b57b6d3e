"""Rows per second from requests.v1 and usage.v1 to durable rows of `request_events`, and the cost of each part.

It runs the service's consumer and sink on topics that are filled before.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import uvloop
from bench import sinks
from bench.engine import own_engine, until_up

from analytics.traffic import PARTITIONS, traffic
from engines.run import Run, find_engines
from engines.stores import delete_topics, unique_name
from tollgate_analytics.ingest.consumer import request_events_table
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.events import encode
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.producer import create_producer
from tollgate_common.topics import Topic, create_topics

ACCOUNTS = [f"acc-{number}" for number in range(200)]


async def run(requests: int, folder: Path) -> None:
    brokers, prefix = Brokers(find_engines().kafka_bootstrap), unique_name()
    await create_topics(brokers, prefix, PARTITIONS, 1)
    try:
        with own_engine(folder) as (url, engine):
            await until_up(url, "tollgate_analytics")
            client = await clickhouse.connect(url, timeout_s=600)
            rows = await sinks.apart(fill, brokers, prefix, requests)
            async with create_producer(brokers) as producer:
                costs = await sinks.costs(
                    brokers=brokers,
                    topics=[Topic.REQUESTS.named(prefix), Topic.USAGE.named(prefix)],
                    table=request_events_table(prefix),
                    client=client,
                    engine=engine,
                    producer=producer,
                    rows=rows,
                )
            await client.close()
    finally:
        await delete_topics(brokers, prefix)
    sinks.show("request_events", costs)


async def fill(brokers: Brokers, prefix: str, requests: int) -> int:
    """Fill the topics and return the number of rows that result."""
    rows = 0
    async with create_producer(brokers) as producer:
        for (topic, partition), values in _values(requests).items():
            rows += len(values)
            await sinks.send(producer, topic.named(prefix), partition, values)
    return rows


def _values(requests: int) -> dict[tuple[Topic, int], list[bytes]]:
    """Return messages by topic and partition."""
    found = defaultdict[tuple[Topic, int], list[bytes]](list)
    for topic, event in traffic(seed=1, requests=requests, accounts=ACCOUNTS):
        found[topic, event.stamp.partition].append(encode(event))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--requests", type=int, default=100_000, help="number of requests; each makes nearly three rows"
    )
    arguments = parser.parse_args()
    engines = Run()
    try:
        with tempfile.TemporaryDirectory() as folder:
            uvloop.run(run(arguments.requests, Path(folder)))
    finally:
        engines.end()


if __name__ == "__main__":
    main()
