"""Kafka producers as the design asks for them: nothing counts as sent before all in-sync replicas have it."""

from aiokafka import AIOKafkaProducer

# The C extension makes a batch ten to thirty times faster; without it a service would work and crawl.
from aiokafka.record import _crecords  # noqa: F401 - importing it is the check

from tollgate_common.kafka.brokers import Brokers


def create_producer(brokers: Brokers, *, transactional_id: str | None = None) -> AIOKafkaProducer:
    """A producer that is not yet started.

    Args:
        brokers: how Kafka is reached.
        transactional_id: fences every other producer of that id: of two, only the one started last can write.
    """
    return AIOKafkaProducer(
        **brokers.options,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_batch_size=256 << 10,
        transactional_id=transactional_id,
    )
