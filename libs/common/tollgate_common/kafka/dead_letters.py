"""Dead letters: poison messages, stored unchanged with the reason until an operator retries or discards them."""

import logging

from prometheus_client import Counter

from tollgate_common.errors import Poison
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.kafka.records import Record
from tollgate_common.topics import Topic

log = logging.getLogger(__name__)

DEAD_LETTERS = Counter("tollgate_dead_letters", "Messages that were sent to a dead-letter topic.", ["topic", "group"])


class DeadLetters:
    """Sends messages to dead-letter topics. A failed write raises, and the consumer stops."""

    def __init__(self, producer: KafkaProducer, prefix: str, group: str) -> None:
        self._producer = producer
        self._prefix = prefix
        self._group = group

    async def send(self, record: Record, reason: Poison) -> None:
        """Send the original value and key to the same partition. Headers have the source, the group and the reason."""
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
