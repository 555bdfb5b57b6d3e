"""Kafka producers. A message counts as sent once all in-sync replicas have it."""

# The C extension builds a batch ten to thirty times faster. Without it a service works, but far too slowly.
from aiokafka.record import _crecords  # noqa: F401 - importing it is the check

from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaProducer


def create_producer(brokers: Brokers, *, transactional_id: str | None = None) -> KafkaProducer:
    """Return a producer that is not started.

    Args:
        brokers: how to connect to Kafka.
        transactional_id: fences every other producer with this id; only the one started last can write.
    """
    return KafkaProducer(
        **brokers.options,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_batch_size=256 << 10,
        transactional_id=transactional_id,
    )
