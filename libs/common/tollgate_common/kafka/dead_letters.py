"""Messages that can never be handled: kept as they came, with the reason, until someone retries or discards them."""

import logging

from aiokafka import AIOKafkaProducer
from prometheus_client import Counter

from tollgate_common.errors import Poison
from tollgate_common.kafka.records import Record
from tollgate_common.topics import Topic

log = logging.getLogger(__name__)

DEAD_LETTERS = Counter("tollgate_dead_letters", "Messages that could not be handled.", ["topic", "group"])


class DeadLetters:
    """Sends to a topic's dead-letter topic. If that write fails it raises, and the consumer stops."""

    def __init__(self, producer: AIOKafkaProducer, prefix: str, group: str) -> None:
        self._producer = producer
        self._prefix = prefix
        self._group = group

    async def send(self, record: Record, reason: Poison) -> None:
        """The original bytes, key and partition, with headers that tell where it stood, who gave up and why."""
        source = Topic(record.topic.removeprefix(self._prefix + "."))
        log.error("dead letter: %s[%d]@%d: %s", record.topic, record.partition, record.offset, reason)
        await self._producer.send_and_wait(
            source.dead_letters(self._prefix),
            record.value,
            record.key,
            partition=record.partition,
            headers=[
                ("source", f"{record.topic}:{record.partition}:{record.offset}".encode()),
                ("group", self._group.encode()),
                ("reason", str(reason).encode()),
            ],
        )
        DEAD_LETTERS.labels(source.value, self._group).inc()
