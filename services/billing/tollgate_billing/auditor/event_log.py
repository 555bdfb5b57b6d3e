"""Where the topics end, and where they stood at a moment."""

from collections.abc import Mapping
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tollgate_common.brokers import Brokers
from tollgate_common.errors import Retryable

Ends = dict[str, dict[int, int]]
"""By full topic name and partition, the offset after the last record."""


class EventLog:
    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers

    async def ends(self, *topics: str) -> Ends:
        """The ends of all partitions as they are now.

        Raises:
            Retryable: one of the topics does not exist.
        """
        partitions = await self._partitions(*topics)
        async with AIOKafkaConsumer(**self._brokers.options) as consumer:
            found = await consumer.end_offsets(partitions)
        ends: Ends = {topic: {} for topic in topics}
        for partition, end in found.items():
            ends[partition.topic][partition.partition] = end
        return ends

    async def at(self, moment: datetime, ends: Mapping[int, int], topic: str) -> dict[int, int]:
        """Of each partition, the offset of the first record sent at `moment` or later, else the partition's end."""
        moment_ms = int(moment.timestamp() * 1000)
        partitions = [TopicPartition(topic, number) for number in ends]
        async with AIOKafkaConsumer(**self._brokers.options) as consumer:
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, moment_ms))
        return {
            partition.partition: ends[partition.partition] if place is None else place.offset
            for partition, place in found.items()
        }

    async def _partitions(self, *topics: str) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(**self._brokers.options)
        await admin.start()
        try:
            described = await admin.describe_topics(list(topics))
        finally:
            await admin.close()
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            for partition in topic["partitions"]
        ]
        missing = set(topics) - {partition.topic for partition in partitions}
        if missing:
            raise Retryable(f"{', '.join(sorted(missing))} cannot be found in Kafka")
        return partitions
