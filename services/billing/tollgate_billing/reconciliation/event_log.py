"""The ends of topics, and their offsets at a time."""

import itertools
from collections.abc import Mapping
from datetime import datetime

from aiokafka import TopicPartition

from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.topics import find_partitions

Ends = dict[str, dict[int, int]]
"""By full topic name and partition, the offset after the last record."""


class EventLog:
    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers

    async def ends(self, *topics: str) -> Ends:
        """Return the current end of every partition.

        Raises:
            Retryable: a topic does not exist, or access to it is denied.
        """
        partitions = await find_partitions(self._brokers, *topics)
        async with KafkaConsumer(**self._brokers.options) as consumer:
            found = await consumer.end_offsets(list(itertools.chain(*partitions.values())))
        ends: Ends = {topic: {} for topic in topics}
        for partition, end in found.items():
            ends[partition.topic][partition.partition] = end
        return ends

    async def at(self, moment: datetime, ends: Mapping[int, int], topic: str) -> dict[int, int]:
        """Return for each partition the offset of the first record sent at `moment` or later, or its end."""
        moment_ms = int(moment.timestamp() * 1000)
        partitions = [TopicPartition(topic, number) for number in ends]
        async with KafkaConsumer(**self._brokers.options) as consumer:
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, moment_ms))
        return {
            partition.partition: ends[partition.partition] if place is None else place.offset
            for partition, place in found.items()
        }
