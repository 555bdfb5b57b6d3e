"""A record of the log as consumers here see it, and how it is read from aiokafka at half the price."""

from collections import OrderedDict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords

from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.private_api import require

require(AIOKafkaConsumer, "_fetcher")
require(Fetcher, "_records")
require(FetchResult, "_partition_records")
require(PartitionRecords, "_consumer_record")


class Record(msgspec.Struct, frozen=True, gc=False):
    """`timestamp` is in milliseconds since 1970. aiokafka's own record has these fields too, and four more."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def lighten(kafka: KafkaConsumer) -> None:
    """Make a consumer that has started hand out `Record`s.

    Building aiokafka's own, which the garbage collector then walks again and again, is half of what fetching takes; no
    setting changes it.
    """
    fetcher = kafka._fetcher  # noqa: SLF001 - see above
    fetcher._records = _Fetched(fetcher._records)  # noqa: SLF001 - likewise


class _Fetched(OrderedDict[TopicPartition, Any]):
    """What has been fetched and not yet unpacked, by partition: where aiokafka keeps it."""

    def __setitem__(self, partition: TopicPartition, fetched: Any) -> None:
        if isinstance(fetched, FetchResult):
            fetched._partition_records._consumer_record = _record  # noqa: SLF001 - as above
        super().__setitem__(partition, fetched)


def _record(partition: TopicPartition, record: Any) -> Record:
    return Record(
        partition.topic,
        partition.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )


def sent_at(record: Record) -> datetime:
    """The record's own time, not the clock's: a replay must decide about an old boot as the first attempt did."""
    return moment(record.timestamp)


@lru_cache(maxsize=4096)
def moment(timestamp_ms: int) -> datetime:
    """Remembered, because the records of a batch share their times."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
